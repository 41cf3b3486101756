use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use doorward_issuer::crypto::keeper::{RevocationOutcome, RingKeeper, RotationOutcome};
use doorward_issuer::crypto::master_key::MasterKey;
use doorward_issuer::crypto::ring::RingError;
use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom};
use doorward_issuer::domain::keys::{
    KeyEntry, KeyId, KeyKind, KeyPurpose, RingChange, SealedKey, SealedRing, SigningAlgorithm,
};
use doorward_issuer::domain::ports::{Jwks as _, Keys, Revocations, RingChanged};
use doorward_issuer::domain::revocation::Revoked;
use doorward_issuer::domain::token::Tokens;
use futures_util::future::join_all;

use crate::fixture::Fixture;
use crate::issuer::{Issuer, PASSWORD};

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn a_ring_is_changed_as_a_whole<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    assert_eq!(store.load().await.unwrap(), SealedRing { version: 0, keys: Vec::new() });
    let signing = KeyKind::Signing(SigningAlgorithm::Rs256);
    let (a, b, c) = (key("a", KeyKind::Pepper, 1), key("b", KeyKind::Mail, 1), key("c", signing, 1));
    let d = key("d", KeyKind::Refresh, 7);
    let first = RingChange { add: vec![a.clone(), b.clone(), c.clone(), d.clone()], ..RingChange::default() };
    assert_eq!(store.change(0, &first, SystemClock.now()).await.unwrap(), RingChanged::Yes);
    assert_eq!(ring(&fixture.open().await).await, (1, vec![a.clone(), b.clone(), c.clone(), d.clone()]));

    let e = key("e", signing, 2);
    let change = RingChange {
        add: vec![e.clone()],
        revoke: vec![c.entry.clone(), d.entry.clone()],
        remove: vec![b.entry.id.clone()],
        reseal: vec![(a.entry.id.clone(), b"other bytes".to_vec())],
    };
    assert_eq!(store.change(0, &change, SystemClock.now()).await.unwrap(), RingChanged::Superseded);
    assert_eq!(ring(&store).await.0, 1, "nothing was written");
    assert_eq!(revocations(&store).await, []);
    assert_eq!(store.change(1, &change, SystemClock.now()).await.unwrap(), RingChanged::Yes);
    let a = SealedKey { sealed: b"other bytes".to_vec(), ..a };
    let revoked = |key: SealedKey| SealedKey { entry: KeyEntry { revoked: true, ..key.entry }, ..key };
    let expected = vec![a, revoked(c.clone()), revoked(d), e];
    assert_eq!(ring(&fixture.open().await).await, (2, expected));
    assert_eq!(revocations(&store).await, [Revoked::Key(c.entry.id)], "gateways hear of signing keys alone");
}

pub(crate) async fn of_many_changes_of_one_ring_one_happens<F: Fixture>() {
    let fixture = F::start().await;
    let stores = join_all((0..6).map(|_| fixture.open())).await;
    for version in 0..5 {
        let outcomes = join_all(stores.iter().enumerate().map(async |(n, store)| {
            let number = u32::try_from(version * 10).unwrap() + u32::try_from(n).unwrap();
            let add = vec![key(&format!("{version} {n}"), KeyKind::Mail, number)];
            store.change(version, &RingChange { add, ..RingChange::default() }, SystemClock.now()).await
        }))
        .await;
        let happened = outcomes.iter().filter(|outcome| matches!(outcome, Ok(RingChanged::Yes)));
        assert_eq!(happened.count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        let (at, keys) = ring(&stores[0]).await;
        assert_eq!((at, keys.len() as u64), (version + 1, version + 1));
    }
}

pub(crate) async fn replicas_that_start_together_agree<F: Fixture>() {
    let fixture = F::start().await;
    let master = master();
    let stores = join_all((0..6).map(|_| fixture.open())).await;
    let issuers =
        join_all(stores.into_iter().map(|store| Issuer::with_master(store, 4, master.clone()))).await;
    let published: Vec<_> = issuers.iter().map(|issuer| issuer.jwks.document()).collect();
    assert!(published.windows(2).all(|pair| pair[0] == pair[1]), "{published:?}");
    let keys = fixture.open().await.load().await.unwrap().keys.len();
    assert_eq!(keys, 4, "one pepper, one refresh key, one mail key, one signing key");
}

pub(crate) async fn another_master_key_is_refused<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::with_master(fixture.open().await, 4, master()).await;
    let other = issuer.ring.means().clone();
    let refused =
        RingKeeper::open(doorward_issuer::crypto::keeper::RingMeans { master: master(), ..other }).await;
    assert!(matches!(refused.map(drop), Err(RingError::WrongMasterKey)));
}

/// Two issuers and one that is restarted in between, while every key is changed: nobody who is logged in notices.
pub(crate) async fn a_rotation_is_not_noticed<F: Fixture>() {
    let fixture = F::start().await;
    let master = master();
    let one = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
    let two = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
    let mut tokens = one.newcomer("a@b.com").await;
    let mut seen = vec![signed_by(&tokens)];
    for round in 0..3 {
        for purpose in KeyPurpose::ALL {
            let outcomes = tokio::join!(one.ring.rotate(purpose), two.ring.rotate(purpose));
            let made = [outcomes.0.unwrap(), outcomes.1.unwrap()];
            let made = made.iter().filter(|outcome| matches!(outcome, RotationOutcome::Made(_))).count();
            assert_eq!(made, 1, "two at once make one key");
        }
        let three = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
        three.clock.advance(20 * MINUTE * round);
        let issuers = [&one, &two, &three];
        for _ in 0..10 {
            for issuer in issuers {
                issuer.clock.advance(2 * MINUTE);
                issuer.ring.tick().await.unwrap();
            }
            // A token of one issuer counts at every other, access and refresh alike.
            for (issuer, other) in [(&one, &two), (&two, &three), (&three, &one)] {
                tokens = issuer.refresh(&tokens).await.unwrap();
                other.caller(&tokens).await.unwrap();
                assert!(
                    issuer.jwks.document().contains(&signed_by(&tokens)),
                    "and every gateway knows its key"
                );
            }
        }
        one.log_in("a@b.com", PASSWORD).await.unwrap();
        seen.push(signed_by(&tokens));
    }
    seen.dedup();
    assert_eq!(seen.len(), 4, "a new key signed in each round");
}

/// People refresh at one issuer and are asked who they are at the other, without a pause, while key follows key.
pub(crate) async fn keys_follow_each_other_under_load<F: Fixture>() {
    let fixture = F::start().await;
    let master = master();
    let one = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
    let two = Issuer::with_master(fixture.open().await, 4, master).await;
    let (done, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    let person = async |number: usize| {
        let (mut here, mut there) = if number.is_multiple_of(2) { (&one, &two) } else { (&two, &one) };
        let mut tokens = here.newcomer(&format!("user{number}@b.com")).await;
        let mut keys = BTreeSet::from([signed_by(&tokens)]);
        while !done.load(Ordering::SeqCst) {
            tokens = here.refresh(&tokens).await.unwrap();
            there.caller(&tokens).await.unwrap();
            assert!(there.jwks.document().contains(&signed_by(&tokens)), "gateways of both know it");
            keys.insert(signed_by(&tokens));
            rounds.fetch_add(1, Ordering::SeqCst);
            std::mem::swap(&mut here, &mut there);
        }
        keys.len()
    };
    let go_on = async |more: u32| {
        let goal = rounds.load(Ordering::SeqCst) + more;
        while rounds.load(Ordering::SeqCst) < goal {
            tokio::task::yield_now().await;
        }
    };
    let operator = async {
        for _ in 0..3 {
            for purpose in KeyPurpose::ALL {
                one.ring.rotate(purpose).await.unwrap();
            }
            // As every running issuer does within two seconds.
            two.ring.tick().await.unwrap();
            for _ in 0..7 {
                for issuer in [&one, &two] {
                    issuer.clock.advance(MINUTE);
                    issuer.ring.tick().await.unwrap();
                    go_on(4).await;
                }
            }
        }
        done.store(true, Ordering::SeqCst);
    };
    let all = async { tokio::join!(join_all((0..4).map(person)), operator).0 };
    let keys = tokio::time::timeout(Duration::from_secs(60), all).await.expect("they go on");
    assert_eq!(keys, [4; 4], "everybody had a token of every key");
}

pub(crate) async fn a_revoked_key_is_worth_nothing_at_once<F: Fixture>() {
    let fixture = F::start().await;
    let master = master();
    let store = fixture.open().await;
    let one = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
    let two = Issuer::with_master(fixture.open().await, 4, master).await;
    let tokens = one.newcomer("a@b.com").await;
    let key = KeyId::new(signed_by(&tokens));
    let revoked = one.ring.revoke(&key).await.unwrap();
    assert!(matches!(revoked, RevocationOutcome::Yes(Some(_))), "{revoked:?}");
    assert_eq!(revocations(&store).await, [Revoked::Key(key.clone())]);
    two.ring.tick().await.unwrap();
    for issuer in [&one, &two] {
        assert!(issuer.caller(&tokens).await.is_err());
        assert!(!issuer.jwks.document().contains(key.as_str()));
    }
    let next = two.refresh(&tokens).await.unwrap();
    assert_ne!(signed_by(&next), key.as_str());
    one.caller(&next).await.unwrap();
}

pub(crate) async fn another_master_key_opens_what_the_first_one_sealed<F: Fixture>() {
    let fixture = F::start().await;
    let (old, new) = (master(), master());
    let before = Issuer::with_master(fixture.open().await, 4, old).await;
    let tokens = before.newcomer("a@b.com").await;
    before.ring.reseal(&new).await.unwrap();
    let after = Issuer::with_master(fixture.open().await, 4, new).await;
    after.caller(&tokens).await.unwrap();
    after.refresh(&tokens).await.unwrap();
    after.log_in("a@b.com", PASSWORD).await.unwrap();
    assert!(matches!(before.ring.tick().await, Err(RingError::Resealed)));
    before.caller(&tokens).await.unwrap();
}

async fn ring(store: &impl Keys) -> (u64, Vec<SealedKey>) {
    let SealedRing { version, mut keys } = store.load().await.unwrap();
    keys.sort_by(|a, b| a.entry.id.cmp(&b.entry.id));
    (version, keys)
}

async fn revocations(store: &impl Revocations) -> Vec<Revoked> {
    let page = store.after(0, 10, SystemClock.now()).await.unwrap();
    page.items.into_iter().map(|item| item.revoked).collect()
}

/// The `kid` of an access token.
fn signed_by(tokens: &Tokens) -> String {
    let header = tokens.access_token.split('.').next().unwrap();
    let header = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, header).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn master() -> Arc<MasterKey> {
    Arc::new(MasterKey::generate(&SystemRandom))
}

fn key(id: &str, kind: KeyKind, number: u32) -> SealedKey {
    let now = SystemClock.now();
    let entry = KeyEntry {
        id: KeyId::new(id),
        kind,
        number,
        created_at: now,
        active_from: now + jiff::SignedDuration::from_mins(5),
        revoked: false,
    };
    SealedKey { entry, sealed: id.as_bytes().to_vec() }
}
