use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Changed, StoreError, WriteUserError};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::one_time::{FoundToken, Purpose, TokenOwner};
use crate::domain::outbox::fate::Fate;
use crate::domain::outbox::{Channel, Claim, Claimed, OutboxEntry, OutboxStatus, Replay, Troubled};
use crate::domain::revocation::RevocationPage;
use crate::domain::token::TokenFingerprint;
use crate::domain::user::UserChange;

/// What waits to be told to the rest of the system, on its way out.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The user's events that have not been removed yet, in their order.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn of_user(&self, user: UserId) -> Result<Vec<OutboxEntry>, StoreError>;

    /// Takes what is due out of the others' sight until the claim ends: all that is due of those users whose entries
    /// have waited longest, so that no two claims ever hold the front of one user's line at a time. Reads at most
    /// `limit` of it. What is not settled by the end of the claim is due again.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError>;

    /// Writes what became of entries, and gives the rest of the claim back, due at `now`. What has left stays so,
    /// even if the claim has ended meanwhile.
    ///
    /// # Errors
    /// When the store cannot answer; then some of it may be written, and the rest is due when the claim ends.
    async fn settle(
        &self,
        claimed: &Claimed,
        fates: &[(Uuid, Fate)],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Removes what was kept long enough: and, if they are `unheard` because nobody is there to be told, also events
    /// that wait, once they are as old.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn sweep(&self, now: Timestamp, unheard: bool) -> Result<(), StoreError>;

    /// How the outbox is doing.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn status(&self, channel: Channel) -> Result<OutboxStatus, StoreError>;

    /// At most `limit` entries that were tried in vain, those that are given up first, then the oldest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn troubled(&self, channel: Channel, limit: u32) -> Result<Vec<Troubled>, StoreError>;

    /// Makes entries wait again, due at once and as if never tried, and with them all that only waits for its next
    /// attempt or behind another entry. Says how many there were.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn replay(&self, which: &Replay, now: Timestamp) -> Result<u64, StoreError>;

    /// Changes whenever this process has written events. Others may have, too: look from time to time.
    fn news(&self) -> watch::Receiver<u64>;
}

/// Mails with links, and the one-time tokens in them. What holds for a [`Report`] given to [`Users`](super::Users) holds here.
#[async_trait]
pub trait Letters: Send + Sync {
    /// Writes the report and nothing else: about a user who is still in the epoch that `owner` names; or about nobody,
    /// with the same operations, so that the time it takes does not tell the two apart.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn post(&self, owner: Option<TokenOwner>, report: &Report) -> Result<Changed, StoreError>;

    /// The token with that fingerprint, if it is somebody's, for that purpose, unused, and good at `now`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn find(
        &self,
        purpose: Purpose,
        fingerprint: TokenFingerprint,
        now: Timestamp,
    ) -> Result<Option<FoundToken>, StoreError>;

    /// Uses the token up and [changes](super::Users::change) its owner, who must still be in its epoch: both or neither, in one
    /// transaction. Of many attempts with one token, on any number of replicas, one happens.
    ///
    /// # Errors
    /// As [`Users::change`](super::Users::change).
    async fn redeem(
        &self,
        token: &FoundToken,
        change: &UserChange,
        report: &Report,
    ) -> Result<Changed, WriteUserError>;
}

/// Which tokens are dead, in the order in which they died.
#[async_trait]
pub trait Revocations: Send + Sync {
    /// At most `limit` entries behind the place `after` that have to be known at `now`, and the newest place.
    /// An entry that a later read shows is behind every entry that this one shows.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn after(&self, after: u64, limit: u32, now: Timestamp) -> Result<RevocationPage, StoreError>;

    /// Changes whenever this process has written a revocation. Others may have, too.
    fn news(&self) -> watch::Receiver<u64>;
}
