use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::keeper::RingKeeper;
use crate::domain::attempts::CounterKey;
use crate::domain::ports::Blinder;

/// Names counters by the first half of an HMAC-SHA-256 under the oldest pepper: the one that stays longest, since with
/// another one all would be forgotten who are being slowed down.
pub struct KeyedBlinder {
    ring: Arc<RingKeeper>,
}

/// What the pepper is used for here, so that nothing made with it for one purpose can serve the other.
const PURPOSE: &[u8] = b"doorward counters\0";

impl KeyedBlinder {
    /// A blinder with the peppers that `ring` has at any time.
    #[must_use]
    pub fn new(ring: Arc<RingKeeper>) -> Self {
        Self { ring }
    }
}

impl Blinder for KeyedBlinder {
    fn blind(&self, parts: &[&[u8]]) -> CounterKey {
        let ring = self.ring.current();
        let mut mac = match Hmac::<Sha256>::new_from_slice(&ring.oldest_pepper().bytes[..]) {
            Ok(mac) => mac.chain_update(PURPOSE),
            Err(error) => unreachable!("HMAC takes keys of every length: {error}"),
        };
        for part in parts {
            // With its length, so that no two lists of parts are one text.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let tag = mac.finalize().into_bytes();
        CounterKey(tag.first_chunk().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::ring_of;
    use crate::domain::keys::KeyKind;

    fn blinder(peppers: &[u8]) -> KeyedBlinder {
        KeyedBlinder::new(ring_of(KeyKind::Pepper, peppers))
    }

    #[test]
    fn a_name_depends_on_every_part_and_on_the_key() {
        let name = blinder(&[1]).blind(&[b"ab", b"c"]);
        assert_eq!(blinder(&[1]).blind(&[b"ab", b"c"]), name);
        assert_ne!(blinder(&[2]).blind(&[b"ab", b"c"]), name);
        for parts in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"ab", b"c", b""], &[b"ab"], &[]] {
            assert_ne!(blinder(&[1]).blind(parts), name, "{parts:?}");
        }
    }

    #[test]
    fn a_new_pepper_forgets_nobody() {
        assert_eq!(blinder(&[1, 2]).blind(&[b"a"]), blinder(&[1]).blind(&[b"a"]));
    }
}
