use base64::prelude::{BASE64_STANDARD, Engine};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::seal::{self, KEY_BYTES, Key};
use crate::domain::clock::Random;
use crate::domain::ports::BrokenSeal;

/// Seals and opens the keys of the ring (XChaCha20-Poly1305). Wiped from memory when dropped, never shown.
pub struct MasterKey(Zeroizing<Key>);

/// A text that holds no master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {KEY_BYTES} bytes in base64, as `openssl rand -base64 {KEY_BYTES}` prints them")]
pub struct MasterKeyError;

impl MasterKey {
    /// Reads a key from base64; white space around it does not matter.
    ///
    /// # Errors
    /// When it is not base64 of exactly 32 bytes.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let decoded = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).map_err(|_| MasterKeyError)?);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if decoded.len() != KEY_BYTES {
            return Err(MasterKeyError);
        }
        key.copy_from_slice(&decoded);
        Ok(Self(key))
    }

    /// Makes a new key.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random.fill(&mut *key);
        Self(key)
    }

    /// The key in the form that [`parse`](Self::parse) reads.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64_STANDARD.encode(*self.0))
    }

    /// Whether it is the same key.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }

    /// Encrypts `secret` and binds it to `label`.
    pub(super) fn seal(&self, secret: &[u8], label: &[u8], random: &dyn Random) -> Vec<u8> {
        seal::seal(&self.0, secret, label, random)
    }

    /// Undoes [`seal`](Self::seal).
    pub(super) fn open(&self, sealed: &[u8], label: &[u8]) -> Result<Zeroizing<Vec<u8>>, BrokenSeal> {
        seal::open(&self.0, sealed, label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemRandom;

    #[test]
    fn base64_of_32_bytes_and_nothing_else() {
        let key = MasterKey::generate(&SystemRandom);
        let text = format!(" {}\n", *key.to_base64());
        assert!(MasterKey::parse(&text).unwrap().is(&key));
        assert!(!MasterKey::generate(&SystemRandom).is(&key));
        for text in ["", "c2hvcnQ=", "not base64 at all", &BASE64_STANDARD.encode([0; 33])] {
            assert_eq!(MasterKey::parse(text).err(), Some(MasterKeyError), "{text:?}");
        }
    }
}
