use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::crypto::testing::{House, ROTATE_EVERY, SESSION};
use crate::domain::clock::SystemRandom;
use crate::domain::keys::SigningAlgorithm;
use crate::domain::keys::SigningAlgorithm::{EdDsa, Es256};
use crate::domain::revocation::Revoked;

const MINUTE: Duration = Duration::from_secs(60);

fn signs(keeper: &RingKeeper) -> KeyId {
    KeyId::new(keeper.current().signing().unwrap().active.id().unwrap())
}

fn trusts(keeper: &RingKeeper, id: &KeyId) -> bool {
    let ring = keeper.current();
    ring.signing().unwrap().trusted.iter().any(|key| key.id() == Some(id.as_str()))
}

fn made(outcome: RotationOutcome) -> KeyId {
    match outcome {
        RotationOutcome::Made(entry) => entry.id,
        other => panic!("no key was made: {other:?}"),
    }
}

fn number_of(house: &House, purpose: KeyPurpose) -> usize {
    house.store.entries().iter().filter(|entry| entry.kind.purpose() == purpose).count()
}

#[tokio::test]
async fn the_first_start_makes_the_keys_and_later_ones_find_them() {
    let house = House::new(Some(Es256));
    let first = house.open().await;
    assert_eq!(house.store.entries().len(), 4, "one for each purpose");
    let before = house.store.sealed();
    let second = house.open().await;
    assert_eq!(house.store.sealed(), before);
    assert_eq!(first.current().jwks(), second.current().jwks());
    assert_eq!(first.newest_made().len(), 4);
    assert_eq!(first.newest_made(), second.newest_made());
}

#[tokio::test]
async fn replicas_that_start_together_make_one_ring() {
    let house = House::new(Some(Es256));
    let started = join_all((0..8).map(|_| house.open())).await;
    assert_eq!(house.store.entries().len(), 4);
    assert!(started.iter().all(|keeper| keeper.current().jwks() == started[0].current().jwks()));
}

#[tokio::test]
async fn without_an_asymmetric_algorithm_there_is_no_signing_key() {
    let house = House::new(None);
    let keeper = house.open().await;
    assert!(keeper.current().signing().is_none());
    assert_eq!(keeper.rotate(KeyPurpose::Signing).await.unwrap(), RotationOutcome::NotInTheRing);
}

#[tokio::test]
async fn a_key_is_known_before_it_signs_and_trusted_until_its_last_token_has_expired() {
    let house = House::new(Some(Es256));
    let (here, there) = (house.open().await, house.open().await);
    let first = signs(&here);
    let second = made(here.rotate(KeyPurpose::Signing).await.unwrap());
    there.tick().await.unwrap();
    for keeper in [&here, &there] {
        assert!(trusts(keeper, &second), "published at once");
        assert_eq!(signs(keeper), first);
    }
    let again = here.rotate(KeyPurpose::Signing).await.unwrap();
    assert!(matches!(again, RotationOutcome::Waiting(entry) if entry.id == second));

    house.clock.advance(5 * MINUTE);
    there.tick().await.unwrap();
    assert_eq!(signs(&there), first, "not before every cache has run out");
    house.clock.advance(MINUTE);
    there.tick().await.unwrap();
    assert_eq!(signs(&there), second);
    house.clock.advance(60 * MINUTE);
    there.tick().await.unwrap();
    assert!(trusts(&there, &first), "its last token may be an hour old");
    house.clock.advance(MINUTE);
    there.tick().await.unwrap();
    assert!(!trusts(&there, &first));
    assert!(house.store.entries().iter().all(|entry| entry.id != first), "and it is removed");
}

#[tokio::test]
async fn another_algorithm_follows_like_another_key() {
    let house = House::new(Some(Es256));
    let old = house.open().await;
    let first = signs(&old);
    let new = house.signing(Some(EdDsa)).open().await;
    assert_eq!(signs(&new), first, "nobody knows the other key yet");
    assert_eq!(house.signing(Some(EdDsa)).open().await.current().jwks(), new.current().jwks(), "made once");
    house.clock.advance(6 * MINUTE);
    for keeper in [&old, &new] {
        keeper.tick().await.unwrap();
        assert_ne!(signs(keeper), first);
        assert!(trusts(keeper, &first));
    }
    assert_eq!(number_of(&house, KeyPurpose::Signing), 2);
}

#[tokio::test]
async fn of_many_that_rotate_at_once_one_makes_a_key() {
    let house = House::new(Some(Es256));
    let replicas = join_all((0..8).map(|_| house.open())).await;
    let outcomes = join_all(replicas.iter().map(|keeper| keeper.rotate(KeyPurpose::Signing))).await;
    let made = outcomes.iter().filter(|outcome| matches!(outcome, Ok(RotationOutcome::Made(_))));
    assert_eq!((made.count(), number_of(&house, KeyPurpose::Signing)), (1, 2), "{outcomes:?}");
}

#[tokio::test]
async fn old_keys_get_a_successor_by_themselves_and_one_replica_makes_it() {
    let house = House::new(Some(Es256));
    let replicas = join_all((0..4).map(|_| house.open())).await;
    house.clock.advance(ROTATE_EVERY - MINUTE);
    join_all(replicas.iter().map(|keeper| keeper.tick())).await;
    assert_eq!(house.store.entries().len(), 4);
    house.clock.advance(MINUTE);
    for _ in 0..3 {
        let ticks = join_all(replicas.iter().map(|keeper| keeper.tick())).await;
        assert!(ticks.iter().all(Result::is_ok), "{ticks:?}");
    }
    let numbers = KeyPurpose::ALL.map(|purpose| number_of(&house, purpose));
    assert_eq!(numbers, [2, 1, 2, 2], "peppers are changed by command alone");
}

#[tokio::test]
async fn a_revoked_key_is_gone_at_once_and_another_signs() {
    let house = House::new(Some(Es256));
    let (here, there) = (house.open().await, house.open().await);
    let first = signs(&here);
    let RevocationOutcome::Yes(Some(replacement)) = here.revoke(&first).await.unwrap() else {
        panic!("a key takes its place");
    };
    assert_eq!(*house.store.revoked.lock().unwrap(), [Revoked::Key(first.clone())]);
    there.tick().await.unwrap();
    for keeper in [&here, &there] {
        assert!(!trusts(keeper, &first));
        assert_eq!(signs(keeper), replacement.id);
    }
    assert_eq!(here.revoke(&first).await.unwrap(), RevocationOutcome::Before);
    assert_eq!(here.revoke(&KeyId::new("nobody")).await.unwrap(), RevocationOutcome::Unknown);
}

#[tokio::test]
async fn a_key_that_waits_or_has_retired_is_revoked_without_a_replacement() {
    let house = House::new(Some(Es256));
    let keeper = house.open().await;
    let first = signs(&keeper);
    let second = made(keeper.rotate(KeyPurpose::Signing).await.unwrap());
    assert_eq!(keeper.revoke(&second).await.unwrap(), RevocationOutcome::Yes(None));
    house.clock.advance(6 * MINUTE);
    keeper.tick().await.unwrap();
    assert_eq!(signs(&keeper), first);
    let third = made(keeper.rotate(KeyPurpose::Signing).await.unwrap());
    house.clock.advance(6 * MINUTE);
    keeper.tick().await.unwrap();
    assert_eq!(keeper.revoke(&first).await.unwrap(), RevocationOutcome::Yes(None));
    assert_eq!(signs(&keeper), third);
    assert!(!trusts(&keeper, &first) && !trusts(&keeper, &second));
}

#[tokio::test]
async fn the_active_key_is_replaced_at_once_also_while_another_waits() {
    let house = House::new(Some(Es256));
    let keeper = house.open().await;
    let waiting = made(keeper.rotate(KeyPurpose::Signing).await.unwrap());
    let RevocationOutcome::Yes(Some(now)) = keeper.revoke(&signs(&keeper)).await.unwrap() else {
        panic!("a key takes its place");
    };
    assert_eq!(signs(&keeper), now.id);
    house.clock.advance(6 * MINUTE);
    keeper.tick().await.unwrap();
    assert_eq!(signs(&keeper), waiting);
    assert!(trusts(&keeper, &now.id));
}

#[tokio::test]
async fn a_pepper_cannot_be_revoked_and_never_goes() {
    let house = House::new(None);
    let keeper = house.open().await;
    let first = keeper.current().pepper().active.id.clone();
    assert_eq!(keeper.revoke(&first).await.unwrap(), RevocationOutcome::Pepper);
    keeper.rotate(KeyPurpose::Pepper).await.unwrap();
    house.clock.advance(Duration::from_hours(24 * 3650));
    keeper.tick().await.unwrap();
    let ring = keeper.current();
    assert_ne!(ring.pepper().active.id, first);
    assert!(ring.pepper().named(&first).is_some());
}

#[tokio::test]
async fn an_old_refresh_key_is_trusted_as_long_as_a_session_may_last() {
    let house = House::new(None);
    let keeper = house.open().await;
    let first = keeper.current().refresh().active.id.clone();
    keeper.rotate(KeyPurpose::Refresh).await.unwrap();
    house.clock.advance(MINUTE);
    keeper.tick().await.unwrap();
    assert_ne!(keeper.current().refresh().active.id, first);
    house.clock.advance(SESSION);
    keeper.tick().await.unwrap();
    assert!(keeper.current().refresh().named(&first).is_some());
    house.clock.advance(MINUTE);
    keeper.tick().await.unwrap();
    assert!(keeper.current().refresh().named(&first).is_none());
    assert!(house.store.revoked.lock().unwrap().is_empty(), "no gateway has to hear of refresh keys");
}

#[tokio::test]
async fn a_stranger_leads_to_one_look_in_a_second() {
    let house = House::new(Some(Es256));
    let (here, there) = (house.open().await, house.open().await);
    made(here.rotate(KeyPurpose::Signing).await.unwrap());
    let seen = there.current();
    let loads = house.store.loads.load(Ordering::SeqCst);
    let looks = join_all((0..32).map(|_| there.look_again(&seen))).await;
    assert!(looks.iter().all(|ring| ring.as_ref().is_some_and(|ring| ring.jwks() == here.current().jwks())));
    let seen = there.current();
    assert!(there.look_again(&seen).await.is_none(), "too soon");
    assert_eq!(house.store.loads.load(Ordering::SeqCst), loads + 1);
    house.clock.advance(Duration::from_secs(1));
    assert!(there.look_again(&seen).await.is_some());
}

#[tokio::test]
async fn strangers_do_not_queue_for_a_store_that_does_not_answer() {
    let house = House::new(Some(Es256));
    let keeper = house.open().await;
    let seen = keeper.current();
    house.store.is_down.store(true, Ordering::SeqCst);
    house.store.takes_seconds.store(3, Ordering::SeqCst);
    let loads = house.store.loads.load(Ordering::SeqCst);
    let looks = join_all((0..32).map(|_| keeper.look_again(&seen))).await;
    assert_eq!(house.store.loads.load(Ordering::SeqCst), loads + 1);
    assert!(
        looks.iter().all(Option::is_none) || looks.iter().flatten().all(|ring| ring.jwks() == seen.jwks())
    );
}

#[tokio::test]
async fn dates_pass_while_the_store_is_down() {
    let house = House::new(Some(Es256));
    let keeper = house.open().await;
    let second = made(keeper.rotate(KeyPurpose::Signing).await.unwrap());
    house.store.is_down.store(true, Ordering::SeqCst);
    house.clock.advance(6 * MINUTE);
    assert!(matches!(keeper.tick().await, Err(RingError::Store(_))));
    assert_eq!(signs(&keeper), second);
}

#[tokio::test]
async fn a_ring_that_lacks_something_is_not_put_to_use() {
    let house = House::new(Some(Es256));
    let keeper = house.open().await;
    let before = keeper.current().jwks();
    house.store.meddle(Vec::clear);
    assert!(matches!(keeper.tick().await, Err(RingError::Incomplete(_))));
    assert_eq!(keeper.current().jwks(), before);
}

#[tokio::test]
async fn another_master_key_seals_the_same_keys_in_one_write() {
    let house = House::new(Some(Es256));
    let (running, command) = (house.open().await, house.open().await);
    let new = MasterKey::generate(&SystemRandom);
    assert_eq!(command.reseal(&new).await.unwrap(), 4);
    assert!(matches!(house.try_open().await.map(drop), Err(RingError::WrongMasterKey)), "the old one is out");

    let restarted = House { master: Arc::new(new), ..house.clone() }.open().await;
    assert_eq!(restarted.current().jwks(), command.current().jwks());
    let (before, after) = (running.current(), restarted.current());
    assert_eq!(before.pepper().active.bytes, after.pepper().active.bytes);

    // Who still has the old master key goes on, changes nothing, and hears of revocations.
    assert!(matches!(running.tick().await, Err(RingError::Resealed)));
    let first = signs(&running);
    assert_eq!(first, signs(&restarted));
    restarted.revoke(&first).await.unwrap();
    assert!(running.tick().await.is_err());
    assert!(!trusts(&running, &first) && &*running.current().jwks() == "{\"keys\":[]}");
    house.clock.advance(ROTATE_EVERY);
    assert!(running.tick().await.is_err());
    assert!(running.rotate(KeyPurpose::Mail).await.is_err());
    assert_eq!(house.store.entries().len(), 5, "nothing but the replacement was made");
}

#[tokio::test]
async fn an_rsa_key_survives_the_change_of_the_master_key() {
    let house = House::new(Some(SigningAlgorithm::Rs256));
    let new = MasterKey::generate(&SystemRandom);
    let keeper = house.open().await;
    keeper.reseal(&new).await.unwrap();
    let restarted = House { master: Arc::new(new), ..house }.open().await;
    assert_eq!(restarted.current().jwks(), keeper.current().jwks());
}
