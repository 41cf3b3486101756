//! The revoked set: fingerprints of a fixed size, so that a hundred thousand take a few megabytes.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use super::page::{Dead, Item};
use crate::UnixTime;

/// What is dead: sessions, users up to an epoch, and keys.
///
/// Ids are kept as hashes under a random key, so nobody can choose ids that collide; should two ever do, a good token
/// is refused for an hour, and never the other way round.
#[derive(Debug, Default)]
pub struct RevokedSet {
    entries: HashMap<u64, Entry, BuildHasherDefault<AsItIs>>,
    fingerprints: RandomState,
}

/// 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Tokens with a lower epoch are dead.
    below: u64,
    /// When to forget this, in seconds.
    until: u32,
    /// The generation of the log that said so last.
    generation: u32,
}

/// By what a token can be dead: the fingerprints of its session, its user and its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    session: Option<u64>,
    user: Option<u64>,
    epoch: u64,
    key: Option<u64>,
}

#[derive(Hash)]
enum Kind {
    Session,
    User,
    Key,
}

impl RevokedSet {
    /// The marks of a token, by its `sid`, its `sub`, its `epoch` and the key that it was verified with. A token that
    /// says no epoch is older than every epoch but the first.
    pub fn marks(
        &self,
        session: Option<&str>,
        user: Option<&str>,
        epoch: Option<u64>,
        key: Option<&str>,
    ) -> Marks {
        Marks {
            session: session.map(|id| self.fingerprint(Kind::Session, id)),
            user: user.map(|id| self.fingerprint(Kind::User, id)),
            epoch: epoch.unwrap_or_default(),
            key: key.map(|id| self.fingerprint(Kind::Key, id)),
        }
    }

    /// Whether a token with these marks is dead.
    pub fn kills(&self, marks: &Marks) -> bool {
        let is_dead = |fingerprint: Option<u64>, epoch| {
            fingerprint.and_then(|it| self.entries.get(&it)).is_some_and(|entry| epoch < entry.below)
        };
        !self.entries.is_empty()
            && (is_dead(marks.session, 0) || is_dead(marks.key, 0) || is_dead(marks.user, marks.epoch))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds what a generation of the log says. Within one generation the longer end and the higher epoch count,
    /// whatever comes first; a newer generation has the last word.
    pub(super) fn add(&mut self, item: &Item, generation: u64) {
        let (kind, id, below) = match &item.dead {
            Dead::Session(id) => (Kind::Session, id, u64::MAX),
            Dead::User(id, epoch) => (Kind::User, id, *epoch),
            Dead::Key(id) => (Kind::Key, id, u64::MAX),
        };
        let fingerprint = self.fingerprint(kind, id);
        let new = Entry { below, until: seconds(item.until), generation: short(generation) };
        let entry = self.entries.entry(fingerprint).or_insert(new);
        if entry.generation == new.generation {
            *entry = Entry { below: entry.below.max(new.below), until: entry.until.max(new.until), ..new };
        } else {
            *entry = new;
        }
    }

    /// Drops what only other generations have said. To be done when this one is here in full, so that the set is at
    /// no time smaller than it should be.
    pub(super) fn keep_only(&mut self, generation: u64) {
        let generation = short(generation);
        self.entries.retain(|_, entry| entry.generation == generation);
    }

    /// Drops what is about tokens that have all expired.
    pub(super) fn forget(&mut self, now: UnixTime) {
        let now = seconds(now);
        self.entries.retain(|_, entry| entry.until > now);
    }

    fn fingerprint(&self, kind: Kind, id: &str) -> u64 {
        self.fingerprints.hash_one((kind, id))
    }
}

fn seconds(moment: UnixTime) -> u32 {
    u32::try_from(moment.as_secs()).unwrap_or(u32::MAX)
}

/// Generations differ in their lower halves as well: they are counted one by one from a random number.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn short(generation: u64) -> u32 {
    generation as u32
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
