use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::password::{Password, PasswordHash};
use crate::domain::policy::{PasswordChoice, PasswordRefusal};

/// Judges, hashes and checks passwords where it cannot starve anything else.
///
/// Work is bounded and queued fairly by client; dropping the future gives the place in the queue back.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Whether there is room for work of that client, as of now: so that whoever has to be turned away costs nothing more.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] when there is none.
    fn room(&self, client: Option<IpAddr>) -> Result<(), HashError>;

    /// What to store of a password, if the policy lets the user have it.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] when there is no room for the work.
    async fn choose(
        &self,
        choice: PasswordChoice,
        client: Option<IpAddr>,
    ) -> Result<Result<PasswordHash, PasswordRefusal>, HashError>;

    /// Compares. With nothing stored, an unknown user, it does and takes the same and says
    /// [`Verdict::Mismatch`].
    ///
    /// # Errors
    /// [`HashError::Overloaded`] when there is no room for the work.
    async fn verify(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
        client: Option<IpAddr>,
    ) -> Result<Verdict, HashError>;
}

/// Whether a password is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is.
    Match {
        /// A hash of today's cost, scheme and pepper, if the stored one is not.
        rehash: Option<PasswordHash>,
    },
    /// It is not.
    Mismatch,
}

/// Why a password was neither hashed nor checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too much work waits already, in all or for this client, or it waited too long.
    #[error("too many passwords are waiting to be checked")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The stored hash is damaged, or made with a pepper that the ring does not have.
    #[error("the stored password hash cannot be used: {0}")]
    Unusable(&'static str),
}
