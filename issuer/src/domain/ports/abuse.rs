use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::alert::KeptAlert;
use crate::domain::attempts::{Admission, Counter, CounterKey};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::login_history::{Acquaintance, LoginEntry};
use crate::domain::page::Place;

/// Counters of attempts. Each method is one atomic write: of however many at once, on any number of replicas, no more are
/// admitted than [`judge`](crate::domain::attempts::judge) lets pass one after the other.
#[async_trait]
pub trait Attempts: Send + Sync {
    /// Judges an attempt by all counters together, and counts it if it passes, in the order of the counters. A refusal writes nothing, and takes nothing
    /// that writing needs: a flood of attempts that are refused is in nobody's way.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn admit(&self, counters: &[Counter], now: Timestamp) -> Result<Admission, StoreError>;

    /// Takes an admitted attempt out again.
    ///
    /// # Errors
    /// When the store cannot do it.
    async fn give_back(&self, counters: &[Counter], now: Timestamp) -> Result<(), StoreError>;

    /// Takes an admitted attempt out again because it was right, and remembers for so long that it was.
    ///
    /// # Errors
    /// When the store cannot do it.
    async fn proven(
        &self,
        counters: &[Counter],
        now: Timestamp,
        familiar: Duration,
    ) -> Result<(), StoreError>;

    /// Forgets all attempts on these accounts, which are names of that user's, and tells if there were any.
    ///
    /// # Errors
    /// When the store cannot do it.
    async fn unlock(&self, accounts: &[CounterKey], user: UserId, report: &Report) -> Result<(), StoreError>;
}

/// Who logged in as whom, and who tried. Logins that succeed are written down by [`Sessions::open`](super::Sessions::open),
/// from [`Report::login`].
#[async_trait]
pub trait LoginHistory: Send + Sync {
    /// Writes down [`Report::login`], a login that failed, and tells of it if there is such a user. It is one write of one
    /// shape either way, so that how long it takes says nothing about who exists.
    ///
    /// # Errors
    /// When the store cannot do it.
    async fn failed(&self, user: Option<UserId>, report: &Report) -> Result<(), StoreError>;

    /// At most `limit` of the user's logins: the latest first, and only those behind `after`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn logins(
        &self,
        user: UserId,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<LoginEntry>, StoreError>;

    /// Whether the user logged in before, and with the device of that name.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn acquaintance(&self, user: UserId, device: &str) -> Result<Acquaintance, StoreError>;
}

/// Alerts that were raised. They are written together with their events.
#[async_trait]
pub trait Alerts: Send + Sync {
    /// At most `limit` of them: the latest first, and only those behind `after`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn raised(&self, after: Option<Place>, limit: u32) -> Result<Vec<KeptAlert>, StoreError>;
}

/// Turns what a counter counts into its name.
pub trait Blinder: Send + Sync {
    /// The same for the same parts, on every replica; and no way back without a key that the store does not have.
    fn blind(&self, parts: &[&[u8]]) -> CounterKey;
}
