use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::authenticate::Caller;
use super::clock::Clock;
use super::context::RequestContext;
use super::event::{Event, Report};
use super::field::FieldError;
use super::guard::{Guard, GuardError};
use super::ids::UserId;
use super::password::{Password, PasswordHash};
use super::policy::{PasswordChoice, PasswordPolicy};
use super::ports::{
    Changed, HashError, LoginHistory, PasswordHasher, StoreError, Users, Verdict, WriteUserError,
};
use super::user::{Account, UserChange};
use super::username::LoginName;

/// Gives a user another password, and ends everything that the old one opened.
pub struct ChangePassword {
    /// Where passwords are kept.
    pub users: Arc<dyn Users>,
    /// Holds off those who guess: whoever sits at somebody's open session is one more of them.
    pub guard: Arc<Guard>,
    /// Who failed to log in, and what was told of it.
    pub history: Arc<dyn LoginHistory>,
    /// Checks the old one and hashes the new one.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Which passwords may be chosen.
    pub policy: PasswordPolicy,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The old password and the new one.
pub struct PasswordChangeRequest {
    /// Proves that it is not a stranger at somebody's open session.
    pub current: Password,
    /// What it is to be.
    pub new: Password,
}

/// A change that may be made. Nothing but [`ChangePassword::prepare`] makes one.
pub struct NewPassword {
    user: UserId,
    epoch: u64,
    hash: PasswordHash,
}

/// Why the password stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The current password is another one.
    #[error("the current password is not right")]
    WrongPassword,
    /// The new password may not be chosen.
    #[error("the new password is not acceptable")]
    Refused(FieldError),
    /// The user changed meanwhile: another password, other roles, suspended or deleted. The caller's token is dead.
    #[error("the token has been revoked")]
    Revoked,
    /// Too many guessed the current password here, or at the login.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When to try again.
        retry_after: Duration,
    },
    /// No room for another password.
    #[error("too many passwords are waiting to be checked")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ChangePassword {
    /// Checks the caller's password, which counts as an attempt to log in, and hashes the new one. Dropping the future
    /// gives the place in the queue back.
    ///
    /// # Errors
    /// See [`ChangePasswordError`].
    pub async fn prepare(
        &self,
        caller: &Caller,
        request: PasswordChangeRequest,
        context: &RequestContext,
    ) -> Result<NewPassword, ChangePasswordError> {
        let user = caller.user();
        let account = self.users.account(user.id).await?.ok_or(ChangePasswordError::Revoked)?;
        let same = request.new.expose() == request.current.expose();
        self.prove(&account, request.current, context).await?;
        if same {
            return Err(refused("must differ from the current password"));
        }
        let choice = PasswordChoice {
            password: request.new,
            email: account.user.email,
            username: account.user.username,
            policy: self.policy.clone(),
        };
        let hash = self.hasher.choose(choice, context.address).await?.map_err(refused)?;
        // The caller's epoch, not the one just read: whatever raised it since has made his token worthless.
        Ok(NewPassword { user: user.id, epoch: user.epoch, hash })
    }

    async fn prove(
        &self,
        account: &Account,
        current: Password,
        context: &RequestContext,
    ) -> Result<(), ChangePasswordError> {
        let name = LoginName::Email(account.user.email.clone());
        self.hasher.room(context.address)?;
        let attempt = self.guard.admit(Some(&name), "", context).await?;
        match self.hasher.verify(current, Some(account.password.clone()), context.address).await {
            Ok(Verdict::Match { .. }) => Ok(self.guard.let_in(&attempt).await?),
            Ok(Verdict::Mismatch) => {
                let report = Report::new(self.clock.now(), context);
                let report = self.guard.tell_failure(&attempt, report, context);
                if !report.events.is_empty() {
                    self.history.failed(Some(account.user.id), &report).await?;
                }
                Err(ChangePasswordError::WrongPassword)
            }
            Err(error) => {
                self.guard.give_back(&attempt).await?;
                Err(error.into())
            }
        }
    }

    /// Changes the password, raises the user's epoch and ends all his sessions. Says when it was changed. Should run to
    /// its end once it has begun.
    ///
    /// # Errors
    /// See [`ChangePasswordError`]; then nothing was written. After [`ChangePasswordError::Store`] it may have been:
    /// trying again tells.
    pub async fn change(
        &self,
        new: NewPassword,
        context: &RequestContext,
    ) -> Result<Timestamp, ChangePasswordError> {
        let now = self.clock.now();
        let report = Report::new(now, context).tell(Event::PasswordChanged);
        let change = UserChange { password: Some(new.hash), ..UserChange::default() };
        match self
            .users
            .change(new.user, new.epoch, &change, &report)
            .await
            .map_err(WriteUserError::unless_taken)?
        {
            Changed::Yes => Ok(now),
            Changed::Superseded => Err(ChangePasswordError::Revoked),
        }
    }
}

fn refused(why: impl ToString) -> ChangePasswordError {
    ChangePasswordError::Refused(FieldError::new("new_password", why))
}

impl From<GuardError> for ChangePasswordError {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::TooMany { retry_after } => Self::TooManyAttempts { retry_after },
            GuardError::Store(error) => Self::Store(error),
        }
    }
}

impl From<HashError> for ChangePasswordError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            HashError::Unusable(why) => Self::Store(StoreError::Corrupt(why.to_owned())),
        }
    }
}
