use base64::prelude::{BASE64_STANDARD, Engine};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::domain::clock::{Random, random_bytes};

/// Seals and opens the keys of the ring (XChaCha20-Poly1305). Wiped from memory when dropped, never shown.
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

/// A text that holds no master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {KEY_BYTES} bytes in base64, as `openssl rand -base64 {KEY_BYTES}` prints them")]
pub struct MasterKeyError;

/// What was sealed does not open: another master key, another label, or a changed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not open")]
pub struct BrokenSeal;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

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

    /// Encrypts `secret` and binds it to `label`.
    pub(super) fn seal(&self, secret: &[u8], label: &[u8], random: &dyn Random) -> Vec<u8> {
        let nonce = random_bytes::<NONCE_BYTES>(random);
        let payload = Payload { msg: secret, aad: label };
        let mut sealed = nonce.to_vec();
        match self.cipher().encrypt(&XNonce::from(nonce), payload) {
            Ok(ciphertext) => sealed.extend(ciphertext),
            // Only a message of hundreds of gigabytes is too long for the cipher.
            Err(error) => unreachable!("a key of a few bytes can be sealed: {error}"),
        }
        sealed
    }

    /// Undoes [`seal`](Self::seal).
    pub(super) fn open(&self, sealed: &[u8], label: &[u8]) -> Result<Zeroizing<Vec<u8>>, BrokenSeal> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(BrokenSeal)?;
        let payload = Payload { msg: ciphertext, aad: label };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| BrokenSeal)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::clock::SystemRandom;

    #[test]
    fn base64_of_32_bytes_and_nothing_else() {
        let key = MasterKey::generate(&SystemRandom);
        let text = format!(" {}\n", *key.to_base64());
        assert_eq!(*MasterKey::parse(&text).unwrap().0, *key.0);
        for text in ["", "c2hvcnQ=", "not base64 at all", &BASE64_STANDARD.encode([0; 33])] {
            assert_eq!(MasterKey::parse(text).err(), Some(MasterKeyError), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_seal_opens_with_its_key_and_label_alone(
            secret: Vec<u8>, label: Vec<u8>, flip: prop::sample::Index, bit in 0..8_u32,
        ) {
            let key = MasterKey::generate(&SystemRandom);
            let sealed = key.seal(&secret, &label, &SystemRandom);
            prop_assert_eq!(&*key.open(&sealed, &label).unwrap(), &secret);
            prop_assert_eq!(MasterKey::generate(&SystemRandom).open(&sealed, &label), Err(BrokenSeal));
            prop_assert_eq!(key.open(&sealed, &[&label[..], b"x"].concat()), Err(BrokenSeal));
            let mut changed = sealed.clone();
            changed[flip.index(sealed.len())] ^= 1_u8 << bit;
            prop_assert_eq!(key.open(&changed, &label), Err(BrokenSeal));
            prop_assert_eq!(key.open(&sealed[..flip.index(sealed.len())], &label), Err(BrokenSeal));
        }
    }
}
