use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::domain::clock::{SystemClock, SystemRandom};

/// The port's promise in memory; the real stores prove theirs in the contract suite.
#[derive(Default)]
pub(in crate::crypto) struct MemoryKeys(Mutex<Vec<SealedKey>>);

impl MemoryKeys {
    fn change(&self, change: impl FnOnce(&mut Vec<SealedKey>)) {
        change(&mut self.0.lock().unwrap());
    }
}

#[async_trait]
impl Keys for MemoryKeys {
    async fn all(&self) -> Result<Vec<SealedKey>, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn insert_if_absent(&self, key: &SealedKey) -> Result<(), StoreError> {
        self.change(|keys| {
            if keys.iter().all(|other| (other.kind, other.number) != (key.kind, key.number)) {
                keys.push(key.clone());
            }
        });
        Ok(())
    }
}

pub(in crate::crypto) async fn open(
    store: &MemoryKeys,
    master: &MasterKey,
    signing: Option<SigningAlgorithm>,
) -> Result<KeyRing, RingError> {
    KeyRing::open(store, master, signing, &SystemClock, &SystemRandom).await
}

fn shown(ring: &KeyRing) -> Vec<String> {
    let mut ids: Vec<_> = ring.keys.iter().map(|key| format!("{key:?} {:?}", key.secret)).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn the_first_start_makes_the_keys_and_later_ones_find_them() {
    let (store, master) = (MemoryKeys::default(), MasterKey::generate(&SystemRandom));
    let first = open(&store, &master, Some(SigningAlgorithm::Es256)).await.unwrap();
    let signing = KeyKind::Signing(SigningAlgorithm::Es256);
    for kind in [KeyKind::Pepper, KeyKind::Refresh, KeyKind::Mail, signing] {
        assert!(first.newest(kind).is_some(), "{kind:?}");
    }
    let second = open(&store, &master, Some(SigningAlgorithm::Es256)).await.unwrap();
    assert_eq!(shown(&first), shown(&second));
    assert_eq!(second.newest_made().len(), 4, "one of each kind");
    assert_eq!(first.newest_made(), second.newest_made());
    let other_algorithm = open(&store, &master, Some(SigningAlgorithm::EdDsa)).await.unwrap();
    assert_eq!(other_algorithm.signing().count(), 2, "the older key still verifies");
}

#[tokio::test]
async fn without_an_asymmetric_algorithm_there_is_no_signing_key() {
    let ring = open(&MemoryKeys::default(), &MasterKey::generate(&SystemRandom), None).await.unwrap();
    assert_eq!(ring.signing().count(), 0);
}

#[tokio::test]
async fn another_master_key_is_one_clear_sentence_and_writes_nothing() {
    let store = MemoryKeys::default();
    open(&store, &MasterKey::generate(&SystemRandom), None).await.unwrap();
    let before = store.all().await.unwrap();
    let refused = open(&store, &MasterKey::generate(&SystemRandom), Some(SigningAlgorithm::EdDsa)).await;
    assert!(matches!(refused, Err(RingError::WrongMasterKey)), "{refused:?}");
    assert_eq!(store.all().await.unwrap(), before);
}

#[tokio::test]
async fn a_ciphertext_opens_in_its_own_entry_alone() {
    let (store, master) = (MemoryKeys::default(), MasterKey::generate(&SystemRandom));
    open(&store, &master, None).await.unwrap();
    store.change(|keys| {
        let swapped = keys[0].sealed.clone();
        keys[0].sealed = std::mem::replace(&mut keys[1].sealed, swapped);
    });
    assert!(matches!(open(&store, &master, None).await, Err(RingError::WrongMasterKey)));
}

#[tokio::test]
async fn a_revoked_key_is_replaced_by_the_next_number() {
    let (store, master) = (MemoryKeys::default(), MasterKey::generate(&SystemRandom));
    let first = open(&store, &master, None).await.unwrap().newest(KeyKind::Refresh).unwrap().id.clone();
    store.change(|keys| {
        keys.iter_mut()
            .filter(|key| key.kind == KeyKind::Refresh)
            .for_each(|key| key.state = KeyState::Revoked);
    });
    let ring = open(&store, &master, None).await.unwrap();
    let newest = ring.newest(KeyKind::Refresh).unwrap();
    assert_eq!(newest.number, 2);
    assert!(ring.of_kind(KeyKind::Refresh).all(|key| key.id != first));
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let ring = open(&MemoryKeys::default(), &MasterKey::generate(&SystemRandom), None).await.unwrap();
    let debug = format!("{ring:?}");
    for key in &ring.keys {
        assert!(!debug.contains(&format!("{:?}", *key.secret)), "{debug}");
    }
}
