use std::sync::Arc;

use super::clock::Clock;
use super::context::RequestContext;
use super::event::{Event, Report, UserUpdate};
use super::one_time::Purpose;
use super::ports::{Changed, Letters, OneTimeTokens, StoreError, WriteUserError};
use super::post::Post;
use super::user::{User, UserChange, UserStatus};

/// Lets users prove that their e-mail address is their own.
pub struct VerifyEmail {
    /// Which tokens are out.
    pub letters: Arc<dyn Letters>,
    /// Knows tokens.
    pub tokens: Arc<dyn OneTimeTokens>,
    /// Posts the links; without it, none are.
    pub post: Option<Arc<Post>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why the address is not proven.
#[derive(Debug, thiserror::Error)]
pub enum VerifyEmailError {
    /// The token is none, was used, is too old, or its owner has changed since: the client is not told which.
    #[error("the token is not good")]
    InvalidToken,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VerifyEmail {
    /// Posts another link to whoever has that address and has not proven it. As with a
    /// [password reset](super::password_reset::PasswordReset::request), nobody can tell from outside. Should run to its
    /// end once it has begun.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn resend(&self, email: &str, context: &RequestContext) -> Result<(), StoreError> {
        let Some(post) = &self.post else { return Ok(()) };
        let wants = |user: &User| user.status == UserStatus::Active && !user.email_verified;
        post.send_link(Purpose::VerifyEmail, email, wants, self.clock.now(), context).await
    }

    /// Uses the token up, and notes that its owner's address is his. His sessions go on; the next access token says it.
    /// Should run to its end once it has begun.
    ///
    /// # Errors
    /// See [`VerifyEmailError`]; then nothing was written. After [`VerifyEmailError::Store`] it may have been: the
    /// account tells.
    pub async fn verify(&self, token: &str, context: &RequestContext) -> Result<(), VerifyEmailError> {
        const PURPOSE: Purpose = Purpose::VerifyEmail;
        let fingerprint = self.tokens.fingerprint(PURPOSE, token).ok_or(VerifyEmailError::InvalidToken)?;
        let now = self.clock.now();
        let token = self.letters.find(PURPOSE, fingerprint, now).await?;
        let token = token.ok_or(VerifyEmailError::InvalidToken)?;
        let report = Report::new(now, context).tell(Event::UserUpdated(UserUpdate::email_verified()));
        let change = UserChange { email_verified: Some(true), ..UserChange::default() };
        let redeemed = self.letters.redeem(&token, &change, &report).await;
        match redeemed.map_err(WriteUserError::unless_taken)? {
            Changed::Yes => Ok(()),
            Changed::Superseded => Err(VerifyEmailError::InvalidToken),
        }
    }
}
