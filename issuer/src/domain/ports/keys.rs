use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::keys::{KeyKind, RingChange, SealedRing};

/// The sealed key ring.
#[async_trait]
pub trait Keys: Send + Sync {
    /// All keys, whatever their state: as of now, and at least as new as the version that comes with them.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn load(&self) -> Result<SealedRing, StoreError>;

    /// Makes the whole change happen, provided that the ring still is of version `seen`, and raises the version by one: one
    /// transaction. So of many replicas that saw the same ring, one changes it. The change's
    /// [revocations](RingChange::revocations), as of `at`, are part of it.
    ///
    /// # Errors
    /// When the store cannot answer; then it may have happened or not.
    async fn change(&self, seen: u64, change: &RingChange, at: Timestamp) -> Result<RingChanged, StoreError>;
}

/// What became of a change of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum RingChanged {
    /// It happened.
    Yes,
    /// The ring is another one by now; nothing was written.
    Superseded,
}

/// How old the keys are, for whoever watches.
pub trait KeyAges: Send + Sync {
    /// When the newest key of each kind was made that is still trusted.
    fn newest_made(&self) -> Vec<(KeyKind, Timestamp)>;
}

/// The public half of the signing keys.
pub trait Jwks: Send + Sync {
    /// The JSON Web Key Set (RFC 7517), as it goes over the wire.
    fn document(&self) -> Arc<str>;
}
