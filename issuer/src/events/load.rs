use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::outbox::fate::{Fate, Outcome};
use crate::domain::outbox::{Channel, OutboxEntry};

/// What a relay carries: which entries of the outbox, where to, and what becomes of them.
#[async_trait]
pub trait Load: Send + Sync {
    /// The way out of the outbox that it takes.
    fn channel(&self) -> Channel;

    /// Where it is published.
    fn exchange(&self) -> &'static str;

    /// The entry as a message; or what becomes of it, if there is nothing to publish.
    async fn pack(&self, entry: &OutboxEntry, now: Timestamp) -> Result<Message, Fate>;

    /// What becomes of an entry that was published.
    fn judge(&self, entry: &OutboxEntry, outcome: Outcome, now: Timestamp) -> Fate;
}

/// Something to publish. Without `Debug`: a mail job holds a live link.
pub struct Message {
    /// So that whoever gets it twice knows it again.
    pub id: Uuid,
    /// What queues are bound by.
    pub routing_key: String,
    /// The media type of the body.
    pub content_type: &'static str,
    /// What it says.
    pub body: Vec<u8>,
}

/// Hears what becomes of entries.
pub trait RelayWatch: Send + Sync {
    /// One was tried. `age` is the time since it happened.
    fn tried(&self, outcome: &'static str, age: Duration);
}

/// What the broker said to a message, in one word.
pub(super) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "published",
        Outcome::Unroutable => "unroutable",
        Outcome::Refused { .. } => "refused",
        Outcome::Lost => "lost",
    }
}

/// How long ago it happened.
pub(super) fn age(entry: &OutboxEntry, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(entry.at)).unwrap_or_default()
}
