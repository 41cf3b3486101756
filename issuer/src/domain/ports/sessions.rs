use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::event::Report;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::page::Place;
use crate::domain::session::{Session, Standing};

/// Open sessions. What holds for a [`Report`] given to [`Users`](super::Users) holds here.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Opens the session if its user is still active and still in the epoch that the session names: one
    /// transaction, so that a change of password or a suspension in between wins.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn open(&self, session: &Session, report: &Report) -> Result<Opened, StoreError>;

    /// The session with that id, if it has not been ended; it may have run out.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// The same, with its user and what he may do, as of now: never from a cache or a lagging replica. What is read of
    /// the user is not older than the session, and his permissions not older than he.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn standing(&self, id: SessionId) -> Result<Option<Standing>, StoreError>;

    /// Puts `new` in the place of `old`, provided that `old`'s refresh token is still the current one: one conditional
    /// write, so that of many exchanges of one token, on any number of replicas, one happens. A later
    /// [`by_id`](Self::by_id) of whoever lost sees what the winner wrote.
    ///
    /// # Errors
    /// When the store cannot answer; then it may have happened or not.
    async fn exchange(&self, old: &Session, new: &Session) -> Result<Exchanged, StoreError>;

    /// Ends the session, for ever, and revokes its tokens. Says whether there was one.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn end(&self, id: SessionId, report: &Report) -> Result<bool, StoreError>;

    /// Ends all sessions of a user, raises his epoch and revokes the tokens of older ones. Says whether there is such
    /// a user.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn end_all(&self, user: UserId, report: &Report) -> Result<bool, StoreError>;

    /// At most `limit` of the user's sessions that are open at `now`: the latest login first, and only those behind
    /// `after`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn page(
        &self,
        user: UserId,
        after: Option<Place>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError>;
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Opened {
    /// It is open.
    Yes,
    /// The user changed since the password was checked; nothing was written.
    Superseded,
}

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Exchanged {
    /// It happened.
    Yes,
    /// The token is not the current one any more, or the session has ended; nothing was written.
    Lost,
}
