use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::crypto::pool::PoolSettings;
use crate::crypto::testing::{House, ring_of};
use crate::domain::clock::SystemRandom;
use crate::domain::email::Email;
use crate::domain::keys::{KeyId, KeyKind, KeyPurpose};
use crate::domain::policy::PasswordPolicy;

fn hasher(cost: u32, peppers: &[u8]) -> BcryptHasher {
    hasher_with(cost, peppers, |secret, hash| bcrypt::verify(secret, hash))
}

fn hasher_with(
    cost: u32,
    peppers: &[u8],
    compare: impl Fn(&str, &str) -> BcryptResult<bool> + Send + Sync + 'static,
) -> BcryptHasher {
    let bcrypt = Arc::new(Bcrypt { cost, random: Arc::new(SystemRandom), compare: Box::new(compare) });
    let pool = Pool::start(PoolSettings::default()).unwrap();
    BcryptHasher { pool, ring: ring_of(KeyKind::Pepper, peppers), bcrypt }
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

async fn hash(hasher: &BcryptHasher, text: &str) -> PasswordHash {
    let choice = PasswordChoice {
        password: password(text),
        email: Email::parse("a@b.com").unwrap(),
        username: None,
        policy: PasswordPolicy::new(1, 0, []),
    };
    hasher.choose(choice, None).await.unwrap().unwrap()
}

async fn check(hasher: &BcryptHasher, text: &str, stored: &PasswordHash) -> Verdict {
    hasher.verify(password(text), Some(stored.clone()), None).await.unwrap()
}

#[tokio::test]
async fn a_hash_matches_its_password_alone() {
    let hasher = hasher(4, &[1]);
    let stored = hash(&hasher, "caf\u{e9} au lait").await;
    assert!(stored.bcrypt().starts_with("$2b$04$"), "{}", stored.bcrypt());
    assert_eq!(check(&hasher, "cafe\u{301} au lait", &stored).await, Verdict::Match { rehash: None });
    assert_eq!(check(&hasher, "cafe au lait", &stored).await, Verdict::Mismatch);
    assert_ne!(hash(&hasher, "caf\u{e9} au lait").await, stored, "salted");
}

#[tokio::test]
async fn neither_length_nor_nul_is_lost() {
    let hasher = hasher(4, &[1]);
    let long = "x".repeat(200);
    let stored = hash(&hasher, &format!("{long}a")).await;
    assert_eq!(check(&hasher, &format!("{long}b"), &stored).await, Verdict::Mismatch);
    let stored = hash(&hasher, "nul\0a").await;
    assert_eq!(check(&hasher, "nul\0b", &stored).await, Verdict::Mismatch);
    assert_eq!(check(&hasher, "nul", &stored).await, Verdict::Mismatch);
}

#[tokio::test]
async fn an_unknown_user_never_matches() {
    let verdict = hasher(4, &[1]).verify(password("anything"), None, None).await;
    assert_eq!(verdict, Ok(Verdict::Mismatch));
}

#[tokio::test]
async fn yesterdays_hash_matches_and_is_made_anew() {
    let old = hasher(4, &[1]);
    let stored = hash(&old, "some password").await;
    let plain = PasswordHash::Plain { bcrypt: bcrypt::hash("some password", 4).unwrap() };
    for (today, stored) in
        [(hasher(5, &[1]), stored.clone()), (hasher(4, &[1, 2]), stored), (hasher(4, &[1]), plain)]
    {
        let Verdict::Match { rehash: Some(new) } = check(&today, "some password", &stored).await else {
            panic!("matches, and wants a new hash");
        };
        assert_eq!(check(&today, "some password", &new).await, Verdict::Match { rehash: None });
        assert_eq!(check(&today, "other password", &stored).await, Verdict::Mismatch);
    }
}

#[tokio::test]
async fn a_hash_that_cannot_be_checked_is_an_error_not_a_mismatch() {
    let hasher = hasher(4, &[1]);
    let lost = PasswordHash::Peppered { pepper: KeyId::new("gone"), bcrypt: decoy_hash(4) };
    let broken = PasswordHash::Plain { bcrypt: "$2b$99$x".into() };
    for stored in [lost, broken] {
        let verdict = hasher.verify(password("x"), Some(stored), None).await;
        assert!(matches!(verdict, Err(HashError::Unusable(_))), "{verdict:?}");
    }
}

#[tokio::test]
async fn an_unknown_user_a_wrong_password_and_a_cheap_hash_cost_the_same() {
    // bcrypt does 2^cost rounds for each comparison, and nothing else here takes time.
    let rounds = Arc::new(AtomicU64::new(0));
    let counted = rounds.clone();
    let hasher = hasher_with(7, &[0, 1], move |secret, hash| {
        counted.fetch_add(1 << cost_of(hash).unwrap(), Ordering::SeqCst);
        bcrypt::verify(secret, hash)
    });
    let mut stored = vec![None];
    for cost in 4..=7 {
        let peppered = |id| PasswordHash::Peppered { pepper: KeyId::new(id), bcrypt: decoy_hash(cost) };
        let plain = PasswordHash::Plain { bcrypt: decoy_hash(cost) };
        stored.extend([peppered("pepper 0"), peppered("pepper 1"), plain].map(Some));
    }
    for stored in stored {
        let verdict = hasher.verify(password("wrong"), stored.clone(), None).await;
        assert_eq!(verdict, Ok(Verdict::Mismatch));
        assert_eq!(rounds.swap(0, Ordering::SeqCst), 1 << 7, "{stored:?}");
    }
}

#[tokio::test]
async fn after_a_change_of_the_pepper_a_login_renews_the_hash_on_every_replica() {
    let house = House::new(None);
    let hasher = async || {
        let pool = Pool::start(PoolSettings::default()).unwrap();
        let ring = house.open().await;
        (BcryptHasher::new(pool, ring.clone(), 4, Arc::new(SystemRandom)), ring)
    };
    let ((here, ring), (there, _)) = (hasher().await, hasher().await);
    let stored = hash(&here, "some password").await;
    ring.rotate(KeyPurpose::Pepper).await.unwrap();
    assert_eq!(
        check(&here, "some password", &stored).await,
        Verdict::Match { rehash: None },
        "not known yet"
    );
    house.clock.advance(std::time::Duration::from_secs(60));
    ring.tick().await.unwrap();
    let Verdict::Match { rehash: Some(new) } = check(&here, "some password", &stored).await else {
        panic!("matches, and wants a new hash");
    };
    // The other replica has never looked, and meets a pepper that it does not know.
    assert_eq!(check(&there, "some password", &new).await, Verdict::Match { rehash: None });
    assert_eq!(check(&there, "other password", &new).await, Verdict::Mismatch);
}
