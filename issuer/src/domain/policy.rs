use std::collections::HashSet;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use zxcvbn::zxcvbn;

use super::email::Email;
use super::password::{AcceptedPassword, Password};
use super::username::Username;

/// Which passwords may be chosen. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    min_length: usize,
    min_score: u8,
    blocklist: Arc<HashSet<String>>,
}

/// A password that somebody wants to have, still to be judged.
///
/// Judging takes long enough (tens of milliseconds for a nasty text) to starve others, so it is work for the
/// [`PasswordHasher`](super::ports::PasswordHasher), like the hashing that follows.
pub struct PasswordChoice {
    /// The password.
    pub password: Password,
    /// Who wants it.
    pub email: Email,
    /// Who wants it.
    pub username: Option<Username>,
    /// Who decides.
    pub policy: PasswordPolicy,
}

impl PasswordChoice {
    /// Lets the password pass if this user may choose it.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn judge(self) -> Result<AcceptedPassword, PasswordRefusal> {
        self.policy.accept(self.password, &self.email, self.username.as_ref())
    }
}

/// Why a password may not be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefusal {
    /// Fewer characters than the policy asks for.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// More characters than anybody types.
    #[error("must have at most {MAX_LENGTH} characters")]
    TooLong,
    /// A password that many people choose, or that is made of what everybody knows about this user.
    #[error("is too easy to guess; avoid common words, patterns, and your own name or e-mail address")]
    Guessable,
    /// On the operator's list.
    #[error("is not allowed here")]
    Blocked,
}

/// Characters that a password may have at most.
pub const MAX_LENGTH: usize = 256;
/// Characters that a password has at least, unless configured otherwise.
pub const DEFAULT_MIN_LENGTH: usize = 10;
/// The score, 0 to 4, that a password reaches at least, unless configured otherwise: the highest that lets
/// `S3cureP@ss` pass.
pub const DEFAULT_MIN_SCORE: u8 = 2;

impl PasswordPolicy {
    /// A policy. `min_score` is zxcvbn's, 0 to 4; `blocklist` has whole passwords, compared without regard to case.
    #[must_use]
    pub fn new(min_length: usize, min_score: u8, blocklist: impl IntoIterator<Item = String>) -> Self {
        let blocklist = blocklist.into_iter().map(|entry| folded(&entry)).collect();
        Self { min_length, min_score, blocklist: Arc::new(blocklist) }
    }

    fn accept(
        &self,
        password: Password,
        email: &Email,
        username: Option<&Username>,
    ) -> Result<AcceptedPassword, PasswordRefusal> {
        let text = password.expose();
        let length = text.chars().take(MAX_LENGTH + 1).count();
        if length > MAX_LENGTH {
            return Err(PasswordRefusal::TooLong);
        }
        if length < self.min_length {
            return Err(PasswordRefusal::TooShort(self.min_length));
        }
        if !self.blocklist.is_empty() && self.blocklist.contains(&folded(text)) {
            return Err(PasswordRefusal::Blocked);
        }
        if self.score(text, email, username) < self.min_score {
            return Err(PasswordRefusal::Guessable);
        }
        Ok(AcceptedPassword(password))
    }

    fn score(&self, password: &str, email: &Email, username: Option<&Username>) -> u8 {
        let domain = email.as_str().rsplit('@').next().unwrap_or_default();
        let mut known = vec![email.as_str(), email.local(), domain];
        // `first.last@shop.example` also makes `first`, `last` and `shop` easy to guess.
        known.extend(
            email.as_str().split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2),
        );
        known.extend(username.map(Username::as_str));
        u8::from(zxcvbn(password, &known).score())
    }
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self::new(DEFAULT_MIN_LENGTH, DEFAULT_MIN_SCORE, [])
    }
}

fn folded(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(password: &str, email: &str, username: Option<&str>) -> Result<(), PasswordRefusal> {
        let email = Email::parse(email).unwrap();
        let username = username.map(|name| Username::parse(name).unwrap());
        PasswordPolicy::default().accept(Password::new(password.into()), &email, username.as_ref()).map(drop)
    }

    #[test]
    fn decent_passwords_pass() {
        for password in
            ["S3cureP@ss", "correct horse battery staple", "gpQ7-mmzX2-wd4Lr", "Ünïcödé ist schön"]
        {
            assert_eq!(judge(password, "a@b.com", None), Ok(()), "{password}");
        }
    }

    #[test]
    fn guessable_passwords_are_refused() {
        for password in
            ["password123", "Password123", "qwertyuiop", "1234567890", "aaaaaaaaaaaa", "iloveyou12"]
        {
            assert_eq!(judge(password, "a@b.com", None), Err(PasswordRefusal::Guessable), "{password}");
        }
    }

    #[test]
    fn what_everybody_knows_about_the_user_is_refused() {
        for password in ["josephine.miller@firm.example", "Josephine.Miller", "josephinemiller", "josephine1"]
        {
            let judged = judge(password, "josephine.miller@firm.example", None);
            assert_eq!(judged, Err(PasswordRefusal::Guessable), "{password}");
        }
        assert_eq!(judge("wolpertinger7", "a@b.com", Some("wolpertinger")), Err(PasswordRefusal::Guessable));
        assert_eq!(judge("wolpertinger7", "a@b.com", None), Ok(()));
    }

    #[test]
    fn the_default_score_is_the_highest_that_works() {
        let email = Email::parse("a@b.com").unwrap();
        assert_eq!(PasswordPolicy::default().score("S3cureP@ss", &email, None), DEFAULT_MIN_SCORE);
    }

    #[test]
    fn length_counts_characters() {
        assert_eq!(judge("gpQ7-mmzX", "a@b.com", None), Err(PasswordRefusal::TooShort(10)));
        assert_eq!(judge("ẅẍẏ7-mmẑX2", "a@b.com", None), Ok(()));
        assert_eq!(judge(&"gpQ7-mmzX2-wd4Lr".repeat(16), "a@b.com", None), Ok(()));
        assert_eq!(judge(&"x".repeat(257), "a@b.com", None), Err(PasswordRefusal::TooLong));
    }

    #[test]
    fn the_operators_list_comes_on_top() {
        let policy = PasswordPolicy::new(10, 0, ["Doorward-Rules!".to_owned()]);
        let email = Email::parse("a@b.com").unwrap();
        let judged = policy.accept(Password::new("doorward-rules!".into()), &email, None).map(drop);
        assert_eq!(judged, Err(PasswordRefusal::Blocked));
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,60}") {
            let _answer = judge(&text, "a@b.com", Some("somebody"));
        }
    }
}
