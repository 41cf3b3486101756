use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::keeper::RingKeeper;
use super::ring::Secret;
use super::seal;
use crate::domain::clock::Random;
use crate::domain::keys::SealedSecret;
use crate::domain::ports::{BrokenSeal, Sealer};

/// Seals with the active mail key, and opens with every one that the ring still has.
pub struct MailSealer {
    ring: Arc<RingKeeper>,
    random: Arc<dyn Random>,
}

impl MailSealer {
    /// A sealer with the mail keys that `ring` has at any time.
    #[must_use]
    pub fn new(ring: Arc<RingKeeper>, random: Arc<dyn Random>) -> Self {
        Self { ring, random }
    }
}

#[async_trait]
impl Sealer for MailSealer {
    fn seal(&self, secret: &[u8], context: &[u8]) -> SealedSecret {
        let ring = self.ring.current();
        let Secret { id, bytes } = &ring.mail().active;
        SealedSecret { key: id.clone(), bytes: seal::seal(bytes, secret, &label(context), &*self.random) }
    }

    async fn open(&self, sealed: &SealedSecret, context: &[u8]) -> Result<Zeroizing<Vec<u8>>, BrokenSeal> {
        let mut ring = self.ring.current();
        if ring.mail().named(&sealed.key).is_none() {
            // Another replica may have made it a moment ago.
            ring = self.ring.look_again(&ring).await.ok_or(BrokenSeal)?;
        }
        let key = ring.mail().named(&sealed.key).ok_or(BrokenSeal)?;
        seal::open(&key.bytes, &sealed.bytes, &label(context))
    }
}

/// What the key is used for, so that nothing sealed for another purpose opens here.
fn label(context: &[u8]) -> Vec<u8> {
    [b"doorward mail\0", context].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::House;
    use crate::domain::clock::SystemRandom;
    use crate::domain::keys::KeyPurpose;

    async fn sealer(house: &House) -> MailSealer {
        MailSealer::new(house.open().await, Arc::new(SystemRandom))
    }

    #[tokio::test]
    async fn what_one_replica_seals_another_opens_in_its_context_alone() {
        let house = House::new(None);
        let (here, there) = (sealer(&house).await, sealer(&house).await);
        let sealed = here.seal(b"a link", b"mail 1");
        assert_eq!(&**there.open(&sealed, b"mail 1").await.unwrap(), b"a link");
        assert_eq!(there.open(&sealed, b"mail 2").await, Err(BrokenSeal));
        assert_ne!(here.seal(b"a link", b"mail 1"), sealed, "never twice the same nonce");
        assert!(!format!("{sealed:?}").contains(&format!("{:?}", sealed.bytes)));
    }

    #[tokio::test]
    async fn a_change_of_the_key_loses_no_mail() {
        let house = House::new(None);
        let (here, there) = (sealer(&house).await, sealer(&house).await);
        let before = here.seal(b"before", b"");
        here.ring.rotate(KeyPurpose::Mail).await.unwrap();
        house.clock.advance(std::time::Duration::from_secs(60));
        here.ring.tick().await.unwrap();
        let after = here.seal(b"after", b"");
        assert_ne!(after.key, before.key);
        // The other replica has not looked since.
        assert_eq!(&**there.open(&after, b"").await.unwrap(), b"after");
        assert_eq!(&**there.open(&before, b"").await.unwrap(), b"before");
    }

    #[tokio::test]
    async fn another_rings_seal_does_not_open() {
        let (here, there) = (sealer(&House::new(None)).await, sealer(&House::new(None)).await);
        let mut sealed = here.seal(b"a link", b"mail 1");
        assert_eq!(there.open(&sealed, b"mail 1").await, Err(BrokenSeal), "the key is unknown");
        sealed.key = there.seal(b"", b"").key;
        assert_eq!(there.open(&sealed, b"mail 1").await, Err(BrokenSeal), "the key is another one");
    }
}
