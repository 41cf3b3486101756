use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// How many connections there may be at once, and what to do when there are as many. One waits for a place at a time: a
/// listener accepts the next connection when the last one has its place.
#[derive(Clone)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    all: usize,
    /// Whether somebody waits for a place.
    is_wanted: Arc<AtomicBool>,
    /// Given to one of those who are idle, the longest idle first.
    wishes: Arc<Semaphore>,
}

impl Room {
    /// Room for that many.
    pub(crate) fn for_many(connections: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(connections)),
            all: connections,
            is_wanted: Arc::default(),
            wishes: Arc::new(Semaphore::new(0)),
        }
    }

    /// A place: at once, or else as soon as somebody leaves, which one of those who are idle is asked to do.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        self.is_wanted.store(true, Ordering::SeqCst);
        self.wishes.add_permits(1);
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        self.is_wanted.store(false, Ordering::SeqCst);
        // Whoever left may not have been asked to.
        if let Ok(wish) = self.wishes.try_acquire() {
            wish.forget();
        }
        place
    }

    /// Whether nobody is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.available_permits() == self.all
    }

    /// For a connection that is idle from now on.
    pub(super) fn turn(&self) -> Turn {
        let wishes = PollSemaphore::new(Arc::clone(&self.wishes));
        Turn { is_wanted: Arc::clone(&self.is_wanted), wishes, wish: None }
    }
}

/// Tells an idle connection when it is its turn to leave. Dropped without having left, it leaves that to the next one.
pub(super) struct Turn {
    is_wanted: Arc<AtomicBool>,
    wishes: PollSemaphore,
    wish: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Ready when it is this connection's turn, for as long as its place is wanted.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.wish.is_none() {
                self.wish = ready!(self.wishes.poll_acquire(cx));
            }
            match self.wish.take_if(|_| !self.is_wanted.load(Ordering::SeqCst)) {
                // Somebody else has left since.
                Some(old) => old.forget(),
                None => return Poll::Ready(()),
            }
        }
    }

    /// This connection leaves.
    pub(super) fn leave(&mut self) {
        if let Some(wish) = self.wish.take() {
            wish.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    fn is_over(turn: &mut Turn) -> bool {
        poll_fn(|cx| turn.poll(cx)).now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_longest_idle_is_asked_to_leave_and_nobody_else() {
        let room = Room::for_many(1);
        let place = room.place().await;
        let (mut longest, mut shorter) = (room.turn(), room.turn());
        assert!(!is_over(&mut longest));
        assert!(!is_over(&mut shorter));
        let mut next = pin!(room.place());
        assert!(next.as_mut().now_or_never().is_none());
        assert!(!is_over(&mut shorter));
        assert!(is_over(&mut longest));
        assert!(is_over(&mut longest), "until it leaves");
        longest.leave();
        drop((longest, place));
        assert!(next.now_or_never().flatten().is_some());
        assert!(!is_over(&mut shorter));
    }

    #[tokio::test]
    async fn whoever_does_not_leave_leaves_it_to_the_next() {
        let room = Room::for_many(1);
        let _place = room.place().await;
        let (mut longest, mut shorter) = (room.turn(), room.turn());
        let mut next = pin!(room.place());
        assert!(next.as_mut().now_or_never().is_none());
        assert!(is_over(&mut longest));
        assert!(!is_over(&mut shorter));
        drop(longest);
        assert!(is_over(&mut shorter));
    }

    #[tokio::test]
    async fn whoever_leaves_unasked_lets_the_others_stay() {
        let room = Room::for_many(1);
        let place = room.place().await;
        let mut asked = room.turn();
        let mut next = pin!(room.place());
        assert!(next.as_mut().now_or_never().is_none());
        assert!(is_over(&mut asked));
        drop(place);
        assert!(next.now_or_never().flatten().is_some());
        assert!(!is_over(&mut asked), "nobody waits any more");
        drop(asked);
        assert!(!is_over(&mut room.turn()));
    }
}
