//! Several workers, one board, and an issuer that is restarted, set back and out of reach.

use super::*;
use crate::token::revocation::{Dead, Item};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;

const MAX_STALE: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(600);
const PAGE: usize = 3;

#[derive(Default)]
struct Paper(RefCell<HashMap<Slot, Vec<u8>>>);

impl Board for &Paper {
    fn read(&self, slot: Slot) -> Option<Vec<u8>> {
        self.0.borrow().get(&slot).cloned()
    }

    fn write(&mut self, slot: Slot, value: &[u8]) {
        self.0.borrow_mut().insert(slot, value.to_vec());
    }
}

/// What the issuer has written: place, time, entry.
#[derive(Default)]
struct Issuer {
    list: Vec<(u64, UnixTime, Item)>,
    newest: u64,
}

impl Issuer {
    fn revoke(&mut self, dead: Dead, now: UnixTime) {
        self.newest += 1;
        // Pages speak of whole seconds.
        let until = Duration::from_secs((now + LIFE).as_secs());
        self.list.push((self.newest, now, Item { dead, until }));
    }

    /// The store is older than it was.
    fn set_back(&mut self, entries: usize) {
        self.list.truncate(self.list.len().saturating_sub(entries));
        self.newest = self.list.last().map_or(0, |(place, ..)| *place);
    }

    fn page(&self, after: Option<u64>, now: UnixTime) -> Page {
        let known = after.filter(|after| *after <= self.newest);
        let from = known.unwrap_or(0);
        let mut rest = self.list.iter().filter(|(place, _, item)| *place > from && item.until > now);
        let items: Vec<_> = rest.by_ref().take(PAGE).collect();
        let more = rest.next().is_some();
        let next =
            items.last().map_or(if known.is_some() { from } else { self.newest }, |(place, ..)| *place);
        Page {
            next,
            more,
            reset: known.is_none(),
            items: items.into_iter().map(|(_, _, item)| item.clone()).collect(),
        }
    }
}

struct World {
    now: UnixTime,
    paper: Paper,
    issuer: Issuer,
    workers: Vec<Feed>,
    born: u64,
    /// The question of a worker.
    asked: Vec<Option<Poll>>,
}

impl World {
    fn new(workers: usize) -> Self {
        let mut world = Self {
            now: Duration::from_secs(1_000_000),
            paper: Paper::default(),
            issuer: Issuer::default(),
            workers: vec![],
            born: 0,
            asked: vec![None; workers],
        };
        world.workers = (0..workers).map(|_| world.worker()).collect();
        world
    }

    fn worker(&mut self) -> Feed {
        self.born += 1;
        Feed::new(self.born * 7919, MAX_STALE)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn revoke(&mut self, dead: Dead) {
        self.pass(Duration::from_millis(1));
        self.issuer.revoke(dead, self.now);
        self.pass(Duration::from_millis(1));
    }

    fn tick(&mut self, worker: usize) {
        let poll = self.workers[worker].tick(&mut &self.paper, self.now);
        self.ask(worker, poll);
    }

    fn ask(&mut self, worker: usize, poll: Option<Poll>) {
        if let Some(poll) = poll {
            self.asked[worker] = Some(poll);
        }
    }

    fn answer(&mut self, worker: usize, page: impl FnOnce(&Issuer, &Poll, UnixTime) -> Option<Page>) {
        let Some(poll) = self.asked[worker].take() else { return };
        let page = page(&self.issuer, &poll, self.now);
        let next = self.workers[worker].answered(poll.number, page, &mut &self.paper, self.now);
        self.ask(worker, next);
    }

    fn answer_well(&mut self, worker: usize) {
        self.answer(worker, |issuer, poll, now| Some(issuer.page(poll.after, now)));
    }

    /// Everybody gets what there is.
    fn settle(&mut self) {
        for _ in 0..60 {
            self.pass(Duration::from_millis(500));
            for worker in 0..self.workers.len() {
                self.tick(worker);
                self.answer_well(worker);
            }
        }
    }

    fn kills(&self, worker: usize, dead: &Dead) -> bool {
        let set = self.workers[worker].set();
        let marks = match dead {
            Dead::Session(id) => set.marks(Some(id), None, None, None),
            Dead::User(id, epoch) => set.marks(None, Some(id), epoch.checked_sub(1), None),
            Dead::Key(id) => set.marks(None, None, None, Some(id)),
        };
        set.kills(&marks)
    }

    /// Whoever says that he knew everything at a time has everything that was written before it.
    fn check(&self) {
        for (number, worker) in self.workers.iter().enumerate() {
            let Some(synced_at) = worker.synced_at() else { continue };
            for (_, at, item) in self.issuer.list.iter().filter(|(_, at, _)| *at < synced_at) {
                let counts = item.until > self.now;
                assert!(!counts || self.kills(number, &item.dead), "{number} misses {item:?} of {at:?}");
            }
        }
    }
}

fn session(n: u64) -> Dead {
    Dead::Session(format!("s{n}"))
}

#[test]
fn one_worker_asks_and_all_know() {
    let mut world = World::new(4);
    (0..10).for_each(|n| world.revoke(session(n)));
    world.settle();
    let polls: Vec<u64> = world.workers.iter().map(|worker| worker.polls).collect();
    assert_eq!(polls.iter().filter(|polls| **polls > 0).count(), 1, "{polls:?}");
    for worker in 0..4 {
        assert!((0..10).all(|n| world.kills(worker, &session(n))) && !world.kills(worker, &session(10)));
    }
}

#[test]
fn the_first_question_does_not_wait_and_the_next_one_does() {
    let mut world = World::new(1);
    world.tick(0);
    world.tick(0);
    let first = world.asked[0].unwrap();
    assert_eq!((first.after, first.wait), (None, Duration::ZERO));
    world.answer_well(0);
    assert!(world.workers[0].synced_at().is_some(), "an empty list is something to know");
    assert_eq!(world.asked[0], None, "not at once after the whole set");
    world.pass(PAUSE_AFTER_ALL);
    world.tick(0);
    assert_eq!(world.asked[0].unwrap().wait, Duration::from_secs(15));
}

#[test]
fn an_answer_without_sense_changes_nothing() {
    let mut world = World::new(1);
    (0..4).for_each(|n| world.revoke(session(n)));
    world.settle();
    let knew = world.workers[0].synced_at();
    let next = world.issuer.newest;
    let item = || Item { dead: session(99), until: Duration::MAX };
    for (next, more, items) in
        [(next - 1, false, vec![]), (next, true, vec![item()]), (next + 1, true, vec![])]
    {
        while world.asked[0].is_none() {
            world.pass(PAUSE);
            world.tick(0);
        }
        world.answer(0, |_, _, _| Some(Page { next, more, reset: false, items }));
        assert_eq!((world.workers[0].synced_at(), world.workers[0].set().len()), (knew, 4));
        assert_eq!(world.asked[0], None, "and the next question is not put at once");
    }
    world.settle();
    assert!(world.workers[0].synced_at() > knew);
}

#[test]
fn silence_makes_stale_and_a_death_is_known_all_the_same() {
    let mut world = World::new(1);
    world.revoke(session(1));
    let judge = |world: &World, n: u64| {
        let feed = &world.workers[0];
        let marks = feed.set().marks(Some(&format!("s{n}")), None, None, None);
        feed.judge(&marks, |moment, time| world.now.abs_diff(moment) < time)
    };
    assert_eq!(judge(&world, 1), Knowledge::Nothing);
    world.settle();
    assert_eq!((judge(&world, 1), judge(&world, 2)), (Knowledge::Dead, Knowledge::Alive));
    for _ in 0..70 {
        world.pass(Duration::from_secs(1));
        world.tick(0);
        world.answer(0, |_, _, _| None);
    }
    assert_eq!((judge(&world, 1), judge(&world, 2)), (Knowledge::Dead, Knowledge::Stale));
    world.now -= Duration::from_secs(3_600);
    assert_eq!(judge(&world, 2), Knowledge::Stale, "and a clock that is set back makes nothing fresh");
    world.settle();
    assert_eq!(judge(&world, 2), Knowledge::Alive);
}

#[test]
fn what_the_issuer_took_back_is_forgotten() {
    let mut world = World::new(2);
    (0..9).for_each(|n| world.revoke(Dead::User(format!("u{n}"), 5)));
    world.settle();
    world.issuer.set_back(9);
    world.revoke(Dead::User("u1".into(), 2));
    world.settle();
    for worker in &world.workers {
        assert_eq!(worker.set().len(), 1);
        let dead = |epoch| worker.set().kills(&worker.set().marks(None, Some("u1"), Some(epoch), None));
        assert_eq!([1, 2, 4].map(dead), [true, false, false]);
    }
}

#[test]
fn a_token_without_an_epoch_is_older_than_all_others() {
    let mut world = World::new(1);
    world.revoke(Dead::User("u".into(), 1));
    world.settle();
    let set = world.workers[0].set();
    assert!(set.kills(&set.marks(None, Some("u"), None, None)));
    assert!(!set.kills(&set.marks(Some("u"), None, None, Some("u"))), "a user's id is no session's");
}

#[test]
fn the_log_does_not_grow_for_ever() {
    let mut world = World::new(2);
    for n in 0..300 {
        world.revoke(session(n));
        world.pass(Duration::from_secs(60));
        for worker in 0..2 {
            world.tick(worker);
            world.tick(worker);
            world.answer_well(worker);
        }
        world.check();
    }
    assert!(world.paper.0.borrow().len() < 30, "{} entries", world.paper.0.borrow().len());
    assert!(world.workers.iter().all(|worker| worker.set().len() < 30));
}

#[test]
fn a_torn_log_is_begun_anew() {
    let mut world = World::new(2);
    (0..9).for_each(|n| world.revoke(session(n)));
    world.settle();
    world.paper.0.borrow_mut().retain(|slot, _| !matches!(slot, Slot::Chunk { number: 1, .. }));
    world.workers[0] = world.worker();
    world.asked[0] = None;
    world.tick(0);
    assert_eq!(world.workers[0].synced_at(), None, "a part is not the whole");
    world.settle();
    assert!((0..9).all(|n| world.kills(0, &session(n))));
}

proptest! {
    #[test]
    fn the_set_is_never_smaller_than_the_truth(
        steps in prop::collection::vec((0usize..3, 0u64..4_000, 0u8..16, 0u64..30), 1..250)
    ) {
        let mut world = World::new(3);
        for (worker, millis, what, n) in steps {
            world.pass(Duration::from_millis(millis));
            match what {
                0 | 1 => world.revoke(session(n)),
                2 => world.revoke(Dead::User(format!("u{}", n % 3), n + 1)),
                3 => world.revoke(Dead::Key(format!("k{n}"))),
                4 => world.answer(worker, |_, _, _| None),
                5 => { world.workers[worker] = world.worker(); world.asked[worker] = None; }
                6 => world.issuer.set_back(usize::try_from(n / 6).unwrap()),
                7 => { world.issuer.newest += 5; }
                8 => world.answer(worker, |_, _, _| Some(Page { next: n, more: true, reset: false, items: vec![] })),
                9..=11 => world.answer_well(worker),
                _ => world.tick(worker),
            }
            // A restored list is another truth, of which everybody has to be told before it can be asked for.
            if what == 6 {
                world.settle();
            }
            world.check();
        }
        world.settle();
        world.check();
        let live = world.issuer.list.iter().filter(|(_, _, item)| item.until > world.now);
        let live: std::collections::HashSet<_> = live.map(|(_, _, item)| match &item.dead {
            Dead::User(id, _) => Dead::User(id.clone(), 0),
            other => other.clone(),
        }).collect();
        for worker in &mut world.workers {
            worker.set.forget(world.now);
            prop_assert!(worker.synced_at.is_some_and(|at| world.now - at < MAX_STALE));
            prop_assert_eq!(worker.set().len(), live.len());
        }
    }

    #[test]
    fn the_board_survives_being_written(ids in prop::collection::vec("\\PC{1,20}", 1..20), torn: Vec<u8>) {
        let paper = Paper::default();
        let items: Vec<_> = ids.iter().enumerate().map(|(n, id)| {
            let dead = match n % 3 { 0 => Dead::Session(id.clone()), 1 => Dead::User(id.clone(), n as u64), _ => Dead::Key(id.clone()) };
            Item { dead, until: Duration::from_secs(n as u64) }
        }).collect();
        let mut log = Writer { generation: 9, items: 0 };
        prop_assert_eq!(log.append(&items, &mut &paper), Some(()));
        let mut found = vec![];
        while found.len() < items.len() {
            found.extend(read(&&paper, 9, found.len() as u64, log.items).unwrap());
        }
        prop_assert_eq!(&found, &items);
        prop_assert_eq!(read(&&paper, 8, 0, 1), None);
        (&mut &paper).write(Slot::Chunk { odd: true, number: 0 }, &torn);
        let _ = read(&&paper, 9, 0, 4);
    }
}

#[test]
fn the_beginning_is_over_soon_whatever_was_heard() {
    let mut world = World::new(1);
    assert!(world.workers[0].is_beginning(world.now), "before the first tick");
    world.tick(0);
    let begun_at = world.now;
    assert!(world.workers[0].is_beginning(begun_at + Duration::from_secs(2)));
    assert!(!world.workers[0].is_beginning(begun_at + BEGINNING));
    world.now += BEGINNING;
    world.tick(0);
    assert!(!world.workers[0].is_beginning(world.now), "a worker begins once");
    assert!(!world.workers[0].is_beginning(begun_at - BEGINNING), "also when the clock was set back");
}
