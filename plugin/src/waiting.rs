use doorward_gate::{Need, UnixTime};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How long a request may wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many requests of one worker may wait at once, and how many bytes of heads.
const MAX_WAITERS: usize = 1_000;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What has become of a request so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is decided: body and trailers wait with the head.
    Held,
    /// It goes on.
    Passed,
    /// It got its answer here.
    Answered,
}

/// A request that waits.
pub(crate) struct Waiter {
    /// The request.
    pub(crate) context_id: u32,
    /// Where its callbacks look whether it still waits.
    pub(crate) stage: Rc<Cell<Stage>>,
    /// Its head, as the host gave it.
    pub(crate) head: Vec<u8>,
    need: Need,
    until: UnixTime,
}

/// Everybody who waits, bounded, so that an outage does not fill the VM.
#[derive(Default)]
pub(crate) struct WaitingRoom {
    waiters: RefCell<Vec<Waiter>>,
}

impl WaitingRoom {
    /// Takes a request in, and says where its stage will show; `None` when the room is full.
    pub(crate) fn enter(
        &self,
        context_id: u32,
        head: Vec<u8>,
        need: Need,
        now: UnixTime,
    ) -> Option<Rc<Cell<Stage>>> {
        let mut waiters = self.waiters.borrow_mut();
        let bytes = waiters.iter().map(|waiter| waiter.head.len()).fold(head.len(), usize::saturating_add);
        if waiters.len() >= MAX_WAITERS || bytes > MAX_BYTES {
            return None;
        }
        let stage = Rc::new(Cell::new(Stage::Held));
        let until = now.saturating_add(PATIENCE);
        waiters.push(Waiter { context_id, stage: Rc::clone(&stage), head, need, until });
        Some(stage)
    }

    /// Those who need one of these, and those whose time is up, which is said with them.
    pub(crate) fn leave(&self, news: &[Need], now: UnixTime) -> Vec<(Waiter, bool)> {
        // An end that is further off than anybody waits is from before the clock was set back.
        let is_over = |waiter: &Waiter| waiter.until <= now || waiter.until > now.saturating_add(PATIENCE);
        let done = |waiter: &mut Waiter| news.contains(&waiter.need) || is_over(waiter);
        let leaving = self.waiters.borrow_mut().extract_if(.., done).collect::<Vec<_>>();
        leaving
            .into_iter()
            .map(|waiter| (is_over(&waiter), waiter))
            .map(|(over, waiter)| (waiter, over))
            .collect()
    }

    /// Somebody who left needs something else, too; no longer than before.
    pub(crate) fn come_back(&self, waiter: Waiter, need: Need) {
        self.waiters.borrow_mut().push(Waiter { need, ..waiter });
    }

    /// A client that is gone waits no more.
    pub(crate) fn forget(&self, context_id: u32) {
        self.waiters.borrow_mut().retain(|waiter| waiter.context_id != context_id);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.borrow().is_empty()
    }

    /// How many wait now.
    pub(crate) fn len(&self) -> usize {
        self.waiters.borrow().len()
    }
}
