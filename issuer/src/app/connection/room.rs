use std::sync::Arc;

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many connections there may be at once, and what to do when there are as many.
#[derive(Clone)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    all: usize,
    /// Somebody waits for a place. Those who are idle hear of it one by one, the longest idle first.
    wanted: Arc<Notify>,
}

impl Room {
    /// Room for that many.
    pub(crate) fn for_many(connections: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(connections)), all: connections, wanted: Arc::default() }
    }

    /// A place: at once, or else as soon as somebody leaves, which one of those who are idle is asked to do.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        self.wanted.notify_one();
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Whether nobody is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.available_permits() == self.all
    }

    /// Comes to its end when it is this idle connection's turn to leave.
    pub(super) fn wanted(&self) -> OwnedNotified {
        Arc::clone(&self.wanted).notified_owned()
    }
}
