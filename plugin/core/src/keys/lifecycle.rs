//! When one provider's keys are fetched, used and dropped, as a pure state machine: `(event, now) -> effects`.
//!
//! Every worker of an Envoy runs one of these. They meet on a [`Board`] of two entries that all can read and
//! write (Envoy's shared data): the last [`Record`] that somebody fetched, and the [`Lease`] of the one who may
//! fetch now. So there is one fetch for all workers, and a worker that starts late starts with keys.

use std::time::Duration;

use crate::UnixTime;
pub use crate::lease::Lease;
use crate::lease::{from_millis, millis};
use crate::policy::RemoteKeys;

/// An unknown `kid` leads to a fetch at most this often, so that nobody can make us hammer the provider.
pub const COOL_DOWN: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// What a lease outlives the fetch by, so that a slow tick is not taken for a dead worker.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// A key document, and when it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When the answer arrived.
    pub fetched_at: UnixTime,
    /// The JWKS document, known to hold a usable key.
    pub document: Vec<u8>,
}

/// What all workers see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Board {
    /// The last document fetched; not needed where it is the one in use.
    pub record: Option<Record>,
    /// Who may fetch.
    pub lease: Option<Lease>,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// Time passed; this is what the board says now.
    Tick(Board),
    /// The fetch brought a document with a usable key.
    Fetched(Vec<u8>),
    /// The fetch failed, or brought nothing of use.
    FetchFailed,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Put a lease on the board.
    WriteLease(Lease),
    /// Put a record on the board.
    WriteRecord(Record),
    /// Ask the provider.
    Fetch,
    /// Trust the keys of this document, and no others.
    Install(Vec<u8>),
    /// The keys in use were confirmed: nothing changed, but whoever waited for news has them.
    Confirmed,
    /// The keys are too old to be trusted.
    Drop,
}

/// One worker's view of one provider's keys.
#[derive(Debug)]
pub struct Lifecycle {
    me: u64,
    timing: RemoteKeys,
    phase: Phase,
    loaded: Option<Record>,
    wanted: bool,
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Resting,
    /// A lease was written; whether it was the last one written shows at the next tick.
    Claiming,
    Fetching,
}

impl Lifecycle {
    /// The start, with nothing loaded. `me` is this worker's own random number.
    pub fn new(me: u64, timing: RemoteKeys) -> Self {
        Self { me, timing, phase: Phase::Resting, loaded: None, wanted: false, failures: 0 }
    }

    /// When the keys in use were fetched.
    pub fn fetched_at(&self) -> Option<UnixTime> {
        self.loaded.as_ref().map(|record| record.fetched_at)
    }

    /// Whether the record with this stamp is the one in use.
    pub fn is_in_use(&self, stamp: Option<&[u8]>) -> bool {
        self.loaded.as_ref().is_some_and(|record| Some(record.stamp().as_slice()) == stamp)
    }

    /// Whether something is expected to happen soon, so that ticks should be close together.
    pub fn is_busy(&self) -> bool {
        self.loaded.is_none() || self.wanted || self.phase != Phase::Resting
    }

    /// A request needs keys that are not here. Says whether it is worth to wait for them.
    pub fn want(&mut self, now: UnixTime) -> bool {
        self.wanted |= self.loaded.as_ref().is_none_or(|record| is_past(record.fetched_at, COOL_DOWN, now));
        // After a failure the next try comes when the lease is free again; that is too far off to wait for.
        self.loaded.is_none() || self.phase == Phase::Fetching || (self.wanted && self.failures == 0)
    }

    /// Takes in what happened and says what to do.
    pub fn on(&mut self, event: Event, now: UnixTime) -> Vec<Effect> {
        match event {
            Event::Tick(board) => self.tick(board, now),
            Event::Fetched(document) => {
                let record = Record { fetched_at: now, document };
                let mut effects = vec![Effect::WriteRecord(record.clone()), self.write_lease(now)];
                effects.push(self.adopt(record));
                effects
            }
            Event::FetchFailed => {
                self.phase = Phase::Resting;
                self.wanted = false;
                self.failures = self.failures.saturating_add(1);
                vec![self.write_lease(now.saturating_add(self.retry_after()))]
            }
        }
    }

    fn tick(&mut self, board: Board, now: UnixTime) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(record) = board.record.filter(|record| self.is_news(record, now)) {
            effects.push(self.adopt(record));
        }
        if self.loaded.as_ref().is_some_and(|record| self.is_stale(record, now)) {
            self.loaded = None;
            effects.push(Effect::Drop);
        }
        match self.phase {
            Phase::Claiming if board.lease.is_some_and(|lease| lease.owner == self.me) => {
                self.phase = Phase::Fetching;
                effects.extend([self.claim(now), Effect::Fetch]);
            }
            Phase::Resting | Phase::Claiming => {
                self.phase = Phase::Resting;
                if self.is_due(now) && board.lease.is_none_or(|lease| self.is_free(lease, now)) {
                    self.phase = Phase::Claiming;
                    effects.push(self.claim(now));
                }
            }
            Phase::Fetching => {}
        }
        effects
    }

    fn adopt(&mut self, record: Record) -> Effect {
        self.phase = Phase::Resting;
        self.wanted = false;
        self.failures = 0;
        let same = self.loaded.as_ref().is_some_and(|loaded| loaded.document == record.document);
        let effect = if same { Effect::Confirmed } else { Effect::Install(record.document.clone()) };
        self.loaded = Some(record);
        effect
    }

    fn is_news(&self, record: &Record, now: UnixTime) -> bool {
        let other = self.loaded.as_ref().is_none_or(|loaded| record.fetched_at != loaded.fetched_at);
        other && self.phase != Phase::Fetching && !self.is_stale(record, now)
    }

    fn is_stale(&self, record: &Record, now: UnixTime) -> bool {
        now.saturating_sub(record.fetched_at) > self.timing.stale_for
    }

    fn is_due(&self, now: UnixTime) -> bool {
        self.wanted
            || self.loaded.as_ref().is_none_or(|record| is_past(record.fetched_at, self.refresh(), now))
    }

    /// After a failure a lease stays taken, so that everybody waits before trying again.
    fn is_free(&self, lease: Lease, now: UnixTime) -> bool {
        lease.is_free(self.timing.timeout.saturating_add(LEASE_MARGIN).max(COOL_DOWN), now)
    }

    /// Each worker's own share of a tenth less than the whole, so that Envoys started together drift apart.
    fn refresh(&self) -> Duration {
        let tenth = self.timing.refresh.checked_div(10).unwrap_or_default();
        let share = u32::try_from(self.me % 1024).unwrap_or_default();
        let jitter = tenth.saturating_mul(share).checked_div(1024).unwrap_or_default();
        self.timing.refresh.saturating_sub(jitter)
    }

    /// Without keys nobody passes, so the first tries come quickly.
    fn retry_after(&self) -> Duration {
        let doubled = FIRST_RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(5));
        if self.loaded.is_some() { COOL_DOWN } else { doubled.min(COOL_DOWN) }
    }

    fn claim(&self, now: UnixTime) -> Effect {
        self.write_lease(now.saturating_add(self.timing.timeout).saturating_add(LEASE_MARGIN))
    }

    fn write_lease(&self, until: UnixTime) -> Effect {
        Effect::WriteLease(Lease { owner: self.me, until })
    }
}

/// Whether so much time has passed. A moment in the future is from before the clock was set back, and long past.
fn is_past(moment: UnixTime, time: Duration, now: UnixTime) -> bool {
    moment > now || now >= moment.saturating_add(time)
}

/// As bytes: a moment in milliseconds, then the document.
impl Record {
    /// The record as it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.stamp(), self.document.as_slice()].concat()
    }

    /// What tells it from other records.
    pub fn stamp(&self) -> [u8; 8] {
        millis(self.fetched_at)
    }

    /// A record as it was written; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (moment, document) = bytes.split_first_chunk()?;
        Some(Self { fetched_at: from_millis(*moment), document: document.to_vec() })
    }
}

#[cfg(test)]
mod tests;
