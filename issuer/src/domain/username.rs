use std::fmt;

use unicode_normalization::{UnicodeNormalization, is_nfkc};

use super::email::Email;

/// A user name in its one canonical form: NFC, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username(String);

/// Why a text is not a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Too short or too long.
    #[error("must have 3 to 32 characters")]
    Length,
    /// Something other than letters, digits and `.` `_` `-`.
    #[error("may have letters, digits, '.', '_' and '-' only, and starts with a letter or digit")]
    Characters,
}

impl Username {
    /// Reads a user name and brings it into canonical form. It never looks like an e-mail address: it has no `@`.
    ///
    /// # Errors
    /// When the length or a character is not allowed.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        // Checked before any normalising, so that the work is bounded by it.
        if text.len() > MAX_BYTES {
            return Err(UsernameError::Length);
        }
        let canonical: String = text.nfc().collect::<String>().to_lowercase().nfc().collect();
        // Compatibility forms (wide letters, ligatures) would let one name look like another's.
        let characters_are_fine = is_nfkc(&canonical)
            && canonical.starts_with(char::is_alphanumeric)
            && canonical.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !(3..=32).contains(&canonical.chars().count()) {
            Err(UsernameError::Length)
        } else if !characters_are_fine {
            Err(UsernameError::Characters)
        } else {
            Ok(Self(canonical))
        }
    }

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a user may log in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginName {
    /// Has an `@`.
    Email(Email),
    /// Has none.
    Username(Username),
}

impl LoginName {
    /// Reads whichever of the two the text can be; `None` when nobody could have such a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('@') {
            Email::parse(text).ok().map(Self::Email)
        } else {
            Username::parse(text).ok().map(Self::Username)
        }
    }
}

const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_are_one() {
        let canonical = |text| Username::parse(text).unwrap().as_str().to_owned();
        assert_eq!(canonical("Alice_01"), "alice_01");
        assert_eq!(canonical("Jose\u{301}"), canonical("JOSÉ"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (text, error) in [
            ("ab", UsernameError::Length),
            ("", UsernameError::Length),
            (&"a".repeat(33), UsernameError::Length),
            (&"a".repeat(10_000), UsernameError::Length),
            ("alice@b.com", UsernameError::Characters),
            ("alice bob", UsernameError::Characters),
            ("_alice", UsernameError::Characters),
            ("-rf", UsernameError::Characters),
            ("ａｌｉｃｅ", UsernameError::Characters),
            ("ali\u{200b}ce", UsernameError::Characters),
            ("alice\n", UsernameError::Characters),
        ] {
            assert_eq!(Username::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_login_name_is_one_or_the_other() {
        assert!(matches!(LoginName::parse("A@b.com"), Some(LoginName::Email(_))));
        assert!(matches!(LoginName::parse("alice"), Some(LoginName::Username(_))));
        assert_eq!(LoginName::parse("alice@"), None);
        assert_eq!(LoginName::parse(""), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_canonical_is_a_fixed_point(text in "\\PC{0,40}|[\\w.-]{3,32}") {
            if let Ok(name) = Username::parse(&text) {
                prop_assert!(!name.as_str().contains('@'));
                prop_assert_eq!(Username::parse(name.as_str()), Ok(name));
            }
        }
    }
}
