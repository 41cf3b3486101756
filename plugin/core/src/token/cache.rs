//! Tokens that were verified before, so that a warm one costs a look-up and a comparison.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::Identity;
use crate::UnixTime;

/// How much of a token's end is hashed: a part of its signature, by which tokens differ.
const TAIL: usize = 64;

/// Bounded by entries and by bytes. What ends first goes first, so an expired entry always makes room before one
/// that is still of use.
///
/// Entries are found by a hash that is keyed with fresh randomness, so nobody can choose tokens that collide, and
/// a hit compares the whole token.
#[derive(Debug)]
pub struct TokenCache {
    entries: HashMap<u64, Entry>,
    by_end: BTreeMap<(u64, u64), u64>,
    hasher: RandomState,
    max_entries: usize,
    max_bytes: usize,
    bytes: usize,
    sequence: u64,
    hits: u64,
    misses: u64,
}

struct Entry {
    token: Box<str>,
    identity: Rc<Identity>,
    keys_version: u64,
    place: (u64, u64),
    size: usize,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// An empty cache; `0` for either bound turns it off.
    pub fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_end: BTreeMap::new(),
            hasher: RandomState::new(),
            max_entries,
            max_bytes,
            bytes: 0,
            sequence: 0,
            hits: 0,
            misses: 0,
        }
    }

    /// The identity behind a token, if that still holds: not ended, and verified with the keys of today.
    /// `keys_version` tells the version of a provider's key set.
    pub fn find(
        &mut self,
        token: &str,
        now: UnixTime,
        keys_version: impl FnOnce(usize) -> Option<u64>,
    ) -> Option<Rc<Identity>> {
        let found = self.entries.get(&self.hash(token)).filter(|entry| {
            let current = || keys_version(entry.identity.provider_index()) == Some(entry.keys_version);
            *entry.token == *token && entry.identity.ends() > now.as_secs() && current()
        });
        let count = if found.is_some() { &mut self.hits } else { &mut self.misses };
        *count = count.saturating_add(1);
        found.map(|entry| Rc::clone(&entry.identity))
    }

    /// Hits and misses since the last time this was asked.
    pub fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.hits), std::mem::take(&mut self.misses))
    }

    /// Keeps an identity for the next time, and lets others go for it.
    pub fn insert(&mut self, token: &str, identity: &Rc<Identity>, keys_version: u64) {
        // The token's text, the entry, and what the two maps add for each.
        let size = identity.size().saturating_add(token.len()).saturating_add(160);
        if self.max_entries == 0 || size > self.max_bytes {
            return;
        }
        let hash = self.hash(token);
        self.remove(hash);
        while self.entries.len() >= self.max_entries || self.bytes.saturating_add(size) > self.max_bytes {
            let Some((_, first)) = self.by_end.pop_first() else { return };
            self.remove(first);
        }
        let place = (identity.ends(), self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        self.bytes = self.bytes.saturating_add(size);
        self.by_end.insert(place, hash);
        let entry = Entry { token: token.into(), identity: Rc::clone(identity), keys_version, place, size };
        self.entries.insert(hash, entry);
    }

    fn remove(&mut self, hash: u64) {
        if let Some(entry) = self.entries.remove(&hash) {
            self.by_end.remove(&entry.place);
            self.bytes = self.bytes.saturating_sub(entry.size);
        }
    }

    fn hash(&self, token: &str) -> u64 {
        let bytes = token.as_bytes();
        self.hasher.hash_one(bytes.last_chunk::<TAIL>().map_or(bytes, |tail| tail))
    }
}
