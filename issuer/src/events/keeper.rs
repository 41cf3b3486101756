use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::domain::clock::Clock;
use crate::domain::outbox::{Channel, Delivery, OutboxStatus};
use crate::domain::ports::{Outbox, StoreError};
use crate::telemetry::with_causes;

/// Looks after the outbox.
pub struct Keeper {
    /// It.
    pub outbox: Arc<dyn Outbox>,
    /// Nobody is there to be told: events are dropped when they are as old as one that was told.
    pub unheard: bool,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who hears how it is doing.
    pub watch: Arc<dyn OutboxWatch>,
    /// Where it is said that events were given up.
    pub health: watch::Sender<Delivery>,
}

/// Hears how the outbox is doing.
pub trait OutboxWatch: Send + Sync {
    /// So much waits, the oldest of it for so long.
    fn outbox(&self, channel: Channel, status: &OutboxStatus, age: Duration);
}

/// How often to look.
const EVERY: Duration = Duration::from_secs(10);
/// How many looks there are to one sweep.
const SWEEP_EVERY: u32 = 30;

impl Keeper {
    /// Works until `end`.
    pub async fn run(&self, end: CancellationToken) {
        for look in (0..SWEEP_EVERY).cycle() {
            if let Err(error) = self.look(look == 0).await {
                tracing::debug!(cause = with_causes(&error), "the outbox cannot be looked after");
            }
            if timeout(EVERY, end.cancelled()).await.is_ok() {
                break;
            }
        }
    }

    async fn look(&self, sweep: bool) -> Result<(), StoreError> {
        for channel in [Channel::Events, Channel::Mail] {
            let status = self.outbox.status(channel).await?;
            let age = status.oldest.map(|oldest| self.clock.now().duration_since(oldest));
            let age = age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default();
            self.watch.outbox(channel, &status, age);
            if channel == Channel::Events {
                self.health.send_modify(|delivery| delivery.parked = status.parked);
            }
        }
        if sweep { self.outbox.sweep(self.clock.now(), self.unheard).await } else { Ok(()) }
    }
}
