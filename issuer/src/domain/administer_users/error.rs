use std::time::Duration;

use crate::domain::existing_roles::ExistingError;
use crate::domain::field::FieldError;
use crate::domain::ports::{StoreError, WriteUserError};
use crate::domain::register::RegisterError;

/// Why an administrator's wish was not fulfilled. Nothing was written; after [`AdministerUserError::Store`] it may have been:
/// looking tells.
#[derive(Debug, thiserror::Error)]
pub enum AdministerUserError {
    /// The user, or what he is to get, has permissions that the actor lacks.
    #[error("the actor lacks permissions for this")]
    Forbidden,
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// Something in the request is not acceptable; all of it at once.
    #[error("the request is not acceptable")]
    Invalid(Vec<FieldError>),
    /// Another user has that e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another user has that name.
    #[error("the user name is taken")]
    UsernameTaken,
    /// Nobody would be left who can administer.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// Others change the same user all the time.
    #[error("the user was changed by somebody else meanwhile")]
    Conflict,
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

impl From<WriteUserError> for AdministerUserError {
    fn from(error: WriteUserError) -> Self {
        match error {
            WriteUserError::EmailTaken => Self::EmailTaken,
            WriteUserError::UsernameTaken => Self::UsernameTaken,
            WriteUserError::LastAdministrator => Self::LastAdministrator,
            WriteUserError::Store(error) => Self::Store(error),
        }
    }
}

impl From<RegisterError> for AdministerUserError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Invalid(errors) => Self::Invalid(errors),
            RegisterError::EmailTaken => Self::EmailTaken,
            RegisterError::UsernameTaken => Self::UsernameTaken,
            RegisterError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            RegisterError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ExistingError> for AdministerUserError {
    fn from(error: ExistingError) -> Self {
        match error {
            ExistingError::Invalid(errors) => Self::Invalid(errors),
            ExistingError::Store(error) => Self::Store(error),
        }
    }
}
