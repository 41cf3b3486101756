use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::keeper::{RingKeeper, RingMeans};
use super::master_key::MasterKey;
use super::ring::{RingError, seal_entry};
use crate::domain::clock::{Clock, SystemRandom};
use crate::domain::keys::rules::RingRules;
use crate::domain::keys::{KeyEntry, KeyId, KeyKind, RingChange, SealedKey, SealedRing, SigningAlgorithm};
use crate::domain::ports::{Keys, RingChanged, StoreError};
use crate::domain::revocation::Revoked;

/// The port's promise in memory; the real stores prove theirs in the contract suite.
pub(in crate::crypto) struct MemoryKeys {
    ring: Mutex<SealedRing>,
    pub(in crate::crypto) revoked: Mutex<Vec<Revoked>>,
    pub(in crate::crypto) loads: AtomicU64,
    pub(in crate::crypto) is_down: AtomicBool,
    /// How far a load moves the clock of the house.
    pub(in crate::crypto) takes_seconds: AtomicU64,
    clock: StoppedClock,
}

impl MemoryKeys {
    /// Meddles with the ring behind everybody's back.
    pub(in crate::crypto) fn meddle(&self, change: impl FnOnce(&mut Vec<SealedKey>)) {
        let mut ring = self.ring.lock().unwrap();
        change(&mut ring.keys);
        ring.version += 1;
    }

    pub(in crate::crypto) fn entries(&self) -> Vec<KeyEntry> {
        self.ring.lock().unwrap().keys.iter().map(|key| key.entry.clone()).collect()
    }

    pub(in crate::crypto) fn sealed(&self) -> SealedRing {
        self.ring.lock().unwrap().clone()
    }

    fn answer(&self) -> Result<(), StoreError> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(StoreError::unavailable(std::io::Error::other("down"))),
            false => Ok(()),
        }
    }
}

impl MemoryKeys {
    fn new(clock: StoppedClock) -> Self {
        Self {
            ring: Mutex::new(SealedRing { version: 0, keys: Vec::new() }),
            revoked: Mutex::default(),
            loads: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
            takes_seconds: AtomicU64::new(0),
            clock,
        }
    }
}

#[async_trait]
impl Keys for MemoryKeys {
    async fn load(&self) -> Result<SealedRing, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.clock.advance(Duration::from_secs(self.takes_seconds.load(Ordering::SeqCst)));
        self.answer()?;
        let ring = self.sealed();
        // So that others get a turn between a look and the change that follows.
        tokio::task::yield_now().await;
        Ok(ring)
    }

    async fn change(&self, seen: u64, change: &RingChange, _: Timestamp) -> Result<RingChanged, StoreError> {
        self.answer()?;
        let mut ring = self.ring.lock().unwrap();
        if ring.version != seen {
            return Ok(RingChanged::Superseded);
        }
        ring.version += 1;
        ring.keys.extend(change.add.iter().cloned());
        ring.keys.retain(|key| !change.remove.contains(&key.entry.id));
        for key in &mut ring.keys {
            key.entry.revoked |= change.revoke.iter().any(|revoked| revoked.id == key.entry.id);
            if let Some((_, sealed)) = change.reseal.iter().find(|(id, _)| *id == key.entry.id) {
                key.sealed.clone_from(sealed);
            }
        }
        self.revoked.lock().unwrap().extend(change.revocations());
        Ok(RingChanged::Yes)
    }
}

/// A clock that stands still until it is moved on.
#[derive(Clone)]
pub(in crate::crypto) struct StoppedClock(Arc<AtomicI64>);

impl StoppedClock {
    pub(in crate::crypto) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }
}

impl Default for StoppedClock {
    fn default() -> Self {
        let start: Timestamp = "2030-01-02T03:04:05Z".parse().unwrap();
        Self(Arc::new(AtomicI64::new(start.as_millisecond())))
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A store, its master key and a clock, for any number of replicas.
#[derive(Clone)]
pub(in crate::crypto) struct House {
    pub(in crate::crypto) store: Arc<MemoryKeys>,
    pub(in crate::crypto) master: Arc<MasterKey>,
    pub(in crate::crypto) rules: RingRules,
    pub(in crate::crypto) clock: StoppedClock,
}

pub(in crate::crypto) const ROTATE_EVERY: Duration = Duration::from_hours(24 * 30);
pub(in crate::crypto) const SESSION: Duration = Duration::from_hours(24 * 10);

impl House {
    pub(in crate::crypto) fn new(signing: Option<SigningAlgorithm>) -> Self {
        let clock = StoppedClock::default();
        Self {
            store: Arc::new(MemoryKeys::new(clock.clone())),
            master: Arc::new(MasterKey::generate(&SystemRandom)),
            rules: RingRules { signing, rotate_every: ROTATE_EVERY, session: SESSION },
            clock,
        }
    }

    /// The same store, master key and clock, and another algorithm in the configuration.
    pub(in crate::crypto) fn signing(&self, signing: Option<SigningAlgorithm>) -> Self {
        Self { rules: RingRules { signing, ..self.rules }, ..self.clone() }
    }

    pub(in crate::crypto) fn means(&self) -> RingMeans {
        RingMeans {
            store: self.store.clone(),
            master: self.master.clone(),
            rules: self.rules,
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SystemRandom),
        }
    }

    /// Another replica starts.
    pub(in crate::crypto) async fn try_open(&self) -> Result<Arc<RingKeeper>, RingError> {
        RingKeeper::open(self.means()).await.map(Arc::new)
    }

    pub(in crate::crypto) async fn open(&self) -> Arc<RingKeeper> {
        self.try_open().await.unwrap()
    }
}

/// A ring of these keys, all of whose bytes are that one; the last of a kind is the active one. Names are such as `pepper 1`.
/// What is not mentioned has a key of zeros.
pub(in crate::crypto) fn ring_of(kind: KeyKind, bytes: &[u8]) -> Arc<RingKeeper> {
    let house = House::new(None);
    let others =
        [KeyKind::Pepper, KeyKind::Refresh, KeyKind::Mail].into_iter().filter(|other| *other != kind);
    let wanted = bytes.iter().map(|byte| (kind, *byte)).chain(others.map(|kind| (kind, 0)));
    let key = |(number, (kind, byte)): (u32, (KeyKind, u8))| {
        let id = KeyId::new(format!("{} {byte}", kind.as_str()));
        let sealed = seal_entry(&id, kind, &[byte; 32], &house.master, &SystemRandom);
        let created_at = house.clock.now();
        let entry = KeyEntry { id, kind, number, created_at, active_from: created_at, revoked: false };
        SealedKey { entry, sealed }
    };
    let keys = (1..).zip(wanted).map(key).collect();
    Arc::new(RingKeeper::holding(SealedRing { version: 1, keys }, house.means()).unwrap())
}
