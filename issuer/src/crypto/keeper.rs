use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;

use super::master_key::MasterKey;
use super::ring::{KeyRing, OpenedRing, RingError, new_key};
use crate::domain::clock::{Clock, Random};
use crate::domain::keys::rules::{NewKey, RingRules, Stage};
use crate::domain::keys::{KeyEntry, KeyId, KeyKind, KeyPurpose, RingChange, SealedKey, SealedRing};
use crate::domain::ports::{KeyAges, Keys, RingChanged, StoreError};

/// Has the ring, follows what others do to it in the store, and is the only one to change it.
///
/// Every change is planned on what was read and written only if that still holds, so of many replicas that find the same
/// thing to do, one does it.
pub struct RingKeeper {
    means: RingMeans,
    current: watch::Sender<Arc<KeyRing>>,
    /// When the store was last asked out of turn.
    looked: Mutex<Timestamp>,
}

/// What a keeper works with.
#[derive(Clone)]
pub struct RingMeans {
    /// Where the ring is.
    pub store: Arc<dyn Keys>,
    /// What opens it.
    pub master: Arc<MasterKey>,
    /// How keys follow each other.
    pub rules: RingRules,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
}

/// What became of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationOutcome {
    /// This key will follow.
    Made(KeyEntry),
    /// This one was to follow already.
    Waiting(KeyEntry),
    /// The ring does not sign: a shared secret does.
    NotInTheRing,
}

/// What became of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevocationOutcome {
    /// The key is trusted no more. This one took its place, if it had one.
    Yes(Option<KeyEntry>),
    /// It had been revoked before.
    Before,
    /// No key has that name.
    Unknown,
    /// It is a pepper: nobody whose password was hashed with it could ever log in again.
    Pepper,
}

/// What a change is to be.
#[derive(Default)]
struct Plan {
    make: Vec<NewKey>,
    revoke: Vec<KeyEntry>,
    remove: Vec<KeyId>,
    reseal: Vec<(KeyId, Vec<u8>)>,
}

/// Whoever loses a race finds its outcome when he looks again. More rounds than that have no cause but a sick store.
const ROUNDS: usize = 16;
/// However many unknown names come along, the store is asked no more often than that.
const COOL_DOWN: SignedDuration = SignedDuration::from_secs(1);

impl RingKeeper {
    /// Opens the ring, and makes the keys that it lacks: one for each purpose, and the next signing key if the algorithm has
    /// changed. Replicas that start together end up with the same ring.
    ///
    /// # Errors
    /// See [`RingError`]. A wrong master key is noticed before anything is written.
    pub async fn open(means: RingMeans) -> Result<Self, RingError> {
        let lacking = |ring: &OpenedRing, now| {
            let plan = Plan { make: means.rules.lacking(&entries(ring), now), ..Plan::default() };
            (plan, ())
        };
        means.change(lacking).await?;
        Self::open_existing(means).await
    }

    /// Opens the ring as it is.
    ///
    /// # Errors
    /// See [`RingError`].
    pub async fn open_existing(means: RingMeans) -> Result<Self, RingError> {
        let ring = means.store.load().await?;
        Self::holding(ring, means)
    }

    /// Starts out with that ring.
    pub(super) fn holding(ring: SealedRing, means: RingMeans) -> Result<Self, RingError> {
        let opened = OpenedRing::open(ring, &means.master)?;
        let ring = KeyRing::of(opened, &means.rules, means.clock.now())?;
        Ok(Self { means, current: watch::Sender::new(Arc::new(ring)), looked: Mutex::new(Timestamp::MIN) })
    }

    /// What it works with.
    #[must_use]
    pub fn means(&self) -> &RingMeans {
        &self.means
    }

    /// The ring as of the last look at the store.
    #[must_use]
    pub fn current(&self) -> Arc<KeyRing> {
        Arc::clone(&self.current.borrow())
    }

    /// Looks at the store, makes the keys that are due and removes those that nothing needs any more. To be called every few
    /// seconds.
    ///
    /// # Errors
    /// When the store does not answer, or cannot be followed. The ring in use stays as good as it was: keys take over and
    /// retire when their time has come, and revocations count.
    pub async fn tick(&self) -> Result<(), RingError> {
        self.look().await?;
        if self.current().opened().resealed {
            return Err(RingError::Resealed);
        }
        let RingMeans { rules, clock, .. } = &self.means;
        let entries = entries(self.current().opened());
        let now = clock.now();
        if rules.due(&entries, now).is_empty() && rules.expired(&entries, now).is_empty() {
            return Ok(());
        }
        let by_date = |ring: &OpenedRing, now| {
            let entries = self::entries(ring);
            let (make, remove) = (rules.due(&entries, now), rules.expired(&entries, now));
            (Plan { make, remove, ..Plan::default() }, ())
        };
        self.change(by_date).await.map(drop)
    }

    /// For whoever met a name that `seen` does not know: the ring as it is now, if that may be another one. Asks the store at
    /// once, but not for every stranger.
    pub async fn look_again(&self, seen: &Arc<KeyRing>) -> Option<Arc<KeyRing>> {
        let mut looked = self.looked.lock().await;
        let current = self.current();
        if !Arc::ptr_eq(&current, seen) {
            return Some(current);
        }
        let now = self.means.clock.now();
        if now.duration_since(*looked).abs() < COOL_DOWN {
            return None;
        }
        let done = self.look().await;
        // From its end: whoever waited here meanwhile must not ask a store that does not answer, one after the other.
        *looked = self.means.clock.now();
        if let Err(error) = done {
            tracing::warn!(%error, "the key ring could not be looked at");
            return None;
        }
        Some(self.current())
    }

    /// Makes the key that follows those of `purpose`, unless there is one.
    ///
    /// # Errors
    /// See [`RingError`].
    pub async fn rotate(&self, purpose: KeyPurpose) -> Result<RotationOutcome, RingError> {
        let rules = &self.means.rules;
        let next = |ring: &OpenedRing, now| {
            let entries = entries(ring);
            let stages = rules.stages(&entries, now);
            let waiting = entries
                .iter()
                .zip(stages)
                .find(|(entry, stage)| entry.kind.purpose() == purpose && *stage == Stage::Next);
            if let Some((waiting, _)) = waiting {
                return (Plan::default(), RotationOutcome::Waiting(waiting.clone()));
            }
            let make: Vec<_> = rules.successor(purpose, &entries, now).into_iter().collect();
            (Plan { make, ..Plan::default() }, RotationOutcome::NotInTheRing)
        };
        let (made, rotated) = self.change(next).await?;
        Ok(made.into_iter().next().map_or(rotated, RotationOutcome::Made))
    }

    /// Makes a key worthless at once. If it was the active one, a new one takes its place in the same write.
    ///
    /// # Errors
    /// See [`RingError`].
    pub async fn revoke(&self, id: &KeyId) -> Result<RevocationOutcome, RingError> {
        let rules = &self.means.rules;
        let revoke = |ring: &OpenedRing, now| {
            let entries = entries(ring);
            let found = entries.iter().zip(rules.stages(&entries, now)).find(|(entry, _)| entry.id == *id);
            let (entry, stage) = match found {
                None => return (Plan::default(), RevocationOutcome::Unknown),
                Some((_, Stage::Revoked)) => return (Plan::default(), RevocationOutcome::Before),
                Some((entry, _)) if entry.kind == KeyKind::Pepper => {
                    return (Plan::default(), RevocationOutcome::Pepper);
                }
                Some(found) => found,
            };
            let replacement = (stage == Stage::Active).then(|| rules.replacement(entry, &entries, now));
            let make = replacement.into_iter().collect();
            (Plan { make, revoke: vec![entry.clone()], ..Plan::default() }, RevocationOutcome::Yes(None))
        };
        let (made, revoked) = self.change(revoke).await?;
        Ok(match revoked {
            RevocationOutcome::Yes(_) => RevocationOutcome::Yes(made.into_iter().next()),
            other => other,
        })
    }

    /// Seals every key under another master key, in one write. From then on only that one opens the ring.
    ///
    /// # Errors
    /// See [`RingError`].
    pub async fn reseal(&self, new: &MasterKey) -> Result<usize, RingError> {
        let reseal = |ring: &OpenedRing, _| {
            let reseal = ring.reseal(new, &*self.means.random);
            let number = reseal.len();
            (Plan { reseal, ..Plan::default() }, number)
        };
        Ok(self.means.change(reseal).await?.1)
    }

    async fn look(&self) -> Result<(), RingError> {
        let RingMeans { store, master, rules, clock, .. } = &self.means;
        let known = self.current();
        let (followed, failure) = match store.load().await {
            Ok(sealed) => (known.opened().follow(sealed, master), None),
            // Dates pass, whether the store answers or not.
            Err(error) => (known.opened().clone(), Some(error)),
        };
        // A ring that lacks something is never put to use: the one before is better. And so is one that is newer.
        let ring = Arc::new(KeyRing::of(followed, rules, clock.now())?);
        self.current.send_if_modified(|current| {
            let newer = ring.opened().version >= current.opened().version;
            if newer {
                *current = ring;
            }
            newer
        });
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn change<T>(
        &self,
        plan: impl Fn(&OpenedRing, Timestamp) -> (Plan, T),
    ) -> Result<(Vec<KeyEntry>, T), RingError> {
        let done = self.means.change(plan).await?;
        // It has happened; if this look fails, the next one will tell.
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "the key ring could not be looked at");
        }
        Ok(done)
    }
}

impl KeyAges for RingKeeper {
    fn newest_made(&self) -> Vec<(KeyKind, Timestamp)> {
        self.current().newest_made(&self.means.rules, self.means.clock.now())
    }
}

impl RingMeans {
    /// Does what `plan` says of the ring as it is, and says which keys were made.
    async fn change<T>(
        &self,
        plan: impl Fn(&OpenedRing, Timestamp) -> (Plan, T),
    ) -> Result<(Vec<KeyEntry>, T), RingError> {
        for _ in 0..ROUNDS {
            let ring = OpenedRing::open(self.store.load().await?, &self.master)?;
            let now = self.clock.now();
            let (plan, told) = plan(&ring, now);
            let Plan { make, revoke, remove, reseal } = plan;
            let change = RingChange { add: self.make(make).await?, revoke, remove, reseal };
            if change.is_empty() {
                return Ok((Vec::new(), told));
            }
            match self.store.change(ring.version, &change, now).await? {
                RingChanged::Yes => return Ok((change.add.into_iter().map(|key| key.entry).collect(), told)),
                RingChanged::Superseded => {}
            }
        }
        Err(RingError::Contended)
    }

    /// Away from the threads that answer requests: an RSA key takes seconds.
    async fn make(&self, new: Vec<NewKey>) -> Result<Vec<SealedKey>, RingError> {
        let means = self.clone();
        let make = move || {
            let RingMeans { master, clock, random, .. } = means;
            new.into_iter().map(|new| new_key(new, clock.now(), &master, &*random)).collect()
        };
        spawn_blocking(make).await.map_err(StoreError::unavailable)?
    }
}

fn entries(ring: &OpenedRing) -> Vec<KeyEntry> {
    ring.entries().cloned().collect()
}

#[cfg(test)]
mod tests;
