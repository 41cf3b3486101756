use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::domain::ports::{StoreError, StoreHealth};
use crate::telemetry::Stopwatch;

/// The health of a store, asked for once a second at most; whoever asks in between gets the last answer.
///
/// A ping needs what writes need, in SQLite the one connection that writes. Strangers may ask as often as they like, and must
/// not make anybody's login wait by it.
pub struct Pulse {
    store: Arc<dyn StoreHealth>,
    last: Mutex<Option<(Stopwatch, Result<(), StoreError>)>>,
}

const FRESH: Duration = Duration::from_secs(1);

impl Pulse {
    /// The health of `store`.
    pub fn new(store: Arc<dyn StoreHealth>) -> Self {
        Self { store, last: Mutex::default() }
    }
}

#[async_trait]
impl StoreHealth for Pulse {
    async fn ping(&self) -> Result<(), StoreError> {
        // Held while the store is asked: whoever comes meanwhile waits for that answer.
        let mut last = self.last.lock().await;
        if let Some((since, answer)) = &*last
            && since.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = self.store.ping().await;
        *last = Some((Stopwatch::start(), answer.clone()));
        answer
    }
}
