use std::fmt;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::master_key::MasterKey;
use super::signing_key::SigningKey;
use crate::domain::clock::{Clock, Random, random_uuid};
use crate::domain::keys::{KeyId, KeyKind, KeyState, SealedKey, SigningAlgorithm};
use crate::domain::ports::{Keys, StoreError};

/// All keys of the issuer, opened. Secrets are wiped from memory when it is dropped.
#[derive(Debug)]
pub struct KeyRing {
    /// The oldest first within each kind.
    keys: Vec<RingKey>,
}

/// One key of the ring.
pub(super) struct RingKey {
    pub(super) id: KeyId,
    pub(super) secret: Zeroizing<Vec<u8>>,
    kind: KeyKind,
    number: u32,
    created_at: Timestamp,
    state: KeyState,
}

/// Why there is no ring.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The master key is not the one that sealed the ring.
    #[error(
        "keys.master_key does not open the keys in the store; configure the key that this store was set up with"
    )]
    WrongMasterKey,
    /// A key opens, and then is none.
    #[error("key {0} in the store is damaged; restore the store from a backup")]
    Damaged(KeyId),
    /// A key could not be made.
    #[error("a new {0} key could not be made")]
    NotMade(&'static str),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyRing {
    /// Opens the ring in `store`, and makes the keys that it lacks: a pepper, a refresh key, a mail key, and a
    /// signing key if tokens are signed with an asymmetric algorithm. Replicas that start together end up with the same ring.
    ///
    /// # Errors
    /// See [`RingError`]. A wrong master key is noticed before anything is written.
    pub async fn open(
        store: &dyn Keys,
        master: &MasterKey,
        signing: Option<SigningAlgorithm>,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<Self, RingError> {
        let ring = Self::load(store, master).await?;
        let wanted = [KeyKind::Pepper, KeyKind::Refresh, KeyKind::Mail];
        let wanted = wanted.into_iter().chain(signing.map(KeyKind::Signing));
        let missing: Vec<_> = wanted.filter(|kind| ring.newest(*kind).is_none()).collect();
        if missing.is_empty() {
            return Ok(ring);
        }
        for kind in missing {
            let number = ring.keys.iter().filter(|key| key.kind == kind).map(|key| key.number).max();
            let (id, secret) = new_secret(kind, random)?;
            let label = label(&id, kind);
            let sealed = SealedKey {
                sealed: master.seal(&secret, &label, random),
                id,
                kind,
                number: number.unwrap_or(0) + 1,
                created_at: clock.now(),
                state: KeyState::Active,
            };
            store.insert_if_absent(&sealed).await?;
        }
        // Another replica may have been quicker: what the store has now is what counts.
        Self::load(store, master).await
    }

    /// When the newest key of each kind was made.
    #[must_use]
    pub fn newest_made(&self) -> Vec<(KeyKind, Timestamp)> {
        let mut newest: Vec<(KeyKind, Timestamp)> = Vec::new();
        for key in self.trusted().rev() {
            if newest.iter().all(|(kind, _)| *kind != key.kind) {
                newest.push((key.kind, key.created_at));
            }
        }
        newest
    }

    /// The key of that kind that makes new things.
    pub(super) fn newest(&self, kind: KeyKind) -> Option<&RingKey> {
        self.trusted().rev().find(|key| key.kind == kind)
    }

    /// Every key of that kind that may still check old things.
    pub(super) fn of_kind(&self, kind: KeyKind) -> impl Iterator<Item = &RingKey> {
        self.trusted().filter(move |key| key.kind == kind)
    }

    /// Every signing key that is still trusted, with its algorithm.
    pub(super) fn signing(&self) -> impl Iterator<Item = (SigningAlgorithm, &RingKey)> {
        self.trusted().filter_map(|key| match key.kind {
            KeyKind::Signing(algorithm) => Some((algorithm, key)),
            KeyKind::Pepper | KeyKind::Refresh | KeyKind::Mail => None,
        })
    }

    fn trusted(&self) -> impl DoubleEndedIterator<Item = &RingKey> {
        self.keys.iter().filter(|key| key.state == KeyState::Active)
    }

    async fn load(store: &dyn Keys, master: &MasterKey) -> Result<Self, RingError> {
        let sealed = store.all().await?;
        let mut keys = sealed.into_iter().map(|key| unseal(key, master)).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(|key| key.number);
        Ok(Self { keys })
    }
}

/// Leaves the secret out.
impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} #{} {}", self.id, self.kind.as_str(), self.number, self.state.as_str())
    }
}

fn unseal(key: SealedKey, master: &MasterKey) -> Result<RingKey, RingError> {
    let secret =
        master.open(&key.sealed, &label(&key.id, key.kind)).map_err(|_| RingError::WrongMasterKey)?;
    let SealedKey { id, kind, number, created_at, state, .. } = key;
    Ok(RingKey { id, secret, kind, number, created_at, state })
}

/// Binds a ciphertext to its entry, so that nobody who can write to the store can swap keys between entries.
fn label(id: &KeyId, kind: KeyKind) -> Vec<u8> {
    format!("doorward key ring\0{}\0{id}", kind.as_str()).into_bytes()
}

fn new_secret(kind: KeyKind, random: &dyn Random) -> Result<(KeyId, Zeroizing<Vec<u8>>), RingError> {
    if let KeyKind::Signing(algorithm) = kind {
        let not_made = RingError::NotMade(kind.as_str());
        let Some(key) = SigningKey::generate(algorithm) else { return Err(not_made) };
        let id = key.id().ok_or(not_made)?;
        Ok((KeyId::new(id), key.to_secret()))
    } else {
        let mut secret = Zeroizing::new(vec![0; SECRET_BYTES]);
        random.fill(&mut secret);
        Ok((KeyId::new(random_uuid(random).to_string()), secret))
    }
}

const SECRET_BYTES: usize = 32;

#[cfg(test)]
pub(super) mod tests;
