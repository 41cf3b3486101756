use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{Span, info_span};

use crate::domain::guard::network;
use crate::telemetry::Stopwatch;
use crate::telemetry::traces::TARGET;

/// Threads of their own for slow work, behind a bounded queue.
///
/// Nothing else ever waits for such work: it has no thread of the async runtime, and the operating system runs it
/// after everything else. Who cannot be served soon is told at once.
pub struct Pool {
    shared: Arc<Shared>,
}

/// How much work at once.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// Threads, that is pieces of work at the same time.
    pub threads: usize,
    /// Pieces of work that may wait.
    pub queue: usize,
    /// Pieces of work, waiting or running, that one client's address may have.
    pub per_client: usize,
    /// How long a piece of work may wait.
    pub deadline: Duration,
}

impl Default for PoolSettings {
    /// As many threads as the CPU quota has cores, 64 places, 4 for each client, ten seconds.
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self { threads, queue: 64, per_client: 4, deadline: Duration::from_secs(10) }
    }
}

/// Sees how busy a [`Pool`] is. Called by everybody who comes and goes, so it must not take long.
pub trait PoolWatch: Send + Sync {
    /// So many pieces of work wait now.
    fn waiting(&self, number: usize);
    /// A piece of work begins, after that wait.
    fn begins_after(&self, wait: Duration);
}

/// Nobody looks.
impl PoolWatch for () {
    fn waiting(&self, _: usize) {}
    fn begins_after(&self, _: Duration) {}
}

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The queue is full, this client's share of it is, or the work waited too long.
    #[error("too much work is waiting")]
    Full,
    /// The work itself panicked.
    #[error("the work failed")]
    Failed,
}

impl Pool {
    /// Starts the threads. They end when the pool is dropped, each with the work in its hands.
    ///
    /// # Errors
    /// When the operating system has no more threads to give.
    pub fn start(settings: PoolSettings) -> std::io::Result<Self> {
        Self::start_watched(settings, Arc::new(()))
    }

    /// Like [`start`](Self::start), with somebody who looks.
    ///
    /// # Errors
    /// When the operating system has no more threads to give.
    pub fn start_watched(settings: PoolSettings, watch: Arc<dyn PoolWatch>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { settings, state: Mutex::default(), wake: Condvar::new(), watch });
        let pool = Self { shared: Arc::clone(&shared) };
        for number in 0..settings.threads.max(1) {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// Whether work of that client would be taken now.
    ///
    /// # Errors
    /// [`PoolError::Full`] if not.
    pub fn room(&self, client: Option<IpAddr>) -> Result<(), PoolError> {
        self.shared.room(&self.shared.state(), client.map(network)).map(drop)
    }

    /// Does `work` on one of the threads. If the future is dropped, work that still waits gives its place back at
    /// once; work that runs keeps it to the end, so that hanging up buys nobody more than his share.
    ///
    /// # Errors
    /// See [`PoolError`].
    pub async fn run<T: Send + 'static>(
        &self,
        client: Option<IpAddr>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.run_within(self.shared.settings.deadline, client, work).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        deadline: Duration,
        client: Option<IpAddr>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (sender, mut result) = oneshot::channel();
        let work = Box::new(move || drop(sender.send(work())));
        let ticket = self.shared.enqueue(client.map(network), work)?;
        match timeout(deadline, &mut result).await {
            Ok(result) => result,
            Err(_) if ticket.withdraw() => return Err(PoolError::Full),
            // It has begun: the answer is near.
            Err(_) => result.await,
        }
        .map_err(|_| PoolError::Failed)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.wake.notify_all();
    }
}

struct Shared {
    settings: PoolSettings,
    state: Mutex<State>,
    wake: Condvar,
    watch: Arc<dyn PoolWatch>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Places taken by each client, waiting or running; clients without any are not in it.
    places: HashMap<IpAddr, usize>,
    tickets: u64,
    closed: bool,
}

struct Waiting {
    ticket: u64,
    place: Place,
    work: Box<dyn FnOnce() + Send>,
    since: Stopwatch,
    trace: PoolTrace,
}

/// The work's part of the request's trace: how long it waited, and then how long it took.
struct PoolTrace {
    whole: Span,
    wait: Span,
}

impl PoolTrace {
    fn begin() -> Self {
        let whole = info_span!(target: TARGET, "password");
        let wait = info_span!(target: TARGET, parent: &whole, "password.wait");
        Self { whole, wait }
    }

    /// The wait is over.
    fn work(self) -> Span {
        drop(self.wait);
        info_span!(target: TARGET, parent: &self.whole, "password.work")
    }
}

impl Shared {
    fn enqueue(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        work: Box<dyn FnOnce() + Send>,
    ) -> Result<Ticket, PoolError> {
        let mut state = self.state();
        let taken = self.room(&state, client)?;
        if let Some(client) = client {
            state.places.insert(client, taken + 1);
        }
        state.tickets += 1;
        let ticket = state.tickets;
        let place = Place { shared: Arc::clone(self), client };
        state.waiting.push_back(Waiting {
            ticket,
            place,
            work,
            since: Stopwatch::start(),
            trace: PoolTrace::begin(),
        });
        self.watch.waiting(state.waiting.len());
        drop(state);
        self.wake.notify_one();
        Ok(Ticket { shared: Arc::clone(self), number: ticket })
    }

    /// How many places the client has, if he may have one more.
    fn room(&self, state: &State, client: Option<IpAddr>) -> Result<usize, PoolError> {
        let taken = client.and_then(|client| state.places.get(&client)).copied().unwrap_or(0);
        let full = state.waiting.len() >= self.settings.queue || taken >= self.settings.per_client;
        if full { Err(PoolError::Full) } else { Ok(taken) }
    }

    /// The life of one thread.
    fn work(&self) {
        step_back();
        while let Some(Waiting { place, work, since, trace, .. }) = self.next() {
            self.watch.begins_after(since.elapsed());
            let _work = trace.work().entered();
            // A panic has dropped the sender, which tells whoever waits; the thread lives on.
            let _panicked = catch_unwind(AssertUnwindSafe(work)).is_err();
            drop(place);
        }
    }

    fn next(&self) -> Option<Waiting> {
        let state = self.state();
        let mut state = self
            .wake
            .wait_while(state, |state| state.waiting.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let next = state.waiting.pop_front();
        self.watch.waiting(state.waiting.len());
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; if some did, the counts would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by whoever waits for the work. Dropping it takes the work out of the queue, if it is still there.
struct Ticket {
    shared: Arc<Shared>,
    number: u64,
}

impl Ticket {
    /// Whether the work was still waiting, and now never will be done.
    fn withdraw(&self) -> bool {
        let mut state = self.shared.state();
        let found = state.waiting.iter().position(|waiting| waiting.ticket == self.number);
        let withdrawn = found.and_then(|at| state.waiting.remove(at));
        if withdrawn.is_some() {
            self.shared.watch.waiting(state.waiting.len());
        }
        drop(state);
        // Its place locks the state again when it is dropped, so not before here.
        withdrawn.is_some()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// One of a client's places, from the queue to the end of the work.
struct Place {
    shared: Arc<Shared>,
    client: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut state = self.shared.state();
        match state.places.get_mut(&client) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => drop(state.places.remove(&client)),
        }
    }
}

/// Lets every other thread go first.
fn step_back() {
    // On Linux this is the calling thread; elsewhere it would be the whole process. A container may forbid it, and
    // then the bound on threads has to do.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "password threads keep normal priority");
    }
}

#[cfg(test)]
mod tests;
