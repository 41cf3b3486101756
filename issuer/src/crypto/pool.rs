use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::telemetry::Stopwatch;

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
        let ticket = self.shared.enqueue(client.map(client_key), work)?;
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
}

impl Shared {
    fn enqueue(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        work: Box<dyn FnOnce() + Send>,
    ) -> Result<Ticket, PoolError> {
        let mut state = self.state();
        let taken = client.and_then(|client| state.places.get(&client)).copied().unwrap_or(0);
        if state.waiting.len() >= self.settings.queue || taken >= self.settings.per_client {
            return Err(PoolError::Full);
        }
        if let Some(client) = client {
            state.places.insert(client, taken + 1);
        }
        state.tickets += 1;
        let ticket = state.tickets;
        let place = Place { shared: Arc::clone(self), client };
        state.waiting.push_back(Waiting { ticket, place, work, since: Stopwatch::start() });
        self.watch.waiting(state.waiting.len());
        drop(state);
        self.wake.notify_one();
        Ok(Ticket { shared: Arc::clone(self), number: ticket })
    }

    /// The life of one thread.
    fn work(&self) {
        step_back();
        while let Some(Waiting { place, work, since, .. }) = self.next() {
            self.watch.begins_after(since.elapsed());
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

/// Who controls one IPv6 address usually controls its whole /64.
fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
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
mod tests {
    use std::pin::Pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use super::*;

    fn pool(threads: usize, queue: usize, per_client: usize) -> Arc<Pool> {
        let deadline = Duration::from_secs(60);
        Arc::new(Pool::start(PoolSettings { threads, queue, per_client, deadline }).unwrap())
    }

    fn client(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    /// Polls once, as the runtime would.
    fn is_pending<F: Future>(future: &mut Pin<Box<F>>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Work that runs until the returned sender is dropped; comes back once it has begun.
    async fn occupy(
        pool: &Arc<Pool>,
        client: Option<IpAddr>,
    ) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), PoolError>>) {
        let (finish, finished) = mpsc::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let pool = Arc::clone(pool);
        let running = tokio::spawn(async move {
            pool.run(client, move || {
                begin.send(()).unwrap();
                let _finished = finished.recv();
            })
            .await
        });
        begun.await.unwrap();
        (finish, running)
    }

    #[tokio::test]
    async fn work_is_done_on_a_thread_of_the_pool() {
        let name = pool(1, 1, 1).run(None, || thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, Ok(Some("password-0".to_owned())));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let pool = pool(1, 1, 9);
        let (finish, running) = occupy(&pool, client(1)).await;
        let mut waiting = Box::pin(pool.run(client(2), || 2));
        assert!(is_pending(&mut waiting));
        assert_eq!(pool.run(client(3), || 3).await, Err(PoolError::Full));
        drop(finish);
        assert_eq!(waiting.await, Ok(2));
        assert_eq!(running.await.unwrap(), Ok(()));
        assert_eq!(pool.run(client(3), || 3).await, Ok(3));
    }

    #[tokio::test]
    async fn one_client_has_its_share_and_no_more() {
        let pool = pool(1, 64, 2);
        let (finish, _running) = occupy(&pool, client(1)).await;
        let mut waiting = Box::pin(pool.run(client(1), || ()));
        assert!(is_pending(&mut waiting));
        assert_eq!(pool.run(client(1), || ()).await, Err(PoolError::Full));
        let mut other = Box::pin(pool.run(client(2), || ()));
        assert!(is_pending(&mut other));
        drop(finish);
        assert_eq!(waiting.await, Ok(()));
        assert_eq!(other.await, Ok(()));
    }

    #[tokio::test]
    async fn hanging_up_gives_a_waiting_place_back_but_not_a_running_one() {
        let pool = pool(1, 1, 2);
        let (finish, running) = occupy(&pool, client(1)).await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        let mut waiting = Box::pin(pool.run(client(1), || ()));
        assert!(is_pending(&mut waiting));
        drop(waiting);
        let mut again = Box::pin(pool.run(client(1), || ()));
        assert!(is_pending(&mut again), "the place was given back");
        assert_eq!(pool.run(client(1), || ()).await, Err(PoolError::Full), "the running one was not");
        drop(finish);
        assert_eq!(again.await, Ok(()));
        // A place is given back just after the answer: the next piece of work on the only thread comes later.
        pool.run(None, || ()).await.unwrap();
        assert!(pool.shared.state().places.is_empty());
    }

    #[tokio::test]
    async fn work_that_waits_too_long_is_refused_and_never_done() {
        let pool = pool(1, 1, 9);
        let (finish, running) = occupy(&pool, client(1)).await;
        let (ran, has_run) = mpsc::channel::<()>();
        let late = pool.run_within(Duration::ZERO, client(2), move || drop(ran)).await;
        assert_eq!(late, Err(PoolError::Full));
        assert!(has_run.recv().is_err(), "the work was dropped, not kept");
        drop(finish);
        assert_eq!(running.await.unwrap(), Ok(()));
        assert!(!pool.shared.state().places.contains_key(&IpAddr::from([192, 0, 2, 2])));
    }

    #[tokio::test]
    async fn work_that_has_begun_is_waited_for() {
        let pool = pool(1, 1, 9);
        let (begin, begun) = mpsc::channel();
        let (finish, finished) = mpsc::channel::<()>();
        let work = move || {
            begin.send(()).unwrap();
            let _finished = finished.recv();
        };
        let mut running = Box::pin(pool.run_within(Duration::from_millis(1), client(1), work));
        assert!(is_pending(&mut running));
        // Nothing polls the future until the thread has the work, so its deadline cannot be noticed before.
        begun.recv().unwrap();
        drop(finish);
        assert_eq!(running.await, Ok(()));
    }

    /// Writes down what it sees.
    #[derive(Default)]
    struct Seen {
        waiting: Mutex<Vec<usize>>,
        begun: Mutex<usize>,
    }

    impl PoolWatch for Seen {
        fn waiting(&self, number: usize) {
            self.waiting.lock().unwrap().push(number);
        }

        fn begins_after(&self, _: Duration) {
            *self.begun.lock().unwrap() += 1;
        }
    }

    #[tokio::test]
    async fn who_watches_sees_the_queue_grow_and_shrink() {
        let seen = Arc::new(Seen::default());
        let settings = PoolSettings { threads: 1, ..PoolSettings::default() };
        let pool = Arc::new(Pool::start_watched(settings, seen.clone()).unwrap());
        let (finish, running) = occupy(&pool, client(1)).await;
        let mut first = Box::pin(pool.run(client(2), || ()));
        let mut second = Box::pin(pool.run(client(3), || ()));
        assert!(is_pending(&mut first) && is_pending(&mut second));
        drop(first);
        drop(finish);
        assert_eq!((second.await, running.await.unwrap()), (Ok(()), Ok(())));
        assert_eq!(*seen.waiting.lock().unwrap(), [1, 0, 1, 2, 1, 0]);
        assert_eq!(*seen.begun.lock().unwrap(), 2, "work that was withdrawn never began");
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer_and_no_thread() {
        let pool = pool(1, 1, 1);
        assert_eq!(pool.run(client(1), || panic!("on purpose")).await, Err::<(), _>(PoolError::Failed));
        assert_eq!(pool.run(client(2), || 2).await, Ok(2));
        assert!(!pool.shared.state().places.contains_key(&IpAddr::from([192, 0, 2, 1])));
    }

    #[test]
    fn a_network_is_one_client() {
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
