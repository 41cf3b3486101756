use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// How many connections there may be at once, and what to do when there are as many.
#[derive(Clone)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    all: usize,
    /// As many as wait for a place. Those who are idle take these wishes one by one, the longest idle first, and leave.
    wishes: Arc<Semaphore>,
}

impl Room {
    /// Room for that many.
    pub(crate) fn for_many(connections: usize) -> Self {
        let places = Arc::new(Semaphore::new(connections));
        Self { places, all: connections, wishes: Arc::new(Semaphore::new(0)) }
    }

    /// A place: at once, or else as soon as somebody leaves, which one of those who are idle is asked to do.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        self.wishes.add_permits(1);
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        // Whoever left may not have been asked to: then nobody else need leave.
        if let Ok(wish) = self.wishes.try_acquire() {
            wish.forget();
        }
        place
    }

    /// Whether nobody is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.available_permits() == self.all
    }

    /// Has a permit, to be forgotten, when it is this idle connection's turn to leave.
    pub(super) fn wanted(&self) -> PollSemaphore {
        PollSemaphore::new(Arc::clone(&self.wishes))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    /// Whether this idle connection, asked now, has to leave.
    fn leaves(idle: &mut PollSemaphore) -> bool {
        let wish = poll_fn(|cx| idle.poll_acquire(cx)).now_or_never().flatten();
        wish.map(OwnedSemaphorePermit::forget).is_some()
    }

    #[tokio::test]
    async fn the_longest_idle_is_asked_to_leave_and_nobody_else() {
        let room = Room::for_many(1);
        let place = room.place().await;
        let (mut longest, mut shorter) = (room.wanted(), room.wanted());
        assert!(!leaves(&mut longest));
        assert!(!leaves(&mut shorter));
        let mut next = pin!(room.place());
        assert!(next.as_mut().now_or_never().is_none());
        assert!(!leaves(&mut shorter));
        assert!(leaves(&mut longest));
        drop(place);
        assert!(next.now_or_never().flatten().is_some());
        assert!(!leaves(&mut shorter));
    }

    #[tokio::test]
    async fn whoever_leaves_unasked_lets_the_others_stay() {
        let room = Room::for_many(1);
        let place = room.place().await;
        let mut next = pin!(room.place());
        assert!(next.as_mut().now_or_never().is_none());
        drop(place);
        assert!(next.now_or_never().flatten().is_some());
        assert!(!leaves(&mut room.wanted()));
    }
}
