use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::ring::{KeyRing, RingError};
use super::seal::{self, Key};
use crate::domain::clock::Random;
use crate::domain::keys::{KeyId, KeyKind, SealedSecret};
use crate::domain::ports::{BrokenSeal, Sealer};

/// Seals with the newest mail key, and opens with every one that the ring still has.
pub struct MailSealer {
    newest: KeyId,
    keys: HashMap<KeyId, Zeroizing<Key>>,
    random: Arc<dyn Random>,
}

impl MailSealer {
    /// A sealer with the mail keys of `ring`.
    ///
    /// # Errors
    /// When the ring has none, or one that is damaged.
    pub fn new(ring: &KeyRing, random: Arc<dyn Random>) -> Result<Self, RingError> {
        let newest = ring.newest(KeyKind::Mail).ok_or(RingError::NotMade("mail"))?.id.clone();
        let keys = ring.of_kind(KeyKind::Mail).map(|key| {
            let bytes = Key::try_from(&**key.secret).map_err(|_| RingError::Damaged(key.id.clone()))?;
            Ok((key.id.clone(), Zeroizing::new(bytes)))
        });
        Ok(Self { newest, keys: keys.collect::<Result<_, RingError>>()?, random })
    }
}

#[async_trait]
impl Sealer for MailSealer {
    fn seal(&self, secret: &[u8], context: &[u8]) -> SealedSecret {
        let bytes = seal::seal(&self.keys[&self.newest], secret, &label(context), &*self.random);
        SealedSecret { key: self.newest.clone(), bytes }
    }

    async fn open(&self, sealed: &SealedSecret, context: &[u8]) -> Result<Zeroizing<Vec<u8>>, BrokenSeal> {
        let key = self.keys.get(&sealed.key).ok_or(BrokenSeal)?;
        seal::open(key, &sealed.bytes, &label(context))
    }
}

/// What the key is used for, so that nothing sealed for another purpose opens here.
fn label(context: &[u8]) -> Vec<u8> {
    [b"doorward mail\0", context].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::master_key::MasterKey;
    use crate::crypto::ring::tests::{MemoryKeys, open};
    use crate::domain::clock::SystemRandom;

    async fn sealer(store: &MemoryKeys, master: &MasterKey) -> MailSealer {
        MailSealer::new(&open(store, master, None).await.unwrap(), Arc::new(SystemRandom)).unwrap()
    }

    #[tokio::test]
    async fn what_one_replica_seals_another_opens_in_its_context_alone() {
        let (store, master) = (MemoryKeys::default(), MasterKey::generate(&SystemRandom));
        let (here, there) = (sealer(&store, &master).await, sealer(&store, &master).await);
        let sealed = here.seal(b"a link", b"mail 1");
        assert_eq!(&**there.open(&sealed, b"mail 1").await.unwrap(), b"a link");
        assert_eq!(there.open(&sealed, b"mail 2").await, Err(BrokenSeal));
        assert_ne!(here.seal(b"a link", b"mail 1"), sealed, "never twice the same nonce");
        assert!(!format!("{sealed:?}").contains(&format!("{:?}", sealed.bytes)));
    }

    #[tokio::test]
    async fn another_rings_seal_does_not_open() {
        let here = sealer(&MemoryKeys::default(), &MasterKey::generate(&SystemRandom)).await;
        let there = sealer(&MemoryKeys::default(), &MasterKey::generate(&SystemRandom)).await;
        let mut sealed = here.seal(b"a link", b"mail 1");
        assert_eq!(there.open(&sealed, b"mail 1").await, Err(BrokenSeal), "the key is unknown");
        sealed.key = there.seal(b"", b"").key;
        assert_eq!(there.open(&sealed, b"mail 1").await, Err(BrokenSeal), "the key is another one");
    }
}
