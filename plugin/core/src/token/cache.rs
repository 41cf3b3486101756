//! Tokens that were verified before, so that a warm one costs a look-up and a comparison.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;

use hashbrown::HashTable;

use super::Identity;

/// Bounded by entries and by bytes. What ends first goes first, so an expired entry always makes room before one
/// that is still of use.
///
/// Entries are found by a hash that is keyed with fresh randomness, so nobody can choose tokens that collide, and
/// a hit compares the whole token.
#[derive(Debug)]
pub struct TokenCache {
    entries: HashTable<Entry>,
    /// When each entry ends, and its hash.
    by_end: BTreeMap<Place, u64>,
    hash: TailHash,
    max_entries: usize,
    max_bytes: usize,
    bytes: usize,
    sequence: u64,
}

/// The second in which an entry ends, and a number of its own.
type Place = (u64, u64);

struct Entry {
    token: Box<[u8]>,
    identity: Rc<Identity>,
    keys_version: u64,
    place: Place,
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
            entries: HashTable::new(),
            by_end: BTreeMap::new(),
            hash: TailHash::new(),
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
        let entry = self.entries.find(self.hash.of(token)?, |entry| is_same(&entry.token, token))?;
        let identity = &entry.identity;
        let is_current = || keys_version(identity.provider_index()) == Some(entry.keys_version);
        (is_ahead(identity.ends()) && is_current()).then(|| Rc::clone(identity))
    }

    /// Keeps an identity for the next time, and lets others go for it.
    pub fn insert(&mut self, token: &[u8], identity: &Rc<Identity>, keys_version: u64) {
        // The token's text, the entry, and what the two collections add for each.
        let size = identity.size().saturating_add(token.len()).saturating_add(160);
        if self.max_entries == 0 || size > self.max_bytes {
            return;
        }
        let Some(hash) = self.hash.of(token) else { return };
        if let Some(place) = self.remove(hash, |entry| is_same(&entry.token, token)) {
            self.by_end.remove(&place);
        }
        while self.entries.len() >= self.max_entries || self.bytes.saturating_add(size) > self.max_bytes {
            let Some((first, hash)) = self.by_end.pop_first() else { return };
            self.remove(hash, |entry| entry.place == first);
        }
        let place = (identity.ends(), self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        self.bytes = self.bytes.saturating_add(size);
        self.by_end.insert(place, hash);
        let entry = Entry { token: token.into(), identity: Rc::clone(identity), keys_version, place, size };
        let rehash = |entry: &Entry| self.hash.of(&entry.token).unwrap_or_default();
        self.entries.insert_unique(hash, entry, rehash);
    }

    fn remove(&mut self, hash: u64, is_it: impl FnMut(&Entry) -> bool) -> Option<Place> {
        let (entry, _) = self.entries.find_entry(hash, is_it).ok()?.remove();
        self.bytes = self.bytes.saturating_sub(entry.size);
        Some(entry.place)
    }
}

/// How much of a token's end is hashed: a part of its signature, by which tokens differ. No token is shorter.
const TAIL: usize = 32;

/// Multilinear hashing: with keys that nobody knows, two different ends collide with a probability of 2^-32,
/// whoever chose them (Lemire and Kaser, "Strongly universal string hashing is fast", 2014).
struct TailHash {
    first: u64,
    pairs: [(u64, u64); TAIL / 8],
}

impl TailHash {
    fn new() -> Self {
        let random = RandomState::new();
        let mut number = 0_u64;
        let mut key = || {
            number = number.wrapping_add(1);
            random.hash_one(number)
        };
        Self { first: key(), pairs: std::array::from_fn(|_| (key(), key())) }
    }

    fn of(&self, token: &[u8]) -> Option<u64> {
        let (words, _) = token.last_chunk::<TAIL>()?.as_chunks::<8>();
        let sum = words.iter().zip(&self.pairs).fold(self.first, |sum, (word, (one, two))| {
            let word = u64::from_le_bytes(*word);
            let (low, high) = (word & u64::from(u32::MAX), word >> 32);
            sum.wrapping_add(one.wrapping_add(low).wrapping_mul(two.wrapping_add(high)))
        });
        // Only these bits are as good as said.
        Some(sum >> 32)
    }
}

impl std::fmt::Debug for TailHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TailHash").finish_non_exhaustive()
    }
}

/// By words: in wasm `==` goes byte by byte, and this is done for every token.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    one.len() == other.len() && words.iter().zip(other_words).all(|(a, b)| a == b) && rest == other_rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Tokens of one hash: they differ at the beginning alone.
    fn token(number: u8) -> Vec<u8> {
        [vec![number; 40], vec![b'~'; TAIL]].concat()
    }

    fn find(cache: &TokenCache, number: u8) -> Option<Rc<Identity>> {
        cache.find(&token(number), |_| true, |_| Some(1))
    }

    #[test]
    fn tokens_of_one_hash_are_kept_apart() {
        let mut cache = TokenCache::new(2, 10_000);
        let identities = [30, 10, 20].map(|ends| Rc::new(Identity::until(ends)));
        for (number, identity) in (0..).zip(&identities) {
            cache.insert(&token(number), identity, 1);
        }
        let is =
            |number: u8, identity| find(&cache, number).is_some_and(|found| Rc::ptr_eq(&found, identity));
        assert!(is(0, &identities[0]) && is(2, &identities[2]));
        assert!(find(&cache, 1).is_none(), "it ends first");
        assert!(cache.find(&token(0)[1..], |_| true, |_| Some(1)).is_none());
        assert!(cache.find(&token(0)[50..], |_| true, |_| Some(1)).is_none(), "shorter than any token");
    }

    #[test]
    fn the_hash_depends_on_every_byte_and_on_chance() {
        let (one, other) = (TailHash::new(), TailHash::new());
        let good = token(0);
        assert_eq!(one.of(&good), one.of(&token(1)));
        assert_ne!(one.of(&good), other.of(&good));
        for at in good.len() - TAIL..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert_ne!(one.of(&good), one.of(&changed), "{at}");
        }
    }

    proptest! {
        #[test]
        fn books_and_entries_agree_and_stay_within_bounds(
            inserts in prop::collection::vec((0_u8..8, 1_u64..6), 1..60),
            max_entries in 0_usize..6,
            max_bytes in 0_usize..2_000,
        ) {
            let mut cache = TokenCache::new(max_entries, max_bytes);
            for (number, ends) in inserts {
                let identity = Rc::new(Identity::until(ends));
                cache.insert(&token(number), &identity, 1);
                prop_assert!(cache.entries.len() <= max_entries && cache.bytes <= max_bytes);
                prop_assert_eq!(cache.bytes, cache.entries.iter().map(|entry| entry.size).sum::<usize>());
                let mut places: Vec<_> = cache.entries.iter().map(|entry| entry.place).collect();
                places.sort_unstable();
                prop_assert_eq!(places, cache.by_end.keys().copied().collect::<Vec<_>>());
            }
        }
    }
}
