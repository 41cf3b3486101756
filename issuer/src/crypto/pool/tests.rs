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
    let key = |text: &str| network(text.parse().unwrap());
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}
