use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine};
use bcrypt::BcryptResult;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha384;
use zeroize::Zeroizing;

use super::keeper::RingKeeper;
use super::pool::{Pool, PoolError};
use super::ring::{KeyRing, Line, Secret};
use crate::domain::clock::{Random, random_bytes};
use crate::domain::password::{COSTS, Password, PasswordHash};
use crate::domain::policy::{PasswordChoice, PasswordRefusal};
use crate::domain::ports::{HashError, PasswordHasher, Verdict};

/// bcrypt over `base64(HMAC-SHA-384(pepper, password))`, in a [`Pool`].
///
/// The digest is 64 characters without NUL, so what bcrypt does with long passwords and NUL bytes never matters.
pub struct BcryptHasher {
    pool: Pool,
    ring: Arc<RingKeeper>,
    bcrypt: Arc<Bcrypt>,
}

/// bcrypt's cost when nothing else is configured.
pub const DEFAULT_COST: u32 = 12;

const RETRY_AFTER: Duration = Duration::from_secs(2);

impl BcryptHasher {
    /// A hasher with the peppers that `ring` has at any time; `cost` is brought within [`COSTS`].
    #[must_use]
    pub fn new(pool: Pool, ring: Arc<RingKeeper>, cost: u32, random: Arc<dyn Random>) -> Self {
        let cost = cost.clamp(*COSTS.start(), *COSTS.end());
        let compare = Box::new(|secret: &str, hash: &str| bcrypt::verify(secret, hash));
        Self { pool, ring, bcrypt: Arc::new(Bcrypt { cost, random, compare }) }
    }

    async fn run<T: Send + 'static>(
        &self,
        client: Option<IpAddr>,
        ring: Arc<KeyRing>,
        work: impl FnOnce(&Bcrypt, &Peppers) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let bcrypt = Arc::clone(&self.bcrypt);
        let work = move || work(&bcrypt, ring.pepper());
        self.pool.run(client, work).await.unwrap_or_else(|error| Err(error.into()))
    }

    /// The ring, with the pepper of that hash if there is any.
    async fn ring_for(&self, stored: Option<&PasswordHash>) -> Arc<KeyRing> {
        let ring = self.ring.current();
        match stored.and_then(PasswordHash::pepper) {
            // Another replica may have made it a moment ago.
            Some(pepper) if ring.pepper().named(pepper).is_none() => {
                self.ring.look_again(&ring).await.unwrap_or(ring)
            }
            _ => ring,
        }
    }
}

#[async_trait]
impl PasswordHasher for BcryptHasher {
    fn room(&self, client: Option<IpAddr>) -> Result<(), HashError> {
        Ok(self.pool.room(client)?)
    }

    async fn choose(
        &self,
        choice: PasswordChoice,
        client: Option<IpAddr>,
    ) -> Result<Result<PasswordHash, PasswordRefusal>, HashError> {
        self.run(client, self.ring.current(), move |bcrypt, peppers| match choice.judge() {
            Ok(accepted) => bcrypt.hash(&accepted.into_password(), peppers).map(Ok),
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
        let ring = self.ring_for(stored.as_ref()).await;
        self.run(client, ring, move |bcrypt, peppers| match stored {
            Some(stored) => bcrypt.verify(&password, &stored, peppers),
            None => bcrypt.decoy(&password, peppers),
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

type Peppers = Line<Secret>;

/// The work itself; slow, so for the pool's threads only.
struct Bcrypt {
    cost: u32,
    random: Arc<dyn Random>,
    /// Every comparison goes through here, so that a test can count the work.
    compare: Compare,
}

type Compare = Box<dyn Fn(&str, &str) -> BcryptResult<bool> + Send + Sync>;

impl Bcrypt {
    fn hash(&self, password: &Password, peppers: &Peppers) -> Result<PasswordHash, HashError> {
        let digest = digest(password, &peppers.active)?;
        let salt = random_bytes(&*self.random);
        let parts = bcrypt::hash_with_salt(&*digest, self.cost, salt).map_err(|_| BROKEN)?;
        let bcrypt = parts.format_for_version(bcrypt::Version::TwoB);
        Ok(PasswordHash::Peppered { pepper: peppers.active.id.clone(), bcrypt })
    }

    fn verify(
        &self,
        password: &Password,
        stored: &PasswordHash,
        peppers: &Peppers,
    ) -> Result<Verdict, HashError> {
        let cost = cost_of(stored.bcrypt())?;
        let matches = match stored {
            PasswordHash::Peppered { pepper, bcrypt } => {
                let pepper = peppers.named(pepper).ok_or(NO_PEPPER)?;
                self.matches(&digest(password, pepper)?, bcrypt)?
            }
            PasswordHash::Plain { bcrypt } => self.matches(password.expose(), bcrypt)?,
        };
        if !matches {
            self.top_up(password, cost, peppers)?;
            return Ok(Verdict::Mismatch);
        }
        let of_today = cost == self.cost && stored.pepper() == Some(&peppers.active.id);
        Ok(Verdict::Match { rehash: if of_today { None } else { Some(self.hash(password, peppers)?) } })
    }

    /// What [`verify`](Self::verify) does for a hash of today that does not match.
    fn decoy(&self, password: &Password, peppers: &Peppers) -> Result<Verdict, HashError> {
        let digest = digest(password, &peppers.active)?;
        self.matches(&digest, &decoy_hash(self.cost))?;
        Ok(Verdict::Mismatch)
    }

    /// A mismatch against a hash cheaper than today's must not be told by its speed from an unknown user. Each cost
    /// doubles the work, so one decoy for every cost in between makes up for the difference exactly.
    fn top_up(&self, password: &Password, cost: u32, peppers: &Peppers) -> Result<(), HashError> {
        let digest = digest(password, &peppers.active)?;
        (cost..self.cost).try_for_each(|cost| self.matches(&digest, &decoy_hash(cost)).map(drop))
    }

    fn matches(&self, secret: &str, hash: &str) -> Result<bool, HashError> {
        (self.compare)(secret, hash).map_err(|_| BROKEN)
    }
}

fn digest(password: &Password, pepper: &Secret) -> Result<Zeroizing<String>, HashError> {
    let mac = Hmac::<Sha384>::new_from_slice(&**pepper.bytes).map_err(|_| BROKEN)?;
    let digest = mac.chain_update(password.expose()).finalize().into_bytes();
    Ok(Zeroizing::new(BASE64_STANDARD.encode(digest)))
}

const NO_PEPPER: HashError = HashError::Unusable("its pepper is not in the key ring");
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
mod tests;
