//! Several workers, one board, and a provider that answers as it is told to.

use super::*;
use proptest::prelude::*;

const TIMEOUT: Duration = Duration::from_secs(2);

fn timing() -> RemoteKeys {
    RemoteKeys {
        cluster: "c".into(),
        path: "/".into(),
        authority: "a".into(),
        refresh: Duration::from_secs(60),
        timeout: TIMEOUT,
        stale_for: Duration::from_secs(300),
    }
}

/// Several workers, one board and a provider that answers as it is told to.
struct World {
    now: UnixTime,
    board: Board,
    workers: Vec<Lifecycle>,
    trusted: Vec<Option<Vec<u8>>>,
    /// Who is fetching, since when.
    in_flight: Vec<(usize, UnixTime)>,
    fetches: usize,
}

impl World {
    fn new(workers: u64) -> Self {
        Self {
            now: Duration::from_secs(1_000),
            board: Board::default(),
            workers: (0..workers).map(|me| Lifecycle::new(me * 37 + 1, timing())).collect(),
            trusted: vec![None; usize::try_from(workers).unwrap()],
            in_flight: Vec::new(),
            fetches: 0,
        }
    }

    /// Everybody has the first keys.
    fn with_keys(workers: u64) -> Self {
        let mut world = Self::new(workers);
        world.fetch(b"k1");
        world
    }

    /// Somebody asks, the provider answers, and everybody hears of it.
    fn fetch(&mut self, document: &[u8]) {
        self.round();
        self.round();
        self.answer(Some(document));
        self.round();
    }

    fn on(&mut self, worker: usize, event: Event) {
        for effect in self.workers[worker].on(event, self.now) {
            match effect {
                Effect::WriteLease(lease) => self.board.lease = Some(lease),
                Effect::WriteRecord(record) => self.board.record = Some(record),
                Effect::Fetch => {
                    self.fetches += 1;
                    self.in_flight.push((worker, self.now));
                }
                Effect::Install(document) => self.trusted[worker] = Some(document),
                Effect::Confirmed => assert!(self.trusted[worker].is_some()),
                Effect::Drop => self.trusted[worker] = None,
            }
        }
    }

    fn tick(&mut self, worker: usize) {
        let board = self.board.clone();
        self.on(worker, Event::Tick(board));
    }

    fn answer(&mut self, document: Option<&[u8]>) {
        for (worker, _) in std::mem::take(&mut self.in_flight) {
            self.on(worker, document.map_or(Event::FetchFailed, |d| Event::Fetched(d.to_vec())));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn round(&mut self) {
        (0..self.workers.len()).for_each(|worker| self.tick(worker));
    }
}

#[test]
fn four_workers_start_with_one_fetch() {
    let mut world = World::new(4);
    world.round();
    world.round();
    assert_eq!(world.fetches, 1);
    world.answer(Some(b"k1"));
    world.round();
    assert!(world.trusted.iter().all(|t| t.as_deref() == Some(b"k1")));
    assert_eq!(world.fetches, 1);
}

#[test]
fn an_unknown_kid_fetches_once_per_cool_down() {
    let mut world = World::with_keys(2);
    assert!(!world.workers[0].want(world.now), "just fetched");
    world.pass(COOL_DOWN);
    assert!(world.workers[0].want(world.now));
    world.fetch(b"k2");
    assert!(world.trusted.iter().all(|t| t.as_deref() == Some(b"k2")));
    assert!(!world.workers[1].want(world.now), "the other worker's fetch counts for all");
    assert_eq!(world.fetches, 2);
}

#[test]
fn keys_outlive_an_outage_but_not_for_ever() {
    let mut world = World::with_keys(1);
    for _ in 0..300 {
        world.pass(Duration::from_secs(1));
        world.round();
        world.answer(None);
        let age = world.now - Duration::from_secs(1_000);
        assert_eq!(world.trusted[0].is_some(), age <= timing().stale_for, "{age:?}");
    }
    assert!(world.fetches > 10 && world.fetches < 100, "{} tries", world.fetches);
    world.pass(COOL_DOWN);
    for _ in 0..3 {
        world.round();
        world.answer(Some(b"k2"));
    }
    assert_eq!(world.trusted[0].as_deref(), Some(&b"k2"[..]));
}

#[test]
fn an_unknown_kid_fetches_again_after_a_fetch_that_failed() {
    let mut world = World::with_keys(1);
    world.pass(COOL_DOWN);
    assert!(world.workers[0].want(world.now));
    world.round();
    world.round();
    world.answer(None);
    assert!(!world.workers[0].want(world.now), "not worth to wait for, but not forgotten");
    world.pass(COOL_DOWN);
    world.fetch(b"k2");
    assert_eq!(world.trusted[0].as_deref(), Some(&b"k2"[..]));
}

#[test]
fn a_clock_that_is_set_back_freezes_nothing() {
    let mut world = World::with_keys(2);
    world.now -= Duration::from_secs(900);
    assert!(world.workers[0].want(world.now));
    world.fetch(b"k2");
    assert!(world.trusted.iter().all(|t| t.as_deref() == Some(b"k2")));
}

#[test]
fn a_worker_that_dies_while_fetching_is_replaced() {
    let mut world = World::new(2);
    world.round();
    world.round();
    let (dead, _) = world.in_flight.remove(0);
    world.pass(TIMEOUT + LEASE_MARGIN);
    let other = 1 - dead;
    world.tick(other);
    world.tick(other);
    world.answer(Some(b"k1"));
    assert!(world.trusted[other].is_some());
}

proptest! {
    #[test]
    fn whatever_happens(steps in prop::collection::vec((0usize..4, 0u64..3_000, 0u8..8), 1..300)) {
        let mut world = World::new(4);
        for (worker, millis, what) in steps {
            world.pass(Duration::from_millis(millis));
            // The host ends a fetch at its timeout, whatever the provider does.
            if world.in_flight.iter().any(|(_, since)| world.now - *since >= TIMEOUT) {
                world.answer(None);
            }
            match what {
                0 => world.answer(Some(b"k1")),
                1 => world.answer(Some(b"k2")),
                2 => world.answer(None),
                3 => { let now = world.now; world.workers[worker].want(now); }
                _ => world.tick(worker),
            }
            prop_assert!(world.in_flight.len() <= 1, "one fetch for all workers");
            let loaded = world.workers[worker].fetched_at();
            if what > 3 && let Some(at) = loaded {
                prop_assert!(world.now - at <= timing().stale_for);
            }
            prop_assert_eq!(loaded.is_some(), world.trusted[worker].is_some());
        }
        // And once the provider answers, everybody gets keys.
        for _ in 0..40 {
            world.pass(Duration::from_millis(500));
            world.round();
            world.answer(Some(b"k3"));
        }
        prop_assert!(world.trusted.iter().all(Option::is_some));
    }

    #[test]
    fn the_board_survives_being_written(moment in 0u64..1 << 45, owner: u64, document: Vec<u8>, torn: Vec<u8>) {
        let at = Duration::from_millis(moment);
        let record = Record { fetched_at: at, document };
        prop_assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        let lease = Lease { owner, until: at };
        prop_assert_eq!(Lease::from_bytes(&lease.to_bytes()), Some(lease));
        let _ = (Record::from_bytes(&torn), Lease::from_bytes(&torn));
    }
}
