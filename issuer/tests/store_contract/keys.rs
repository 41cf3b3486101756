use doorward_issuer::crypto::master_key::MasterKey;
use doorward_issuer::crypto::ring::{KeyRing, RingError};
use doorward_issuer::crypto::signer::{Signer, SignerSettings, Signing};
use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom};
use doorward_issuer::domain::keys::{KeyId, KeyKind, KeyState, SealedKey, SigningAlgorithm};
use doorward_issuer::domain::ports::{Jwks as _, Keys};
use futures_util::future::join_all;

use crate::fixture::Fixture;

pub(crate) async fn of_one_kind_and_number_the_first_key_stays<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let first = key("first", KeyKind::Pepper, 1);
    let revoked = SealedKey { state: KeyState::Revoked, ..key("revoked", KeyKind::Pepper, 2) };
    let other_kind = key("other", KeyKind::Signing(SigningAlgorithm::Rs256), 1);
    for key in [&first, &revoked, &other_kind] {
        store.insert_if_absent(key).await.unwrap();
    }
    let late = join_all((0..8).map(async |n| {
        fixture.open().await.insert_if_absent(&key(&format!("late {n}"), KeyKind::Pepper, 1)).await
    }))
    .await;
    assert!(late.iter().all(Result::is_ok), "{late:?}");
    let mut all = store.all().await.unwrap();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(all, [first, other_kind, revoked]);
}

pub(crate) async fn replicas_that_start_together_agree<F: Fixture>() {
    let fixture = F::start().await;
    let master = MasterKey::generate(&SystemRandom);
    let published = join_all((0..6).map(async |_| {
        let ring = open(&fixture.open().await, &master).await.unwrap();
        let settings =
            SignerSettings { issuer: "i".into(), audiences: vec!["a".into()], client_id: "c".into() };
        Signer::new(&ring, &Signing::Ring(SigningAlgorithm::Es256), settings).unwrap().document()
    }))
    .await;
    assert!(published.windows(2).all(|pair| pair[0] == pair[1]), "{published:?}");
    let kinds = fixture.open().await.all().await.unwrap().len();
    assert_eq!(kinds, 4, "one pepper, one refresh key, one mail key, one signing key");
}

pub(crate) async fn another_master_key_is_refused<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    open(&store, &MasterKey::generate(&SystemRandom)).await.unwrap();
    let refused = open(&store, &MasterKey::generate(&SystemRandom)).await;
    assert!(matches!(refused, Err(RingError::WrongMasterKey)), "{refused:?}");
}

async fn open(store: &dyn Keys, master: &MasterKey) -> Result<KeyRing, RingError> {
    KeyRing::open(store, master, Some(SigningAlgorithm::Es256), &SystemClock, &SystemRandom).await
}

fn key(id: &str, kind: KeyKind, number: u32) -> SealedKey {
    SealedKey {
        id: KeyId::new(id),
        kind,
        number,
        created_at: SystemClock.now(),
        state: KeyState::Active,
        sealed: id.as_bytes().to_vec(),
    }
}
