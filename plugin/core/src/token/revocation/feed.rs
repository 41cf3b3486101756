//! One worker's part in following the feed, as a pure state machine.
//!
//! Every worker of an Envoy runs one of these. They meet on a [`Board`]: one of them holds the lease, asks the feed and
//! writes a log of what it says; all of them read the log into their set. So there is one long poll for all workers,
//! and a worker that starts late starts with everything.

use std::time::Duration;

use super::log::{Board, Head, Slot, Writer, read};
use super::page::Page;
use super::set::{Marks, RevokedSet};
use crate::UnixTime;
use crate::lease::Lease;

/// How long nobody else follows the feed after its follower was last alive.
const LEASE: Duration = Duration::from_secs(5);
/// The longest that the feed is asked to wait for news.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// What an answer may take beyond that.
const GRACE: Duration = Duration::from_secs(5);
/// Tries after a failure: after this, then after twice that, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// From one question to the next there is at least so much time: in general, after the whole set was sent, and after
/// an answer without news that did not wait for any.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_AFTER_ALL: Duration = Duration::from_millis(250);
const PAUSE_AFTER_NOTHING: Duration = Duration::from_secs(1);
/// A log shorter than this is not worth to be made anew without what has expired.
const SHORT_LOG: u64 = if cfg!(test) { 10 } else { 20_000 };
/// More entries than this are not held: the VM has to live.
const MAX_ENTRIES: u64 = 500_000;
/// The first news come within a moment, or take longer.
const BEGINNING: Duration = Duration::from_secs(3);
/// How often expired entries are dropped from the set.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// A question to the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// Which question this is, for [`Feed::answered`].
    pub number: u64,
    /// Where to go on; nowhere for everything.
    pub after: Option<u64>,
    /// How long to wait for news, in whole seconds.
    pub wait: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// What is known of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// It is dead.
    Dead,
    /// It was alive not long ago.
    Alive,
    /// What is known is too old.
    Stale,
    /// The feed has not been heard of yet.
    Nothing,
}

/// One worker's view of one provider's revocations.
#[derive(Debug)]
pub struct Feed {
    me: u64,
    max_stale: Duration,
    set: RevokedSet,
    /// What of the log is in the set.
    position: Position,
    /// The last generation that was read in full.
    whole: Option<u64>,
    /// As of when the set holds everything there was.
    synced_at: Option<UnixTime>,
    role: Role,
    /// A generation that is being written, and no head names yet.
    staging: Option<(Writer, u64)>,
    /// The log cannot be gone on with.
    begin_anew: bool,
    /// There was nothing more to hear.
    caught_up: bool,
    /// The first tick.
    begun_at: Option<UnixTime>,
    failures: u32,
    polls: u64,
    poll_at: UnixTime,
    forget_at: UnixTime,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Position {
    generation: u64,
    items: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Reading,
    /// The lease was written; whether that was the last word shows at the next tick.
    Claiming,
    /// This worker asks the feed.
    Asking(Option<Question>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Question {
    number: u64,
    asked_at: UnixTime,
    wait: Duration,
}

impl Feed {
    /// The start, with nothing known. `me` is this worker's own random number.
    pub fn new(me: u64, max_stale: Duration) -> Self {
        Self {
            me,
            max_stale,
            set: RevokedSet::default(),
            position: Position::default(),
            whole: None,
            synced_at: None,
            role: Role::Reading,
            staging: None,
            begin_anew: false,
            caught_up: false,
            begun_at: None,
            failures: 0,
            polls: 0,
            poll_at: UnixTime::ZERO,
            forget_at: UnixTime::ZERO,
        }
    }

    /// The set.
    pub fn set(&self) -> &RevokedSet {
        &self.set
    }

    /// As of when the set holds everything there was; nothing until the feed was first heard of.
    pub fn synced_at(&self) -> Option<UnixTime> {
        self.synced_at
    }

    /// Whether the first news can be expected soon.
    pub fn is_expected(&self) -> bool {
        self.synced_at.is_none() && self.failures == 0
    }

    /// Whether this worker has only just begun.
    pub fn is_beginning(&self, now: UnixTime) -> bool {
        self.begun_at.is_none_or(|begun_at| now.abs_diff(begun_at) < BEGINNING)
    }

    /// What is known of a token. `is_within` says whether a moment is less than so much away from now.
    pub fn judge(&self, marks: &Marks, is_within: impl FnOnce(UnixTime, Duration) -> bool) -> Knowledge {
        match self.synced_at {
            _ if self.set.kills(marks) => Knowledge::Dead,
            None => Knowledge::Nothing,
            // A moment that is far in the future is from before the clock was set back.
            Some(moment) if is_within(moment, self.max_stale) => Knowledge::Alive,
            Some(_) => Knowledge::Stale,
        }
    }

    /// Time passed: reads what the others have written, sees to the lease, and may have a question.
    pub fn tick(&mut self, board: &mut impl Board, now: UnixTime) -> Option<Poll> {
        self.begun_at.get_or_insert(now);
        self.read(board);
        if now >= self.forget_at || is_beyond(self.forget_at, FORGET_EVERY, now) {
            self.set.forget(now);
            self.forget_at = now.saturating_add(FORGET_EVERY);
        }
        self.see_to_lease(board, now);
        if let Role::Asking(Some(question)) = self.role {
            let limit = question.wait.saturating_add(GRACE).saturating_add(GRACE);
            // The host ends every question in time; this is for a clock that was set, and for a host that does not.
            if now.abs_diff(question.asked_at) > limit {
                self.fail(now);
            }
        }
        self.ask(board, now)
    }

    /// Takes in the answer to a question; `None` if there was no good one. May have the next question.
    pub fn answered(
        &mut self,
        number: u64,
        page: Option<Page>,
        board: &mut impl Board,
        now: UnixTime,
    ) -> Option<Poll> {
        let Role::Asking(Some(question)) = self.role else { return None };
        if question.number != number {
            return None;
        }
        if !self.holds_lease(board) {
            // Somebody took over while this worker slept, and writes the log now.
            self.role = Role::Reading;
            return None;
        }
        self.role = Role::Asking(None);
        match page.and_then(|page| self.take(&page, question, board, now)) {
            Some(pause) => {
                self.failures = 0;
                self.poll_at = question.asked_at.saturating_add(pause);
            }
            None => self.fail(now),
        }
        self.read(board);
        self.ask(board, now)
    }

    /// Writes a page into the log. Returns the time to let pass between questions, or `None` for a page that leads
    /// nowhere.
    fn take(
        &mut self,
        page: &Page,
        question: Question,
        board: &mut impl Board,
        now: UnixTime,
    ) -> Option<Duration> {
        let head = Head::read(board).filter(|_| !self.begin_anew);
        let (mut log, cursor, is_staged) = match (self.staging.take(), head) {
            (Some((log, cursor)), _) if !page.reset => (log, Some(cursor), true),
            (None, Some(Head { generation, items, cursor, .. })) if !page.reset => {
                (Writer { generation, items }, Some(cursor), false)
            }
            _ => (Writer { generation: self.next_generation(board), items: 0 }, None, true),
        };
        let leads_on = page.next > cursor.unwrap_or_default() && !page.items.is_empty();
        if cursor.is_some_and(|cursor| page.next < cursor) || (page.more && !leads_on) {
            return None;
        }
        let held = u64::try_from(self.set.len().saturating_add(page.items.len())).ok()?;
        if held.max(if is_staged { log.items } else { 0 }) > MAX_ENTRIES {
            return None;
        }
        if log.append(&page.items, board).is_none() {
            self.begin_anew = true;
            return None;
        }
        let synced_at = if page.more { head.map(|head| head.synced_at) } else { Some(question.asked_at) };
        match synced_at {
            Some(synced_at) if !(is_staged && page.more) => {
                let Writer { generation, items } = log;
                Head { generation, items, cursor: page.next, synced_at }.write(board);
            }
            _ => self.staging = Some((log, page.next)),
        }
        self.caught_up = !page.more;
        if self.caught_up {
            self.begin_anew = false;
            self.shorten(board, now);
        }
        Some(match page {
            Page { more: true, .. } => Duration::ZERO,
            Page { reset: true, .. } => PAUSE_AFTER_ALL,
            Page { items, .. } if items.is_empty() && !question.wait.is_zero() => PAUSE_AFTER_NOTHING,
            _ => PAUSE,
        })
    }

    /// Begins the log anew without what has expired, where that is most of it.
    fn shorten(&mut self, board: &mut impl Board, now: UnixTime) {
        let live = u64::try_from(self.set.len()).unwrap_or(u64::MAX);
        let Some(head) = Head::read(board).filter(|head| head.items > SHORT_LOG.max(live.saturating_mul(2)))
        else {
            return;
        };
        let mut log = Writer { generation: head.generation.wrapping_add(1), items: 0 };
        let mut from = 0;
        while from < head.items {
            let Some(mut items) =
                read(board, head.generation, from, head.items).filter(|items| !items.is_empty())
            else {
                self.begin_anew = true;
                return;
            };
            from = from.saturating_add(u64::try_from(items.len()).unwrap_or(u64::MAX));
            items.retain(|item| item.until > now);
            if log.append(&items, board).is_none() {
                return;
            }
        }
        Head { generation: log.generation, items: log.items, ..head }.write(board);
    }

    /// Reads the log into the set, as far as it goes.
    fn read(&mut self, board: &impl Board) {
        let Some(head) = Head::read(board) else { return };
        if self.position.generation != head.generation || self.position.items > head.items {
            self.position = Position { generation: head.generation, items: 0 };
        }
        while self.position.items < head.items {
            let items = read(board, head.generation, self.position.items, head.items);
            let Some(items) = items.filter(|items| !items.is_empty()) else {
                // What is missing is known to be missing: the set counts as old as it is.
                self.begin_anew = true;
                return;
            };
            items.iter().for_each(|item| self.set.add(item, head.generation));
            let read = u64::try_from(items.len()).unwrap_or(u64::MAX);
            self.position.items = self.position.items.saturating_add(read);
        }
        if self.whole.replace(head.generation) != Some(head.generation) {
            self.set.keep_only(head.generation);
        }
        self.synced_at = Some(head.synced_at);
        self.begin_anew &= matches!(self.role, Role::Asking(_));
    }

    fn see_to_lease(&mut self, board: &mut impl Board, now: UnixTime) {
        let lease = board.read(Slot::Lease).and_then(|bytes| Lease::from_bytes(&bytes));
        let is_mine = lease.is_some_and(|lease| lease.owner == self.me);
        self.role = match self.role {
            Role::Asking(question) if is_mine => Role::Asking(question),
            Role::Claiming if is_mine => {
                (self.caught_up, self.staging) = (false, None);
                Role::Asking(None)
            }
            // A log that cannot be read is begun anew by whoever cannot read it.
            _ if self.begin_anew || lease.is_none_or(|lease| lease.is_free(LEASE, now)) => Role::Claiming,
            _ => Role::Reading,
        };
        if self.role != Role::Reading {
            let lease = Lease { owner: self.me, until: now.saturating_add(LEASE) };
            board.write(Slot::Lease, &lease.to_bytes());
        }
    }

    fn holds_lease(&self, board: &impl Board) -> bool {
        let lease = board.read(Slot::Lease).and_then(|bytes| Lease::from_bytes(&bytes));
        lease.is_some_and(|lease| lease.owner == self.me)
    }

    fn ask(&mut self, board: &impl Board, now: UnixTime) -> Option<Poll> {
        if self.role != Role::Asking(None)
            || (now < self.poll_at && !is_beyond(self.poll_at, LAST_RETRY, now))
        {
            return None;
        }
        let published = || Head::read(board).filter(|_| !self.begin_anew).map(|head| head.cursor);
        let after = self.staging.as_ref().map(|(_, cursor)| *cursor).or_else(published);
        let wait = if self.caught_up { self.wait() } else { Duration::ZERO };
        self.polls = self.polls.wrapping_add(1);
        self.role = Role::Asking(Some(Question { number: self.polls, asked_at: now, wait }));
        Some(Poll { number: self.polls, after, wait, timeout: wait.saturating_add(GRACE) })
    }

    /// What is known is as old as the question that led to it. Two waits and more must fit into `max_stale`.
    fn wait(&self) -> Duration {
        let quarter = Duration::from_secs(self.max_stale.as_secs() / 4);
        quarter.clamp(Duration::from_secs(1), LONGEST_WAIT)
    }

    fn fail(&mut self, now: UnixTime) {
        let doubled = FIRST_RETRY.saturating_mul(1 << self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        self.caught_up = false;
        self.role = Role::Asking(None);
        self.poll_at = now.saturating_add(doubled.min(LAST_RETRY));
    }

    /// Counted on from the last one, so that nobody takes one for another.
    fn next_generation(&self, board: &impl Board) -> u64 {
        Head::read(board).map_or(self.me, |head| head.generation).wrapping_add(1)
    }
}

/// Whether a moment is further off than any that is set now: it is from before the clock was set back.
fn is_beyond(moment: UnixTime, longest: Duration, now: UnixTime) -> bool {
    moment > now.saturating_add(longest)
}

#[cfg(test)]
mod tests;
