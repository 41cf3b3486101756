use std::time::Duration;

use jiff::Timestamp;

use super::{KeyEntry, KeyId, KeyKind, KeyPurpose, SigningAlgorithm};
use crate::domain::clock::later;

/// How keys of the ring follow each other.
///
/// A key's stage is a matter of dates alone: nobody has to be awake for a key to take over, and replicas that see the same
/// ring at the same time agree without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingRules {
    /// How the next signing key signs; none if the ring has no part in it.
    pub signing: Option<SigningAlgorithm>,
    /// The age at which a key gets a successor by itself.
    pub rotate_every: Duration,
    /// The longest life of a session.
    pub session: Duration,
}

/// How far a key has come in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is published, so that everybody knows it before it is used.
    Next,
    /// It makes new things: of each purpose there is one.
    Active,
    /// It checks what it made.
    Retired {
        /// Until when; for ever if there is none.
        until: Option<Timestamp>,
    },
    /// Nothing that it made is good any more.
    Expired,
    /// Trusted no more.
    Revoked,
}

impl Stage {
    /// Its name, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired { .. } => "retired",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Whether the key may check what it made.
    #[must_use]
    pub fn is_trusted(self) -> bool {
        matches!(self, Self::Next | Self::Active | Self::Retired { .. })
    }
}

/// A key that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for.
    pub kind: KeyKind,
    /// Its number among the keys of its kind.
    pub number: u32,
    /// From when it makes new things.
    pub active_from: Timestamp,
}

/// How long verifiers may go by an older answer of `/.well-known/jwks.json`.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);
/// The longest life of an access token that can be configured.
pub const LONGEST_ACCESS: Duration = Duration::from_secs(60 * 60);
/// For clocks that differ, and for replicas that look seldom.
const MARGIN: Duration = Duration::from_secs(60);
/// Longer than a mail that cannot be delivered is tried again.
const LONGEST_MAIL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl RingRules {
    /// Each entry's stage at `now`, in the order of `entries`.
    #[must_use]
    pub fn stages(&self, entries: &[KeyEntry], now: Timestamp) -> Vec<Stage> {
        entries.iter().map(|entry| self.stage(entry, entries, now)).collect()
    }

    /// When another key takes over from it, or has; unless it is the last one.
    #[must_use]
    pub fn active_until(&self, entry: &KeyEntry, entries: &[KeyEntry]) -> Option<Timestamp> {
        let later = of_purpose(entries, entry.kind.purpose()).filter(|key| order(key) > order(entry));
        later.map(|key| key.active_from).min()
    }

    /// The keys that a ring needs and lacks, to be made at once; and a next signing key, if the algorithm is another one
    /// than that of the latest.
    #[must_use]
    pub fn lacking(&self, entries: &[KeyEntry], now: Timestamp) -> Vec<NewKey> {
        let lacking = |purpose| match (latest(entries, purpose), self.kind(purpose)) {
            (None, Some(kind)) => Some(NewKey { kind, number: next_number(entries, kind), active_from: now }),
            (Some(latest), Some(kind)) if latest.kind != kind => self.successor(purpose, entries, now),
            _ => None,
        };
        KeyPurpose::ALL.into_iter().filter_map(lacking).collect()
    }

    /// The keys that the passing of time asks for. Peppers are changed by command alone: each stays for as long as somebody
    /// has not logged in since.
    #[must_use]
    pub fn due(&self, entries: &[KeyEntry], now: Timestamp) -> Vec<NewKey> {
        let is_old = |purpose: &KeyPurpose| {
            latest(entries, *purpose).is_some_and(|key| later(key.active_from, self.rotate_every) <= now)
        };
        [KeyPurpose::Signing, KeyPurpose::Refresh, KeyPurpose::Mail]
            .into_iter()
            .filter(is_old)
            .filter_map(|purpose| self.successor(purpose, entries, now))
            .collect()
    }

    /// The key that follows those of `purpose`, known to everybody before it is used. `None` if the ring has no part in it.
    #[must_use]
    pub fn successor(&self, purpose: KeyPurpose, entries: &[KeyEntry], now: Timestamp) -> Option<NewKey> {
        let kind = self.kind(purpose)?;
        let known_by = match purpose {
            KeyPurpose::Signing => JWKS_MAX_AGE + MARGIN,
            KeyPurpose::Pepper | KeyPurpose::Refresh | KeyPurpose::Mail => MARGIN,
        };
        Some(NewKey { kind, number: next_number(entries, kind), active_from: later(now, known_by) })
    }

    /// The key that takes the place of one that must not make anything any more: at once, known or not.
    #[must_use]
    pub fn replacement(&self, revoked: &KeyEntry, entries: &[KeyEntry], now: Timestamp) -> NewKey {
        let kind = self.kind(revoked.kind.purpose()).unwrap_or(revoked.kind);
        NewKey { kind, number: next_number(entries, kind), active_from: now }
    }

    /// Keys that nothing needs any more.
    #[must_use]
    pub fn expired(&self, entries: &[KeyEntry], now: Timestamp) -> Vec<KeyId> {
        let stages = self.stages(entries, now);
        let expired = entries.iter().zip(stages).filter(|(_, stage)| *stage == Stage::Expired);
        expired.map(|(entry, _)| entry.id.clone()).collect()
    }

    fn stage(&self, entry: &KeyEntry, entries: &[KeyEntry], now: Timestamp) -> Stage {
        if entry.revoked {
            return Stage::Revoked;
        }
        let line = || of_purpose(entries, entry.kind.purpose());
        let begun = line().filter(|key| key.active_from <= now).max_by_key(|key| order(key));
        // Somebody has to do the work, also if all that had begun were revoked.
        let active = begun.or_else(|| line().min_by_key(|key| order(key)));
        let Some(active) = active else { return Stage::Active };
        match order(entry).cmp(&order(active)) {
            std::cmp::Ordering::Equal => Stage::Active,
            std::cmp::Ordering::Greater => Stage::Next,
            std::cmp::Ordering::Less => {
                let since = self.active_until(entry, entries).unwrap_or(active.active_from);
                match self.kept(entry.kind.purpose()).map(|kept| later(since, kept)) {
                    Some(until) if until <= now => Stage::Expired,
                    until => Stage::Retired { until },
                }
            }
        }
    }

    /// How long a key is trusted after the last thing it made.
    fn kept(&self, purpose: KeyPurpose) -> Option<Duration> {
        match purpose {
            // Not the configured lifetime: a replica may have another one, or have had it a moment ago.
            KeyPurpose::Signing => Some(LONGEST_ACCESS + MARGIN),
            KeyPurpose::Refresh => Some(self.session + MARGIN),
            KeyPurpose::Mail => Some(LONGEST_MAIL),
            KeyPurpose::Pepper => None,
        }
    }

    fn kind(&self, purpose: KeyPurpose) -> Option<KeyKind> {
        match purpose {
            KeyPurpose::Signing => self.signing.map(KeyKind::Signing),
            KeyPurpose::Pepper => Some(KeyKind::Pepper),
            KeyPurpose::Refresh => Some(KeyKind::Refresh),
            KeyPurpose::Mail => Some(KeyKind::Mail),
        }
    }
}

/// Those that are not revoked.
fn of_purpose(entries: &[KeyEntry], purpose: KeyPurpose) -> impl Iterator<Item = &KeyEntry> {
    entries.iter().filter(move |key| !key.revoked && key.kind.purpose() == purpose)
}

fn latest(entries: &[KeyEntry], purpose: KeyPurpose) -> Option<&KeyEntry> {
    of_purpose(entries, purpose).max_by_key(|key| order(key))
}

/// The same on every replica, also for keys that begin in the same moment.
fn order(key: &KeyEntry) -> (Timestamp, u32, &KeyId) {
    (key.active_from, key.number, &key.id)
}

/// Revoked ones count, too: no number ever means two keys.
fn next_number(entries: &[KeyEntry], kind: KeyKind) -> u32 {
    let numbers = entries.iter().filter(|key| key.kind == kind).map(|key| key.number);
    numbers.max().unwrap_or(0).saturating_add(1)
}

#[cfg(test)]
mod tests;
