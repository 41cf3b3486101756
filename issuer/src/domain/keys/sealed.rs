use std::fmt;

use jiff::Timestamp;

use super::{KeyId, KeyKind, KeyPurpose};
use crate::domain::revocation::Revoked;

/// What anybody may know of a key of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Unique in the ring.
    pub id: KeyId,
    /// What it is for.
    pub kind: KeyKind,
    /// Counts the keys of one kind from 1.
    pub number: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when it makes new things. Until then others get to know it.
    pub active_from: Timestamp,
    /// Trusted no more, whatever the time.
    pub revoked: bool,
}

/// A key as the store keeps it: encrypted under the master key, which the store never sees.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// What anybody may know.
    pub entry: KeyEntry,
    /// Nonce and ciphertext.
    pub sealed: Vec<u8>,
}

/// Leaves the ciphertext out.
impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

/// All keys as the store keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRing {
    /// Raised by every change. The keys are at least as new as it says.
    pub version: u64,
    /// In no particular order.
    pub keys: Vec<SealedKey>,
}

/// What changes in a ring, all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingChange {
    /// New keys.
    pub add: Vec<SealedKey>,
    /// Keys that are trusted no more.
    pub revoke: Vec<KeyEntry>,
    /// Keys that nothing needs any more.
    pub remove: Vec<KeyId>,
    /// The same keys, encrypted anew.
    pub reseal: Vec<(KeyId, Vec<u8>)>,
}

impl RingChange {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.revoke.is_empty() && self.remove.is_empty() && self.reseal.is_empty()
    }

    /// What gateways have to refuse from then on.
    pub fn revocations(&self) -> impl Iterator<Item = Revoked> {
        let signing = self.revoke.iter().filter(|key| key.kind.purpose() == KeyPurpose::Signing);
        signing.map(|key| Revoked::Key(key.id.clone()))
    }
}

/// A secret that waits in the store, readable with a key of the ring alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The key that opens it.
    pub key: KeyId,
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
}

/// Leaves the ciphertext out.
impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret(by {})", self.key)
    }
}
