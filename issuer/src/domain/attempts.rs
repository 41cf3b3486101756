use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::clock::later;

/// Names a counter without saying what it counts: a keyed hash, so that the store shows neither names nor addresses, and
/// an account that exists looks like one that does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterKey(pub [u8; 16]);

/// One thing that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its name.
    pub key: CounterKey,
    /// The account it is about, so that an administrator can open that; none for an address.
    pub account: Option<CounterKey>,
    /// What is too much.
    pub rule: Rule,
}

/// What is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Some attempts at any speed, then ever slower.
    Slowing {
        /// Attempts at any speed.
        free: u32,
        /// The wait after those; it doubles with every further attempt.
        wait: Duration,
        /// The longest wait.
        longest: Duration,
        /// After so long without an attempt all is forgotten; not shorter than the longest wait.
        memory: Duration,
    },
    /// So many, and then none for a while.
    Cap {
        /// Attempts in a window, which the first of them opens.
        most: u32,
        /// How long that is, and how long the door stays closed afterwards.
        window: Duration,
        /// Whether somebody who was let in from the same place before passes all the same.
        spares_familiar: bool,
    },
}

/// A counter as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that count.
    pub count: u32,
    /// Before that moment nobody passes.
    pub closed_until: Timestamp,
    /// From that moment on the above never happened.
    pub forgotten_at: Timestamp,
    /// Until that moment this place is one from which the account's owner came.
    pub familiar_until: Timestamp,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// It was counted, and may be made. The tallies have it in them, in the order of the counters.
    Admitted(Vec<Tally>),
    /// It may not, and was not counted.
    Refused {
        /// How long the door stays closed.
        wait: Duration,
    },
}

/// Whether an attempt at `now` may be made, and the tallies with it in them. All counters must agree, and none of them
/// counts what another one refuses: somebody who is slowed down does not thereby lock others out.
pub fn judge(counters: &[(Rule, Tally)], now: Timestamp) -> Admission {
    let familiar = is_familiar(counters.iter().map(|(_, tally)| tally), now);
    let wait =
        counters.iter().map(|(rule, tally)| rule.wait(*tally, familiar, now)).max().unwrap_or_default();
    if wait > Duration::ZERO {
        return Admission::Refused { wait };
    }
    Admission::Admitted(counters.iter().map(|(rule, tally)| rule.counted(*tally, now)).collect())
}

/// Whether the account's owner came from the same place before.
pub fn is_familiar<'a>(tallies: impl IntoIterator<Item = &'a Tally>, now: Timestamp) -> bool {
    tallies.into_iter().any(|tally| now < tally.familiar_until)
}

impl Rule {
    /// How long this counter alone makes somebody wait.
    #[must_use]
    pub fn wait(&self, tally: Tally, familiar: bool, now: Timestamp) -> Duration {
        match self {
            Self::Cap { spares_familiar: true, .. } if familiar => Duration::ZERO,
            Self::Cap { .. } | Self::Slowing { .. } => tally.closed_for(now),
        }
    }

    /// The tally with one more attempt in it.
    #[must_use]
    pub fn counted(&self, tally: Tally, now: Timestamp) -> Tally {
        let before = tally.remembered(now);
        let count = before.count.saturating_add(1);
        match *self {
            Self::Slowing { memory, .. } => {
                // No wait leaves the door as it is: `now` itself would shut out whoever asked a moment earlier and is
                // counted a moment later.
                let closed_until =
                    self.wait_after(count).map_or(before.closed_until, |wait| later(now, wait));
                Tally { count, closed_until, forgotten_at: later(now, memory), ..before }
            }
            Self::Cap { most, window, .. } => {
                let closes = count == most;
                let forgotten_at =
                    if before.count == 0 || closes { later(now, window) } else { before.forgotten_at };
                let closed_until = if closes { forgotten_at } else { before.closed_until };
                Tally { count, closed_until, forgotten_at, ..before }
            }
        }
    }

    /// The tally without an attempt that was admitted, and then was none.
    #[must_use]
    pub fn given_back(&self, tally: Tally, now: Timestamp) -> Tally {
        let before = tally.remembered(now);
        let count = before.count.saturating_sub(1);
        // It was admitted, so the door was open before it.
        let reopens = match *self {
            Self::Slowing { .. } => true,
            Self::Cap { most, .. } => count < most,
        };
        let closed_until = if reopens { Timestamp::UNIX_EPOCH } else { before.closed_until };
        Tally { count, closed_until, ..before }
    }

    /// The tally after an attempt that was right. Where attempts are slowed down it starts afresh, and the place is
    /// familiar for a while; elsewhere only the attempt itself is given back, because others may be counted there.
    #[must_use]
    pub fn proven(&self, tally: Tally, now: Timestamp, familiar: Duration) -> Tally {
        match self {
            Self::Slowing { .. } => Tally { familiar_until: later(now, familiar), ..Tally::NONE },
            Self::Cap { .. } => self.given_back(tally, now),
        }
    }

    /// How long the door is closed after that many attempts, if it is.
    fn wait_after(&self, count: u32) -> Option<Duration> {
        let Self::Slowing { free, wait, longest, .. } = *self else { return None };
        let steps = count.checked_sub(free)?;
        Some(wait.saturating_mul(2_u32.saturating_pow(steps)).min(longest))
    }
}

impl Tally {
    /// Nobody ever tried.
    pub const NONE: Self = Self {
        count: 0,
        closed_until: Timestamp::UNIX_EPOCH,
        forgotten_at: Timestamp::UNIX_EPOCH,
        familiar_until: Timestamp::UNIX_EPOCH,
    };

    /// From then on it says nothing any more, and need not be kept.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.forgotten_at.max(self.familiar_until)
    }

    /// The same without attempts, as if an administrator had opened the door.
    #[must_use]
    pub fn opened(self) -> Self {
        Self { familiar_until: self.familiar_until, ..Self::NONE }
    }

    fn remembered(self, now: Timestamp) -> Self {
        if now < self.forgotten_at { self } else { self.opened() }
    }

    fn closed_for(&self, now: Timestamp) -> Duration {
        // What is forgotten closes nothing.
        let until = self.closed_until.min(self.forgotten_at);
        until.duration_since(now).try_into().unwrap_or_default()
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for CounterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CounterKey({:032x})", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests;
