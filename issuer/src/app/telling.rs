use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use super::stores::Stores;
use crate::config::Config;
use crate::domain::clock::{Clock, Random};
use crate::domain::outbox::{Delivery, Link};
use crate::domain::ports::Outbox;
use crate::events::keeper::Keeper;
use crate::events::relay::Relay;
use crate::events::told::Told;
use crate::telemetry::metrics::Metrics;

/// The outbox of the store that the configuration names; needs no master key.
///
/// # Errors
/// When the store cannot be opened.
pub async fn outbox(config: &Config) -> Result<Arc<dyn Outbox>, StartError> {
    Ok(Stores::open(&config.store, Arc::new(Metrics::new())).await?.outbox)
}

/// What tells the rest of the system what has happened, ready to run.
pub(super) struct Telling {
    keeper: Keeper,
    relays: Vec<Relay>,
    /// How it goes.
    pub(super) health: watch::Receiver<Delivery>,
}

/// The same, running.
pub(super) struct Running {
    tasks: TaskTracker,
    end: CancellationToken,
}

/// How long what was written last may take to leave.
const FLUSH: Duration = Duration::from_millis(1500);

impl Telling {
    /// As the configuration says, and with what carries mails to the broker, if anything does.
    pub(super) fn new(
        config: &Config,
        mails: Option<Relay>,
        outbox: Arc<dyn Outbox>,
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
        metrics: Arc<Metrics>,
    ) -> Self {
        let events = config.events.as_ref();
        let link = if events.is_some() { Link::Unavailable } else { Link::Off };
        let (sender, health) = watch::channel(Delivery { link, parked: 0 });
        let relay = events.map(|events| {
            let (source, required) = (config.token.issuer.clone(), events.required.clone());
            Relay {
                load: Box::new(Told { source, required, watch: metrics.clone() }),
                outbox: outbox.clone(),
                broker: events.broker.clone(),
                clock: clock.clone(),
                random,
                health: sender.clone(),
            }
        });
        let keeper = Keeper { outbox, unheard: relay.is_none(), clock, watch: metrics, health: sender };
        Self { keeper, relays: relay.into_iter().chain(mails).collect(), health }
    }

    /// Starts.
    pub(super) fn start(self: Arc<Self>) -> Running {
        let running = Running { tasks: TaskTracker::new(), end: CancellationToken::new() };
        let (telling, end) = (self.clone(), running.end.clone());
        running.tasks.spawn(async move { telling.keeper.run(end).await });
        for relay in 0..self.relays.len() {
            let (telling, end) = (self.clone(), running.end.clone());
            running.tasks.spawn(async move {
                if let Some(relay) = telling.relays.get(relay) {
                    relay.run(end).await;
                }
            });
        }
        running.tasks.close();
        running
    }
}

impl Running {
    /// Sends what is left, if that does not take long, and stops.
    pub(super) async fn stop(self) {
        self.end.cancel();
        if timeout(FLUSH, self.tasks.wait()).await.is_err() {
            tracing::info!("what has not been told yet waits for the next start");
        }
    }
}
