use async_trait::async_trait;

use super::StoreError;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::page::Place;
use crate::domain::password::PasswordHash;
use crate::domain::user::{Account, User, UserChange, UserQuery};
use crate::domain::username::LoginName;

/// Users and their password hashes.
///
/// A method that takes a [`Report`] writes the state, the report's events, and the revocations that follow from the
/// change in one transaction; if it changes nothing, it tells nothing. Every method answers within about three seconds, with [`StoreError::Unavailable`] if need be; what it wrote when
/// it answers `Ok` survives a crash; dropping the future half way leaves the whole write or none of it.
#[async_trait]
pub trait Users: Send + Sync {
    /// Adds an account.
    ///
    /// # Errors
    /// [`WriteUserError::EmailTaken`] and [`WriteUserError::UsernameTaken`] come from a unique index, never from
    /// a look beforehand; nothing is ever overwritten. Roles are kept as they are
    /// named, in their order; a name that no role has carries no permissions.
    async fn insert(&self, account: &Account, report: &Report) -> Result<(), WriteUserError>;

    /// The user with that id, as of now: never from a cache or a lagging replica.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The same, with the password hash.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError>;

    /// The user with that name, with the password hash; as of now, too.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn by_login(&self, login: &LoginName) -> Result<Option<Account>, StoreError>;

    /// At most `limit` accounts in the order of their ids, and only those behind `after`: all of them, page by page, while
    /// others write.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Account>, StoreError>;

    /// Puts `new` in the place of `old`, a hash of the same password, unless the hash has changed since.
    /// Says whether it did. Neither the epoch nor `updated_at` moves.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn replace_hash(
        &self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, StoreError>;

    /// At most `limit` of the users that the query is about: the newest first, and only those behind `after`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn list(
        &self,
        query: &UserQuery,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError>;

    /// Changes a user who is still in `epoch`, and moves `updated_at`. What the change cuts off
    /// ([`UserChange::cuts`]) is cut off in the same transaction: the epoch rises by one and the tokens of older epochs
    /// are revoked; and if sessions end, all of them do. Together with
    /// [`Sessions::open`](super::Sessions::open) this means that no session that the old password opened, or was about
    /// to open, is left.
    ///
    /// # Errors
    /// As [`insert`](Self::insert), when the address or name belongs to somebody else; and
    /// [`WriteUserError::LastAdministrator`] when nobody would be left who is open and has all that an
    /// [administrator](crate::domain::permit::ADMINISTRATION) has, and somebody is now. That is decided in the transaction: of two
    /// administrators who close each other's accounts at the same time, one stays.
    async fn change(
        &self,
        id: UserId,
        epoch: u64,
        change: &UserChange,
        report: &Report,
    ) -> Result<Changed, WriteUserError>;

    /// Removes a user who is still in `epoch` and his sessions, and revokes all his tokens.
    ///
    /// # Errors
    /// [`WriteUserError::LastAdministrator`], as [`change`](Self::change).
    async fn delete(&self, id: UserId, epoch: u64, report: &Report) -> Result<Changed, WriteUserError>;
}

/// What became of a change of something that others may change too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Changed {
    /// It happened.
    Yes,
    /// It is not what it was by now, or gone; nothing was written.
    Superseded,
}

/// Why an account was not added or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteUserError {
    /// Another user has that e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another user has that name.
    #[error("the user name is taken")]
    UsernameTaken,
    /// Nobody would be left who can administer.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WriteUserError {
    /// What is wrong if neither address, name, roles nor status were written.
    #[must_use]
    pub fn unless_taken(self) -> StoreError {
        match self {
            Self::Store(error) => error,
            other => StoreError::Corrupt(other.to_string()),
        }
    }
}
