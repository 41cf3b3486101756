use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine};
use bcrypt::BcryptResult;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha384;
use zeroize::Zeroizing;

use super::pool::{Pool, PoolError};
use super::ring::{KeyRing, RingError};
use crate::domain::clock::{Random, random_bytes};
use crate::domain::keys::{KeyId, KeyKind};
use crate::domain::password::{Password, PasswordHash};
use crate::domain::policy::{PasswordChoice, PasswordRefusal};
use crate::domain::ports::{HashError, PasswordHasher, Verdict};

/// bcrypt over `base64(HMAC-SHA-384(pepper, password))`, in a [`Pool`].
///
/// The digest is 64 characters without NUL, so what bcrypt does with long passwords and NUL bytes never matters.
pub struct BcryptHasher {
    pool: Pool,
    bcrypt: Arc<Bcrypt>,
}

/// bcrypt's cost when nothing else is configured.
pub const DEFAULT_COST: u32 = 12;
/// Costs that can be configured: below, hashes are too easy to guess even in tests; above, one takes seconds.
pub const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

const RETRY_AFTER: Duration = Duration::from_secs(2);

impl BcryptHasher {
    /// A hasher with the peppers of `ring`; `cost` is brought within [`COSTS`].
    ///
    /// # Errors
    /// When the ring has no pepper.
    pub fn new(pool: Pool, ring: &KeyRing, cost: u32, random: Arc<dyn Random>) -> Result<Self, RingError> {
        let newest = ring.newest(KeyKind::Pepper).ok_or(RingError::NotMade("pepper"))?.id.clone();
        let peppers = ring.of_kind(KeyKind::Pepper).map(|key| (key.id.clone(), key.secret.clone())).collect();
        let cost = cost.clamp(*COSTS.start(), *COSTS.end());
        let compare = Box::new(|secret: &str, hash: &str| bcrypt::verify(secret, hash));
        Ok(Self { pool, bcrypt: Arc::new(Bcrypt { cost, newest, peppers, random, compare }) })
    }

    async fn run<T: Send + 'static>(
        &self,
        client: Option<IpAddr>,
        work: impl FnOnce(&Bcrypt) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let bcrypt = Arc::clone(&self.bcrypt);
        self.pool.run(client, move || work(&bcrypt)).await.unwrap_or_else(|error| Err(error.into()))
    }
}

#[async_trait]
impl PasswordHasher for BcryptHasher {
    async fn choose(
        &self,
        choice: PasswordChoice,
        client: Option<IpAddr>,
    ) -> Result<Result<PasswordHash, PasswordRefusal>, HashError> {
        self.run(client, move |bcrypt| match choice.judge() {
            Ok(accepted) => bcrypt.hash(&accepted.into_password()).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        })
        .await
    }

    async fn verify(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
        client: Option<IpAddr>,
    ) -> Result<Verdict, HashError> {
        self.run(client, move |bcrypt| match stored {
            Some(stored) => bcrypt.verify(&password, &stored),
            None => bcrypt.decoy(&password),
        })
        .await
    }
}

impl From<PoolError> for HashError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Full => Self::Overloaded { retry_after: RETRY_AFTER },
            PoolError::Failed => Self::Unusable("hashing failed"),
        }
    }
}

/// The work itself; slow, so for the pool's threads only.
struct Bcrypt {
    cost: u32,
    newest: KeyId,
    peppers: HashMap<KeyId, Zeroizing<Vec<u8>>>,
    random: Arc<dyn Random>,
    /// Every comparison goes through here, so that a test can count the work.
    compare: Compare,
}

type Compare = Box<dyn Fn(&str, &str) -> BcryptResult<bool> + Send + Sync>;

impl Bcrypt {
    fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let digest = self.digest(password, &self.newest)?;
        let salt = random_bytes(&*self.random);
        let parts = bcrypt::hash_with_salt(&*digest, self.cost, salt).map_err(|_| BROKEN)?;
        let bcrypt = parts.format_for_version(bcrypt::Version::TwoB);
        Ok(PasswordHash::Peppered { pepper: self.newest.clone(), bcrypt })
    }

    fn verify(&self, password: &Password, stored: &PasswordHash) -> Result<Verdict, HashError> {
        let cost = cost_of(stored.bcrypt())?;
        let matches = match stored {
            PasswordHash::Peppered { pepper, bcrypt } => {
                self.matches(&self.digest(password, pepper)?, bcrypt)?
            }
            PasswordHash::Plain { bcrypt } => self.matches(password.expose(), bcrypt)?,
        };
        if !matches {
            self.top_up(password, cost)?;
            return Ok(Verdict::Mismatch);
        }
        let of_today = cost == self.cost && stored.pepper() == Some(&self.newest);
        Ok(Verdict::Match { rehash: if of_today { None } else { Some(self.hash(password)?) } })
    }

    /// What [`verify`](Self::verify) does for a hash of today that does not match.
    fn decoy(&self, password: &Password) -> Result<Verdict, HashError> {
        let digest = self.digest(password, &self.newest)?;
        self.matches(&digest, &decoy_hash(self.cost))?;
        Ok(Verdict::Mismatch)
    }

    /// A mismatch against a hash cheaper than today's must not be told by its speed from an unknown user. Each cost
    /// doubles the work, so one decoy for every cost in between makes up for the difference exactly.
    fn top_up(&self, password: &Password, cost: u32) -> Result<(), HashError> {
        let digest = self.digest(password, &self.newest)?;
        (cost..self.cost).try_for_each(|cost| self.matches(&digest, &decoy_hash(cost)).map(drop))
    }

    fn matches(&self, secret: &str, hash: &str) -> Result<bool, HashError> {
        (self.compare)(secret, hash).map_err(|_| BROKEN)
    }

    fn digest(&self, password: &Password, pepper: &KeyId) -> Result<Zeroizing<String>, HashError> {
        let pepper =
            self.peppers.get(pepper).ok_or(HashError::Unusable("its pepper is not in the key ring"))?;
        let mac = Hmac::<Sha384>::new_from_slice(pepper).map_err(|_| BROKEN)?;
        let digest = mac.chain_update(password.expose()).finalize().into_bytes();
        Ok(Zeroizing::new(BASE64_STANDARD.encode(digest)))
    }
}

const BROKEN: HashError = HashError::Unusable("it is not a bcrypt hash");

/// A well-formed hash of nothing that anybody knows.
fn decoy_hash(cost: u32) -> String {
    format!("$2b${cost:02}${}", ".".repeat(53))
}

/// The cost that a bcrypt text (`$2b$12$…`) names.
fn cost_of(bcrypt: &str) -> Result<u32, HashError> {
    let parts: bcrypt::HashParts = bcrypt.parse().map_err(|_| BROKEN)?;
    Ok(parts.get_cost())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::crypto::pool::PoolSettings;
    use crate::domain::clock::SystemRandom;
    use crate::domain::email::Email;
    use crate::domain::policy::PasswordPolicy;

    fn hasher(cost: u32, peppers: &[&str]) -> BcryptHasher {
        hasher_with(cost, peppers, |secret, hash| bcrypt::verify(secret, hash))
    }

    fn hasher_with(
        cost: u32,
        peppers: &[&str],
        compare: impl Fn(&str, &str) -> BcryptResult<bool> + Send + Sync + 'static,
    ) -> BcryptHasher {
        let bcrypt = Bcrypt {
            cost,
            newest: KeyId::new(*peppers.last().unwrap()),
            peppers: peppers
                .iter()
                .map(|id| (KeyId::new(*id), Zeroizing::new(id.as_bytes().to_vec())))
                .collect(),
            random: Arc::new(SystemRandom),
            compare: Box::new(compare),
        };
        BcryptHasher { pool: Pool::start(PoolSettings::default()).unwrap(), bcrypt: Arc::new(bcrypt) }
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
        let hasher = hasher(4, &["p1"]);
        let stored = hash(&hasher, "caf\u{e9} au lait").await;
        assert!(stored.bcrypt().starts_with("$2b$04$"), "{}", stored.bcrypt());
        assert_eq!(check(&hasher, "cafe\u{301} au lait", &stored).await, Verdict::Match { rehash: None });
        assert_eq!(check(&hasher, "cafe au lait", &stored).await, Verdict::Mismatch);
        assert_ne!(hash(&hasher, "caf\u{e9} au lait").await, stored, "salted");
    }

    #[tokio::test]
    async fn neither_length_nor_nul_is_lost() {
        let hasher = hasher(4, &["p1"]);
        let long = "x".repeat(200);
        let stored = hash(&hasher, &format!("{long}a")).await;
        assert_eq!(check(&hasher, &format!("{long}b"), &stored).await, Verdict::Mismatch);
        let stored = hash(&hasher, "nul\0a").await;
        assert_eq!(check(&hasher, "nul\0b", &stored).await, Verdict::Mismatch);
        assert_eq!(check(&hasher, "nul", &stored).await, Verdict::Mismatch);
    }

    #[tokio::test]
    async fn an_unknown_user_never_matches() {
        let verdict = hasher(4, &["p1"]).verify(password("anything"), None, None).await;
        assert_eq!(verdict, Ok(Verdict::Mismatch));
    }

    #[tokio::test]
    async fn yesterdays_hash_matches_and_is_made_anew() {
        let old = hasher(4, &["p1"]);
        let stored = hash(&old, "some password").await;
        let plain = PasswordHash::Plain { bcrypt: bcrypt::hash("some password", 4).unwrap() };
        for (today, stored) in [
            (hasher(5, &["p1"]), stored.clone()),
            (hasher(4, &["p1", "p2"]), stored),
            (hasher(4, &["p1"]), plain),
        ] {
            let Verdict::Match { rehash: Some(new) } = check(&today, "some password", &stored).await else {
                panic!("matches, and wants a new hash");
            };
            assert_eq!(check(&today, "some password", &new).await, Verdict::Match { rehash: None });
            assert_eq!(check(&today, "other password", &stored).await, Verdict::Mismatch);
        }
    }

    #[tokio::test]
    async fn a_hash_that_cannot_be_checked_is_an_error_not_a_mismatch() {
        let hasher = hasher(4, &["p1"]);
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
        let hasher = hasher_with(7, &["p0", "p1"], move |secret, hash| {
            counted.fetch_add(1 << cost_of(hash).unwrap(), Ordering::SeqCst);
            bcrypt::verify(secret, hash)
        });
        let mut stored = vec![None];
        for cost in 4..=7 {
            let peppered = |id| PasswordHash::Peppered { pepper: KeyId::new(id), bcrypt: decoy_hash(cost) };
            let plain = PasswordHash::Plain { bcrypt: decoy_hash(cost) };
            stored.extend([peppered("p0"), peppered("p1"), plain].map(Some));
        }
        for stored in stored {
            let verdict = hasher.verify(password("wrong"), stored.clone(), None).await;
            assert_eq!(verdict, Ok(Verdict::Mismatch));
            assert_eq!(rounds.swap(0, Ordering::SeqCst), 1 << 7, "{stored:?}");
        }
    }
}
