use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;
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
        let blocklist = blocklist.into_iter().map(|entry| folded(&entry).to_string()).collect();
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
        if !self.blocklist.is_empty() && self.blocklist.contains(folded(text).as_str()) {
            return Err(PasswordRefusal::Blocked);
        }
        if self.is_guessable(text, &known_words(email, username)) {
            return Err(PasswordRefusal::Guessable);
        }
        Ok(AcceptedPassword(password))
    }

    fn is_guessable(&self, text: &str, known: &[String]) -> bool {
        // zxcvbn finds the user's own words, and yet likes a row of them: so what is left without them has to do alone.
        let own = bare(text);
        let rest = without(own.clone(), known);
        self.is_weak(text, known) || rest != own && self.is_weak(&rest, &[])
    }

    fn is_weak(&self, text: &str, known: &[String]) -> bool {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        u8::from(zxcvbn(text, &known).score()) < self.min_score
    }
}

/// What everybody knows about the user: his address and its parts, as he may write them, and his name.
fn known_words(email: &Email, username: Option<&Username>) -> Vec<String> {
    // `first.last@shop.example` also makes `first`, `last` and `shop` easy to guess.
    fn parts(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2)
    }
    let (local, domain) = (email.local(), email.domain());
    let (readable, _) = idna::domain_to_unicode(domain);
    let whole = [email.as_str(), local, domain, &readable].map(str::to_owned);
    let addresses = [format!("{local}@{readable}")];
    let parts = [local, domain, &readable].into_iter().flat_map(parts).map(str::to_owned);
    let username = username.map(|name| name.as_str().to_owned());
    whole.into_iter().chain(addresses).chain(parts).chain(username).collect()
}

/// Letters and digits alone, in lower case: what a password is made of, however it is spaced.
fn bare(text: &str) -> Zeroizing<String> {
    let folded = folded(text);
    let mut bare = Zeroizing::new(String::with_capacity(folded.len()));
    bare.extend(folded.chars().filter(|c| c.is_alphanumeric()));
    bare
}

/// Takes the words out of a [`bare`] text, forwards and backwards, until none is left in it. Words of one or two characters
/// stay: they are in every password.
fn without(mut text: Zeroizing<String>, words: &[String]) -> Zeroizing<String> {
    let words = words.iter().map(|word| bare(word)).filter(|word| word.chars().count() > 2);
    let mut words: Vec<String> =
        words.flat_map(|word| [word.chars().rev().collect(), word.to_string()]).collect();
    // Whole addresses first: their parts would leave crumbs of them.
    words.sort_unstable_by_key(|word| Reverse(word.len()));
    let found =
        |text: &str| words.iter().find_map(|word| text.find(word.as_str()).map(|at| at..at + word.len()));
    while let Some(place) = found(&text) {
        // In place: a new text would leave the old one behind.
        drop(text.drain(place));
    }
    text
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self::new(DEFAULT_MIN_LENGTH, DEFAULT_MIN_SCORE, [])
    }
}

/// In NFC and lower case. Passwords come through here, so every copy is wiped; with room enough from the start, none is
/// left behind by growing.
fn folded(text: &str) -> Zeroizing<String> {
    let mut normal = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
    normal.extend(text.nfc());
    Zeroizing::new(normal.to_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
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
    fn a_row_of_what_everybody_knows_is_refused() {
        for (password, email) in [
            ("a@b.com a@b.com", "a@b.com"),
            ("a@b.coma@b.com", "a@b.com"),
            ("A-B-COM/a-b-com", "a@b.com"),
            ("moc.b@a moc.b@a", "a@b.com"),
            ("a@a@b.comb.com", "a@b.com"),
            ("example!Miller!josephine!7", "josephine.miller@firm.example"),
            ("x@bücher.example x@bücher.example", "x@bücher.example"),
            ("x@xn--bcher-kva.example x@bücher.example", "x@bücher.example"),
        ] {
            assert_eq!(judge(password, email, None), Err(PasswordRefusal::Guessable), "{password}");
        }
    }

    #[test]
    fn a_password_may_hold_such_words_if_the_rest_of_it_will_do() {
        assert_eq!(judge("josephine likes gpQ7-mmzX2", "josephine@firm.example", None), Ok(()));
        assert_eq!(judge("S3cureP@ss", "cure@b.com", None), Err(PasswordRefusal::Guessable));
    }

    #[test]
    fn the_default_score_is_the_highest_that_works() {
        let email = Email::parse("a@b.com").unwrap();
        let with = |min_score| PasswordPolicy::new(DEFAULT_MIN_LENGTH, min_score, []);
        let guessable =
            |policy: PasswordPolicy| policy.is_guessable("S3cureP@ss", &known_words(&email, None));
        assert!(!guessable(with(DEFAULT_MIN_SCORE)));
        assert!(guessable(with(DEFAULT_MIN_SCORE + 1)));
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

        #[test]
        fn no_arrangement_of_what_is_known_passes(
            (local, domain) in ("[a-z0-9]{1,12}(\\.[a-z0-9]{1,12})?", "[a-z]{1,12}\\.(com|example|org)"),
            arrangement in vec(("[-_ .@!+]{0,2}", 0..6_usize, any::<bool>(), any::<bool>()), 1..6),
        ) {
            let email = format!("{local}@{domain}");
            let (first, host) = (local.split('.').next().unwrap(), domain.split('.').next().unwrap());
            let words = [&*email, &local, &domain, "wolpertinger", first, host];
            let password: String = arrangement.into_iter().map(|(separator, word, upper, backwards)| {
                let word = words[word].to_owned();
                let word = if upper { word.to_uppercase() } else { word };
                separator + &if backwards { word.chars().rev().collect() } else { word }
            }).collect();
            // Words of one or two characters alone are not what this is about.
            prop_assume!(first.len() > 2 && host.len() > 2);
            let judged = judge(&password, &email, Some("wolpertinger"));
            prop_assert!(judged.is_err(), "{} for {}", password, email);
        }

        #[test]
        fn what_is_left_has_none_of_the_words(text in "[ab1.@ ]{0,40}", words in vec("[ab1.]{1,5}", 0..6)) {
            let rest = without(bare(&text), &words);
            for word in words.iter().map(|word| bare(word)).filter(|word| word.len() > 2) {
                prop_assert!(!rest.contains(word.as_str()), "{} in {}", *word, *rest);
            }
        }
    }
}
