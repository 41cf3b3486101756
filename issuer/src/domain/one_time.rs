use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::ids::UserId;
use super::token::TokenFingerprint;

/// What a one-time token is good for; it is good for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To set a new password.
    ResetPassword,
    /// To prove that an e-mail address is one's own.
    VerifyEmail,
}

impl Purpose {
    /// Its stable name, in stores and mail jobs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ResetPassword => "reset_password",
            Self::VerifyEmail => "verify_email",
        }
    }

    /// How long its tokens live: a new password is asked for by somebody who waits for the mail; an address is proven
    /// whenever its owner reads his mails.
    #[must_use]
    pub fn lifetime(self) -> Duration {
        match self {
            Self::ResetPassword => Duration::from_hours(1),
            Self::VerifyEmail => Duration::from_hours(24),
        }
    }
}

/// A token in the form in which it stands in a link. Whoever has it has received the mail.
#[derive(Clone)]
pub struct OneTimeToken(Zeroizing<String>);

impl OneTimeToken {
    /// Takes over the text of a token.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the mail only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Says that there is one, and no more.
impl fmt::Debug for OneTimeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeToken")
    }
}

/// A token that was just made.
pub struct MintedOneTimeToken {
    /// For the mail.
    pub token: OneTimeToken,
    /// For the store.
    pub fingerprint: TokenFingerprint,
}

/// A token as the store keeps it: enough to recognise it, useless for anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// What it is good for.
    pub purpose: Purpose,
    /// What it is recognised by.
    pub fingerprint: TokenFingerprint,
    /// Whose it is. Nobody's token is written for an address that nobody has, so that the write looks the same.
    pub owner: Option<TokenOwner>,
    /// When it dies by itself.
    pub expires_at: Timestamp,
}

/// Whose a token is, and as of when: it dies with the epoch, so with every change of password, address or roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenOwner {
    /// Who.
    pub user: UserId,
    /// His epoch when he was given the token.
    pub epoch: u64,
}

/// A token of the store that had not been used when it was looked up. To use it is another question, which one write
/// decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundToken {
    /// What it is good for.
    pub purpose: Purpose,
    /// What it is recognised by.
    pub fingerprint: TokenFingerprint,
    /// Whose it is.
    pub owner: TokenOwner,
}
