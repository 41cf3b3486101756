use super::*;
use crate::crypto::master_key::MasterKey;
use crate::crypto::testing::House;
use crate::domain::clock::SystemRandom;
use crate::domain::keys::SigningAlgorithm;

#[tokio::test]
async fn another_master_key_is_one_clear_sentence_and_writes_nothing() {
    let house = House::new(None);
    house.open().await;
    let before = house.store.sealed();
    let other = House { master: Arc::new(MasterKey::generate(&SystemRandom)), ..house.clone() };
    let refused = other.signing(Some(SigningAlgorithm::EdDsa)).try_open().await.map(drop);
    assert!(matches!(refused, Err(RingError::WrongMasterKey)), "{refused:?}");
    assert_eq!(house.store.sealed(), before);
}

#[tokio::test]
async fn a_ciphertext_opens_in_its_own_entry_alone() {
    let house = House::new(None);
    house.open().await;
    house.store.meddle(|keys| {
        let swapped = keys[0].sealed.clone();
        keys[0].sealed = std::mem::replace(&mut keys[1].sealed, swapped);
    });
    assert!(matches!(house.try_open().await.map(drop), Err(RingError::WrongMasterKey)));
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let ring = House::new(Some(SigningAlgorithm::Es256)).open().await.current();
    let debug = format!("{ring:?}");
    for secret in [&ring.pepper().active, &ring.refresh().active, &ring.mail().active] {
        assert!(!debug.contains(&format!("{:?}", **secret.bytes)), "{debug}");
    }
    assert!(!debug.contains("\"d\""), "{debug}");
}

#[tokio::test]
async fn the_set_names_trusted_keys_alone() {
    let house = House::new(Some(SigningAlgorithm::Es256));
    let keeper = house.open().await;
    keeper.rotate(KeyPurpose::Signing).await.unwrap();
    let ring = keeper.current();
    let line = ring.signing().unwrap();
    let published = |ring: &KeyRing| {
        let set: serde_json::Value = serde_json::from_str(&ring.jwks()).unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let mut named: Vec<String> = line.trusted.iter().map(|key| key.id().unwrap().to_owned()).collect();
    named.sort();
    assert_eq!(published(&ring), named);
    assert_eq!(named.len(), 2);
    keeper.revoke(&KeyId::new(line.active.id().unwrap())).await.unwrap();
    let left: Vec<String> = published(&keeper.current());
    assert!(left.len() == 2 && !left.iter().any(|id| Some(&**id) == line.active.id()), "{left:?}");
}
