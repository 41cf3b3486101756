use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::domain::keys::SealedSecret;

/// Seals what has to wait in the store until it is mailed, and must not be read there: the links of reset mails and the like.
#[async_trait]
pub trait Sealer: Send + Sync {
    /// Encrypts `secret` and binds it to `context`, such as the id of its mail: it opens in no other.
    fn seal(&self, secret: &[u8], context: &[u8]) -> SealedSecret;

    /// Undoes [`seal`](Self::seal), on whichever replica, also after a change of the key.
    ///
    /// # Errors
    /// When it was sealed in another context or with a key that the ring does not have any more, or was changed.
    async fn open(&self, sealed: &SealedSecret, context: &[u8]) -> Result<Zeroizing<Vec<u8>>, BrokenSeal>;
}

/// What was sealed does not open: another key, another context, or a changed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not open")]
pub struct BrokenSeal;
