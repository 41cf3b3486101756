//! Tokens that were verified before, so that a warm one costs a look-up and a comparison.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::Identity;

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
}

struct Entry {
    token: Box<[u8]>,
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
        }
    }

    /// The identity behind a token, if that still holds: not ended, and verified with the keys of today.
    /// `keys_version` tells the version of a provider's key set.
    pub fn find(
        &self,
        token: &[u8],
        is_ahead: impl FnOnce(u64) -> bool,
        keys_version: impl FnOnce(usize) -> Option<u64>,
    ) -> Option<Rc<Identity>> {
        let found = self.entries.get(&self.hash(token)).filter(|entry| {
            let current = || keys_version(entry.identity.provider_index()) == Some(entry.keys_version);
            is_same(&entry.token, token) && is_ahead(entry.identity.ends()) && current()
        });
        found.map(|entry| Rc::clone(&entry.identity))
    }

    /// Keeps an identity for the next time, and lets others go for it.
    pub fn insert(&mut self, token: &[u8], identity: &Rc<Identity>, keys_version: u64) {
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

    fn hash(&self, token: &[u8]) -> u64 {
        self.hasher.hash_one(token.last_chunk::<TAIL>().map_or(token, |tail| tail))
    }
}

/// By words: in wasm `==` goes byte by byte, and this is done for every token.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    one.len() == other.len() && words.iter().zip(other_words).all(|(a, b)| a == b) && rest == other_rest
}
