use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Line, RingError, Secret};
use crate::crypto::master_key::MasterKey;
use crate::crypto::seal::KEY_BYTES;
use crate::crypto::signing_key::SigningKey;
use crate::domain::clock::{Random, random_uuid};
use crate::domain::keys::rules::{NewKey, Stage};
use crate::domain::keys::{KeyEntry, KeyId, KeyKind, KeyPurpose, SealedKey, SealedRing};
use crate::domain::ports::BrokenSeal;

/// What is in the store, opened.
#[derive(Clone, Debug)]
pub(in crate::crypto) struct OpenedRing {
    pub(in crate::crypto) version: u64,
    keys: Vec<OpenedKey>,
    /// Whether the store has anything that this master key does not open.
    pub(in crate::crypto) resealed: bool,
}

#[derive(Clone)]
struct OpenedKey {
    entry: KeyEntry,
    sealed: Vec<u8>,
    material: Material,
}

/// What a key is, beside its name.
#[derive(Clone)]
pub(super) enum Material {
    Signing(Arc<SigningKey>),
    Secret(Secret),
}

impl OpenedRing {
    /// Opens every key.
    pub(in crate::crypto) fn open(ring: SealedRing, master: &MasterKey) -> Result<Self, RingError> {
        let open = |key: SealedKey| {
            let material = Material::open(&key, master)?;
            Ok(OpenedKey { entry: key.entry, sealed: key.sealed, material })
        };
        let keys = ring.keys.into_iter().map(open).collect::<Result<_, RingError>>()?;
        Ok(Self { version: ring.version, keys, resealed: false })
    }

    /// What has become of this ring. Keys that are known stay open, so that an issuer goes on when the ring gets another
    /// master key under its feet, and still learns what is revoked.
    pub(in crate::crypto) fn follow(&self, ring: SealedRing, master: &MasterKey) -> Self {
        let mut followed = Self { version: ring.version, keys: Vec::new(), resealed: false };
        for key in ring.keys {
            let known = self.keys.iter().find(|known| {
                // The kind, too: it is part of what the seal vouches for.
                known.entry.id == key.entry.id && known.entry.kind == key.entry.kind
            });
            let material = match known {
                Some(known) if known.sealed == key.sealed => Ok(known.material.clone()),
                _ => Material::open(&key, master),
            };
            if let Ok(material) = material {
                followed.keys.push(OpenedKey { entry: key.entry, sealed: key.sealed, material });
            } else {
                followed.resealed = true;
                followed.keys.extend(known.map(|known| OpenedKey { entry: key.entry, ..known.clone() }));
            }
        }
        followed
    }

    pub(in crate::crypto) fn entries(&self) -> impl Iterator<Item = &KeyEntry> {
        self.keys.iter().map(|key| &key.entry)
    }

    /// The same keys under another master key.
    pub(in crate::crypto) fn reseal(&self, master: &MasterKey, random: &dyn Random) -> Vec<(KeyId, Vec<u8>)> {
        let reseal = |key: &OpenedKey| {
            let OpenedKey { entry, material, .. } = key;
            (entry.id.clone(), seal_entry(&entry.id, entry.kind, &material.to_bytes(), master, random))
        };
        self.keys.iter().map(reseal).collect()
    }

    /// The keys of that purpose, if there are any. `stages` are those of the entries.
    ///
    /// Where all are revoked, because the one that replaces them cannot be opened, the latest goes on making things that nobody
    /// trusts.
    pub(super) fn line<K>(
        &self,
        stages: &[Stage],
        purpose: KeyPurpose,
        pick: impl Fn(&Material) -> Option<K>,
    ) -> Option<Line<K>> {
        let keys = self.keys.iter().zip(stages);
        let mut keys: Vec<_> = keys.filter(|(key, _)| key.entry.kind.purpose() == purpose).collect();
        keys.sort_by_key(|(key, stage)| {
            (**stage != Stage::Active, !stage.is_trusted(), Reverse(key.entry.active_from))
        });
        let active = pick(&keys.first()?.0.material)?;
        let trusted = keys.iter().filter(|(_, stage)| stage.is_trusted());
        Some(Line { active, trusted: trusted.filter_map(|(key, _)| pick(&key.material)).collect() })
    }
}

/// Leaves the secret out.
impl fmt::Debug for OpenedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

impl Material {
    pub(super) fn signing(&self) -> Option<Arc<SigningKey>> {
        match self {
            Self::Signing(key) => Some(Arc::clone(key)),
            Self::Secret(_) => None,
        }
    }

    pub(super) fn secret(&self) -> Option<Secret> {
        match self {
            Self::Secret(secret) => Some(secret.clone()),
            Self::Signing(_) => None,
        }
    }

    fn open(key: &SealedKey, master: &MasterKey) -> Result<Self, RingError> {
        let SealedKey { entry: KeyEntry { id, kind, .. }, sealed } = key;
        let bytes = master.open(sealed, &label(id, *kind)).map_err(|BrokenSeal| RingError::WrongMasterKey)?;
        let damaged = || RingError::Damaged(id.clone());
        if let KeyKind::Signing(algorithm) = kind {
            let key = SigningKey::from_secret(*algorithm, &bytes).ok_or_else(damaged)?;
            return Ok(Self::Signing(Arc::new(key)));
        }
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(damaged());
        }
        secret.copy_from_slice(&bytes);
        Ok(Self::Secret(Secret { id: id.clone(), bytes: Arc::new(secret) }))
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Signing(key) => key.to_secret(),
            Self::Secret(secret) => Zeroizing::new(secret.bytes.to_vec()),
        }
    }
}

/// Makes a key; an RSA key takes seconds.
pub(in crate::crypto) fn new_key(
    new: NewKey,
    created_at: jiff::Timestamp,
    master: &MasterKey,
    random: &dyn Random,
) -> Result<SealedKey, RingError> {
    let NewKey { kind, number, active_from } = new;
    let (id, secret) = if let KeyKind::Signing(algorithm) = kind {
        let not_made = RingError::NotMade(kind.as_str());
        let Some(key) = SigningKey::generate(algorithm) else { return Err(not_made) };
        let id = key.id().ok_or(not_made)?;
        (KeyId::new(id), key.to_secret())
    } else {
        let mut secret = Zeroizing::new(vec![0; KEY_BYTES]);
        random.fill(&mut secret);
        (KeyId::new(random_uuid(random).to_string()), secret)
    };
    let sealed = seal_entry(&id, kind, &secret, master, random);
    let entry = KeyEntry { id, kind, number, created_at, active_from, revoked: false };
    Ok(SealedKey { entry, sealed })
}

/// Encrypts a key of that name.
pub(in crate::crypto) fn seal_entry(
    id: &KeyId,
    kind: KeyKind,
    secret: &[u8],
    master: &MasterKey,
    random: &dyn Random,
) -> Vec<u8> {
    master.seal(secret, &label(id, kind), random)
}

/// Binds a ciphertext to its entry, so that nobody who can write to the store can swap keys between entries.
fn label(id: &KeyId, kind: KeyKind) -> Vec<u8> {
    format!("doorward key ring\0{}\0{id}", kind.as_str()).into_bytes()
}
