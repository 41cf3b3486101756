use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::crypto::keeper::RingKeeper;
use crate::crypto::ring::RingError;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::with_causes;

/// How soon a revocation reaches every replica at the latest. A look is one small read.
const EVERY: Duration = Duration::from_secs(2);

/// Follows the ring in the store, and does what the passing of time asks for, until it is dropped.
pub(super) async fn keep(ring: Arc<RingKeeper>, metrics: Arc<Metrics>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    loop {
        ticks.tick().await;
        let outcome = ring.tick().await;
        metrics.key_ring_look(name(&outcome));
        // Once, not every two seconds.
        let trouble = outcome.as_ref().err().map(|error| with_causes(error));
        if trouble != said {
            match &trouble {
                Some(error) => tracing::error!(error, "the key ring cannot be followed"),
                None => tracing::info!("the key ring can be followed again"),
            }
            said = trouble;
        }
    }
}

/// For metrics.
fn name(outcome: &Result<(), RingError>) -> &'static str {
    match outcome {
        Ok(()) => "success",
        Err(RingError::Store(_)) => "store_unavailable",
        Err(RingError::Resealed) => "resealed",
        Err(_) => "failed",
    }
}
