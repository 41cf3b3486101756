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

/// Shows the scheme alone: hashes stay out of logs.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({})", self.scheme())
    }
}

const PEPPERED: &str = "bcrypt-hmac-sha384";
const PLAIN: &str = "bcrypt";

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
}
