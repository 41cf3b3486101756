use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::seal;
use super::signing_key::SigningKey;
use crate::domain::keys::rules::RingRules;
use crate::domain::keys::{KeyEntry, KeyId, KeyKind, KeyPurpose};
use crate::domain::ports::StoreError;

/// Opening what the store has, and sealing it.
mod opened;

#[cfg(test)]
pub(super) use self::opened::seal_entry;
pub(super) use self::opened::{OpenedRing, new_key};

/// All keys of the issuer as they are at one moment, opened. Secrets are wiped from memory when the last ring that has them
/// is dropped.
///
/// There is no ring without a key for every purpose that the rules ask for, so whoever has one need not ask.
#[derive(Debug)]
pub struct KeyRing {
    opened: OpenedRing,
    /// None if the ring has no part in signing.
    signing: Option<Line<Arc<SigningKey>>>,
    pepper: Line<Secret>,
    refresh: Line<Secret>,
    mail: Line<Secret>,
    jwks: Arc<str>,
}

/// The keys of one purpose.
pub(super) struct Line<K> {
    /// This one makes new things.
    pub(super) active: K,
    /// These check what they made, or will make: the active one first, then the latest.
    pub(super) trusted: Vec<K>,
}

/// A key that is nothing but random bytes.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) id: KeyId,
    pub(super) bytes: Arc<Zeroizing<seal::Key>>,
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
    /// The store has no key for that.
    #[error("the store has no {0} key; start the issuer, which makes what is missing")]
    Incomplete(&'static str),
    /// A running issuer cannot follow: somebody gave the ring another master key.
    #[error("the keys in the store have another master key by now; restart this issuer with it")]
    Resealed,
    /// Others change it all the time.
    #[error("the key ring did not come to rest; try again")]
    Contended,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyRing {
    /// The ring of these keys at `now`.
    pub(super) fn of(opened: OpenedRing, rules: &RingRules, now: Timestamp) -> Result<Self, RingError> {
        let entries: Vec<KeyEntry> = opened.entries().cloned().collect();
        let stages = rules.stages(&entries, now);
        let signing = opened.line(&stages, KeyPurpose::Signing, opened::Material::signing);
        if signing.is_none() && rules.signing.is_some() {
            return Err(RingError::Incomplete(KeyPurpose::Signing.as_str()));
        }
        let secrets = |purpose: KeyPurpose| {
            let line = opened.line(&stages, purpose, opened::Material::secret);
            line.ok_or(RingError::Incomplete(purpose.as_str()))
        };
        Ok(Self {
            jwks: jwks(signing.as_ref()),
            signing,
            pepper: secrets(KeyPurpose::Pepper)?,
            refresh: secrets(KeyPurpose::Refresh)?,
            mail: secrets(KeyPurpose::Mail)?,
            opened,
        })
    }

    /// When the newest key of each kind was made that is still trusted.
    #[must_use]
    pub fn newest_made(&self, rules: &RingRules, now: Timestamp) -> Vec<(KeyKind, Timestamp)> {
        let entries: Vec<KeyEntry> = self.opened.entries().cloned().collect();
        let mut newest: Vec<(KeyKind, Timestamp)> = Vec::new();
        for (entry, stage) in entries.iter().zip(rules.stages(&entries, now)) {
            match newest.iter_mut().find(|(kind, _)| *kind == entry.kind) {
                _ if !stage.is_trusted() => {}
                Some((_, made)) => *made = entry.created_at.max(*made),
                None => newest.push((entry.kind, entry.created_at)),
            }
        }
        newest
    }

    pub(super) fn opened(&self) -> &OpenedRing {
        &self.opened
    }

    pub(super) fn signing(&self) -> Option<&Line<Arc<SigningKey>>> {
        self.signing.as_ref()
    }

    pub(super) fn pepper(&self) -> &Line<Secret> {
        &self.pepper
    }

    /// The pepper that was made first of those that are trusted.
    pub(super) fn oldest_pepper(&self) -> &Secret {
        let number = |secret: &&Secret| {
            self.opened.entries().find(|entry| entry.id == secret.id).map(|key| key.number)
        };
        self.pepper.trusted.iter().min_by_key(number).unwrap_or(&self.pepper.active)
    }

    pub(super) fn refresh(&self) -> &Line<Secret> {
        &self.refresh
    }

    pub(super) fn mail(&self) -> &Line<Secret> {
        &self.mail
    }

    /// The public halves of all signing keys that are trusted.
    pub(super) fn jwks(&self) -> Arc<str> {
        Arc::clone(&self.jwks)
    }
}

impl Line<Secret> {
    /// The key of that name.
    pub(super) fn named(&self, id: &KeyId) -> Option<&Secret> {
        self.trusted.iter().find(|secret| secret.id == *id)
    }
}

/// Says how many there are, and no more.
impl<K> fmt::Debug for Line<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line of {}", self.trusted.len())
    }
}

/// Sorted, so that the same keys are the same document on every replica.
fn jwks(signing: Option<&Line<Arc<SigningKey>>>) -> Arc<str> {
    let mut published: Vec<_> = signing.iter().flat_map(|line| &line.trusted).collect();
    published.sort_by_key(|key| key.id());
    let published: Vec<String> = published.into_iter().filter_map(|key| key.public_jwk()).collect();
    format!("{{\"keys\":[{}]}}", published.join(",")).into()
}

#[cfg(test)]
mod tests;
