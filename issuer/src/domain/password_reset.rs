use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::context::RequestContext;
use super::event::{Event, Report, UserUpdate};
use super::field::FieldError;
use super::guard::Guard;
use super::one_time::{FoundToken, Purpose};
use super::password::{Password, PasswordHash};
use super::policy::{PasswordChoice, PasswordPolicy};
use super::ports::{
    Changed, HashError, Letters, OneTimeTokens, PasswordHasher, StoreError, Users, WriteUserError,
};
use super::post::Post;
use super::user::{User, UserChange, UserStatus};

/// Gives those who forgot their password a new one, if they can read their mails.
pub struct PasswordReset {
    /// Who there is.
    pub users: Arc<dyn Users>,
    /// Which tokens are out.
    pub letters: Arc<dyn Letters>,
    /// Knows who is locked out.
    pub guard: Arc<Guard>,
    /// Knows tokens.
    pub tokens: Arc<dyn OneTimeTokens>,
    /// Hashes the new password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Which passwords may be chosen.
    pub policy: PasswordPolicy,
    /// Posts the links; without it, none are.
    pub post: Option<Arc<Post>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A reset that may be made. Nothing but [`PasswordReset::prepare`] makes one.
pub struct ResetPassword {
    token: FoundToken,
    user: User,
    hash: PasswordHash,
}

/// Why the password stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum PasswordResetError {
    /// The token is none, was used, is too old, or its owner has changed since: the client is not told which.
    #[error("the token is not good")]
    InvalidToken,
    /// The new password may not be chosen. The token is still good.
    #[error("the new password is not acceptable")]
    Refused(FieldError),
    /// No room for another password.
    #[error("too many passwords are waiting to be hashed")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PasswordReset {
    /// Posts a link to whoever has that address; nobody can tell from outside whether anybody has it. Should run to its
    /// end once it has begun.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn request(&self, email: &str, context: &RequestContext) -> Result<(), StoreError> {
        let Some(post) = &self.post else { return Ok(()) };
        // A closed account stays closed whatever its password is.
        let wants = |user: &User| user.status == UserStatus::Active;
        post.send_link(Purpose::ResetPassword, email, wants, self.clock.now(), context).await
    }

    /// Finds the token's owner and hashes his new password. Writes nothing: dropping the future gives the place in the
    /// queue back.
    ///
    /// # Errors
    /// See [`PasswordResetError`]. A token that is no good costs no hashing.
    pub async fn prepare(
        &self,
        token: &str,
        new: Password,
        context: &RequestContext,
    ) -> Result<ResetPassword, PasswordResetError> {
        const PURPOSE: Purpose = Purpose::ResetPassword;
        let fingerprint = self.tokens.fingerprint(PURPOSE, token).ok_or(PasswordResetError::InvalidToken)?;
        let found = self.letters.find(PURPOSE, fingerprint, self.clock.now()).await?;
        let token = found.ok_or(PasswordResetError::InvalidToken)?;
        let user = self.users.by_id(token.owner.user).await?;
        let user = user.filter(|user| user.epoch == token.owner.epoch && user.status == UserStatus::Active);
        let user = user.ok_or(PasswordResetError::InvalidToken)?;
        let choice = PasswordChoice {
            password: new,
            email: user.email.clone(),
            username: user.username.clone(),
            policy: self.policy.clone(),
        };
        let refused = |why| PasswordResetError::Refused(FieldError::new("new_password", why));
        let hash = self.hasher.choose(choice, context.address).await?.map_err(refused)?;
        Ok(ResetPassword { token, user, hash })
    }

    /// Uses the token up, sets the password, raises the user's epoch and ends all his sessions; and his address is
    /// proven now, as he has read a mail that went to it. What others guessed of the old password does not keep him out
    /// any longer. Should run to its end once it has begun.
    ///
    /// # Errors
    /// See [`PasswordResetError`]; then nothing was written. After [`PasswordResetError::Store`] it may have been:
    /// trying again tells.
    pub async fn reset(
        &self,
        reset: ResetPassword,
        context: &RequestContext,
    ) -> Result<(), PasswordResetError> {
        let mut report = Report::new(self.clock.now(), context).tell(Event::PasswordChanged);
        if !reset.user.email_verified {
            report = report.tell(Event::UserUpdated(UserUpdate::email_verified()));
        }
        let change =
            UserChange { password: Some(reset.hash), email_verified: Some(true), ..UserChange::default() };
        let redeemed = self.letters.redeem(&reset.token, &change, &report).await;
        match redeemed.map_err(WriteUserError::unless_taken)? {
            Changed::Yes => {}
            Changed::Superseded => return Err(PasswordResetError::InvalidToken),
        }
        let opened = self.guard.forgive(&reset.user, &Report::new(self.clock.now(), context)).await;
        if let Err(error) = opened {
            // The password is set all the same, and the lock opens by itself.
            tracing::warn!(%error, "an account whose password was reset may still be locked");
        }
        Ok(())
    }
}

impl From<HashError> for PasswordResetError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            HashError::Unusable(why) => Self::Store(StoreError::Corrupt(why.to_owned())),
        }
    }
}
