use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::keys::KeyId;

/// A password as somebody typed it, in NFC, so that two keyboards agree about an `é`.
///
/// It is wiped from memory when dropped, and can be neither shown, copied nor written anywhere.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes over what was typed. Any text is a password; whether one may be *chosen* is for
    /// [`PasswordPolicy`](super::policy::PasswordPolicy) to say.
    #[must_use]
    pub fn new(typed: String) -> Self {
        let typed = Zeroizing::new(typed);
        // Normalising can only shrink or grow by a small factor; reserving keeps the text in one place to wipe.
        let mut normal = Zeroizing::new(String::with_capacity(typed.len().saturating_mul(3)));
        normal.extend(typed.nfc());
        Self(normal)
    }

    /// The text, for hashing and for measuring its strength only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A password that the policy lets a user choose; made by [`PasswordPolicy`](super::policy::PasswordPolicy) alone.
pub struct AcceptedPassword(pub(super) Password);

impl AcceptedPassword {
    /// The password itself.
    #[must_use]
    pub fn into_password(self) -> Password {
        self.0
    }
}

/// What is stored of a password.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// bcrypt over a keyed digest of the password: what this version writes.
    Peppered {
        /// Names the pepper in the key ring.
        pepper: KeyId,
        /// In the usual `$2b$…` form.
        bcrypt: String,
    },
    /// bcrypt over the password itself, as other systems write it.
    Plain {
        /// In the usual `$2b$…` form.
        bcrypt: String,
    },
}

impl PasswordHash {
    /// Puts together what [`scheme`](Self::scheme), [`pepper`](Self::pepper) and [`bcrypt`](Self::bcrypt) took apart.
    #[must_use]
    pub fn from_parts(scheme: &str, pepper: Option<String>, bcrypt: String) -> Option<Self> {
        match (scheme, pepper) {
            (PEPPERED, Some(pepper)) => Some(Self::Peppered { pepper: KeyId::new(pepper), bcrypt }),
            (PLAIN, None) => Some(Self::Plain { bcrypt }),
            _ => None,
        }
    }

    /// A hash that comes from elsewhere. bcrypt of any of its three spellings is taken as it is, provided that checking it is
    /// neither too cheap nor endless work.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn import(scheme: &str, pepper: Option<String>, bcrypt: String) -> Result<Self, ForeignHashError> {
        check_bcrypt(&bcrypt)?;
        Self::from_parts(scheme, pepper, bcrypt).ok_or(ForeignHashError::Scheme)
    }

    /// The scheme's stable name.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Peppered { .. } => PEPPERED,
            Self::Plain { .. } => PLAIN,
        }
    }

    /// The pepper that went into it.
    #[must_use]
    pub fn pepper(&self) -> Option<&KeyId> {
        match self {
            Self::Peppered { pepper, .. } => Some(pepper),
            Self::Plain { .. } => None,
        }
    }

    /// The bcrypt text.
    #[must_use]
    pub fn bcrypt(&self) -> &str {
        match self {
            Self::Peppered { bcrypt, .. } | Self::Plain { bcrypt } => bcrypt,
        }
    }
}

/// Why a hash from elsewhere cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignHashError {
    /// Another scheme, or one with or without the pepper that it needs.
    #[error("must be bcrypt without a pepper, or bcrypt-hmac-sha384 with the pepper's name")]
    Scheme,
    /// Not bcrypt's form.
    #[error("must be a bcrypt hash: $2a$, $2b$ or $2y$, the cost, and 53 characters")]
    Form,
    /// Too cheap to be safe, or dear enough to keep a thread busy for minutes.
    #[error("must have a cost between {} and {}", COSTS.start(), COSTS.end())]
    Cost,
}

/// Shows the scheme alone: hashes stay out of logs.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({})", self.scheme())
    }
}

const PEPPERED: &str = "bcrypt-hmac-sha384";
const PLAIN: &str = "bcrypt";

/// Costs that a hash may have: below, it is too easy to guess even in tests; above, one takes seconds.
pub const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

fn check_bcrypt(text: &str) -> Result<(), ForeignHashError> {
    let parts: Vec<&str> = text.split('$').collect();
    let ["", "2a" | "2b" | "2y", cost, rest] = parts[..] else { return Err(ForeignHashError::Form) };
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let digits = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || rest.len() != 53 || !rest.bytes().all(in_alphabet) {
        return Err(ForeignHashError::Form);
    }
    let cost = cost.parse().map_err(|_| ForeignHashError::Form)?;
    if COSTS.contains(&cost) { Ok(()) } else { Err(ForeignHashError::Cost) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keyboards_agree() {
        assert_eq!(Password::new("e\u{301}".into()).expose(), Password::new("é".into()).expose());
    }

    #[test]
    fn a_hash_survives_taking_apart() {
        for hash in [
            PasswordHash::Peppered { pepper: KeyId::new("p1"), bcrypt: "$2b$04$x".into() },
            PasswordHash::Plain { bcrypt: "$2b$04$x".into() },
        ] {
            let pepper = hash.pepper().map(|id| id.as_str().to_owned());
            assert_eq!(PasswordHash::from_parts(hash.scheme(), pepper, hash.bcrypt().into()), Some(hash));
        }
        assert_eq!(PasswordHash::from_parts("bcrypt", Some("p1".into()), String::new()), None);
        assert_eq!(PasswordHash::from_parts("md5", None, String::new()), None);
    }

    #[test]
    fn what_comes_from_elsewhere_is_bcrypt_of_a_bearable_cost() {
        let rest = "./ABCXYZabcxyz0123456789".repeat(3);
        let (rest, short) = (&rest[..53], &rest[..52]);
        let import = |hash: String| PasswordHash::import("bcrypt", None, hash);
        for prefix in ["$2a$04$", "$2b$12$", "$2y$16$"] {
            assert!(import(format!("{prefix}{rest}")).is_ok(), "{prefix}");
        }
        for (hash, error) in [
            (format!("$2b$03${rest}"), ForeignHashError::Cost),
            (format!("$2b$31${rest}"), ForeignHashError::Cost),
            (format!("$2x$12${rest}"), ForeignHashError::Form),
            (format!("$2b$+8${rest}"), ForeignHashError::Form),
            (format!("$2b$8${rest}"), ForeignHashError::Form),
            (format!("$2b$12${short}"), ForeignHashError::Form),
            (format!("$2b$12${short}="), ForeignHashError::Form),
            (format!(" $2b$12${rest}"), ForeignHashError::Form),
            ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA".to_owned(), ForeignHashError::Form),
            (String::new(), ForeignHashError::Form),
        ] {
            assert_eq!(import(hash.clone()), Err(error), "{hash}");
        }
        let good = format!("$2b$12${rest}");
        let pepper = || Some("p1".to_owned());
        assert!(PasswordHash::import("bcrypt-hmac-sha384", pepper(), good.clone()).is_ok());
        for (scheme, pepper) in [("bcrypt-hmac-sha384", None), ("bcrypt", pepper()), ("md5", None)] {
            assert_eq!(PasswordHash::import(scheme, pepper, good.clone()), Err(ForeignHashError::Scheme));
        }
    }
}
