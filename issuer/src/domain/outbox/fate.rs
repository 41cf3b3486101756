use std::time::Duration;

use jiff::Timestamp;

use crate::domain::clock::later;

/// What the other side said to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has it, safely.
    Accepted,
    /// It has no place for it, and threw it away.
    Unroutable,
    /// It does not want it, or did not say so in time: the entry's own trouble, so each time counts.
    Refused {
        /// For the operator.
        reason: String,
    },
    /// The connection broke, or was blocked, or was never there: nobody knows, and it is not the entry's fault.
    Lost,
}

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It has left.
    Done,
    /// It has left, and holds what must not be kept.
    Removed,
    /// It has left for nowhere.
    Unroutable,
    /// It was tried in vain, and will be again.
    Again {
        /// When.
        due: Timestamp,
        /// What the attempt met.
        reason: String,
    },
    /// It was tried in vain too often.
    Parked {
        /// What the last attempt met.
        reason: String,
    },
    /// It was not tried: something before it did not leave.
    Later {
        /// When to look again.
        due: Timestamp,
    },
}

/// How often an entry is tried before it is parked: with the pauses between, almost an hour.
pub const TRIES: u32 = 20;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

impl Fate {
    /// What becomes of an event that was tried `attempts` times before. `required` says that somebody must have a place
    /// for events of its type.
    #[must_use]
    pub fn of_event(outcome: Outcome, required: bool, attempts: u32, now: Timestamp) -> Self {
        match outcome {
            Outcome::Accepted => Self::Done,
            Outcome::Unroutable if required => Self::retry("no queue is bound for it".into(), attempts, now),
            Outcome::Unroutable => Self::Unroutable,
            Outcome::Refused { reason } => Self::retry(reason, attempts, now),
            Outcome::Lost => Self::Later { due: now },
        }
    }

    /// What becomes of a mail job that was published `attempts` times before, for another service to send. It holds
    /// what must not be kept, and somebody waits for it: what nobody has a queue for is tried again, never put aside.
    #[must_use]
    pub fn of_mail_job(outcome: Outcome, attempts: u32, now: Timestamp) -> Self {
        match Self::of_event(outcome, true, attempts, now) {
            Self::Done => Self::Removed,
            fate => fate,
        }
    }

    /// One more attempt, after a pause that doubles each time; or none any more.
    #[must_use]
    pub fn retry(reason: String, attempts: u32, now: Timestamp) -> Self {
        if attempts.saturating_add(1) >= TRIES {
            return Self::Parked { reason };
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts)).min(LONGEST_PAUSE);
        Self::Again { due: later(now, pause), reason }
    }

    /// Whether the same user's next entry may follow.
    #[must_use]
    pub fn lets_pass(&self) -> bool {
        matches!(self, Self::Done | Self::Removed | Self::Unroutable)
    }

    /// What this means for the same user's later entries, if they may not follow.
    #[must_use]
    pub fn behind(&self, now: Timestamp) -> Option<Self> {
        match self {
            Self::Done | Self::Removed | Self::Unroutable => None,
            Self::Again { due, .. } | Self::Later { due } => Some(Self::Later { due: *due }),
            Self::Parked { .. } => Some(Self::Later { due: later(now, super::PARKED_PAUSE) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Accepted),
            Just(Outcome::Unroutable),
            Just(Outcome::Refused { reason: "nack".to_owned() }),
            Just(Outcome::Lost),
        ]
    }

    proptest! {
        /// Whatever the broker does, an event leaves, is parked after exactly so many tries, or still waits.
        #[test]
        fn an_event_is_never_lost_and_never_tried_for_ever(
            required: bool,
            outcomes in prop::collection::vec(outcomes(), 0..200),
        ) {
            let (mut attempts, mut now) = (0, Timestamp::UNIX_EPOCH);
            for outcome in outcomes {
                let fate = Fate::of_event(outcome.clone(), required, attempts, now);
                match fate {
                    Fate::Again { due, .. } => {
                        attempts += 1;
                        prop_assert!(due > now && due <= later(now, LONGEST_PAUSE));
                        prop_assert!(attempts < TRIES);
                        now = due;
                    }
                    Fate::Later { due } => {
                        prop_assert_eq!(outcome, Outcome::Lost);
                        prop_assert_eq!(due, now, "what is not its fault costs it neither a try nor time");
                    }
                    Fate::Done => { prop_assert_eq!(outcome, Outcome::Accepted); break; }
                    Fate::Unroutable => {
                        prop_assert!(outcome == Outcome::Unroutable && !required);
                        break;
                    }
                    Fate::Parked { .. } => { prop_assert_eq!(attempts, TRIES - 1); break; }
                    Fate::Removed => prop_assert!(false, "events are kept for a while"),
                }
            }
        }

        /// A mail job is gone when a queue has it, and never before.
        #[test]
        fn a_mail_job_is_kept_until_somebody_has_it(outcome in outcomes(), attempts in 0..TRIES) {
            let fate = Fate::of_mail_job(outcome.clone(), attempts, Timestamp::UNIX_EPOCH);
            prop_assert_eq!(fate == Fate::Removed, outcome == Outcome::Accepted);
            prop_assert!(!matches!(fate, Fate::Done | Fate::Unroutable), "{:?}", fate);
        }

        /// Nothing follows what did not leave, and what waits behind it is not tried earlier.
        #[test]
        fn what_is_behind_waits_as_long(outcome in outcomes(), required: bool, attempts in 0..TRIES) {
            let now = Timestamp::UNIX_EPOCH;
            let fate = Fate::of_event(outcome, required, attempts, now);
            match (fate.behind(now), &fate) {
                (None, fate) => prop_assert!(fate.lets_pass()),
                (Some(Fate::Later { due }), Fate::Again { due: first, .. } | Fate::Later { due: first }) => {
                    prop_assert_eq!(due, *first);
                }
                (Some(Fate::Later { due }), Fate::Parked { .. }) => prop_assert!(due > now),
                (behind, fate) => prop_assert!(false, "{fate:?} makes what is behind it {behind:?}"),
            }
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_last_for_almost_an_hour() {
        let pause = |attempts| match Fate::retry(String::new(), attempts, Timestamp::UNIX_EPOCH) {
            Fate::Again { due, .. } => due.as_second(),
            fate => panic!("{fate:?}"),
        };
        assert_eq!([0, 1, 2, 8, 9, 18].map(pause), [1, 2, 4, 256, 300, 300]);
        assert!((0..TRIES - 1).map(pause).sum::<i64>() > 3500);
    }
}
