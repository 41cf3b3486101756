use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::domain::clock::{Random, random_bytes};
use crate::domain::ports::BrokenSeal;

/// What encrypts under the master key and under a mail key: XChaCha20-Poly1305, whose nonces are long enough to be random.
pub(super) type Key = [u8; KEY_BYTES];

/// The length of a key.
pub(super) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Encrypts `secret` and binds it to `label`: nonce, then ciphertext.
pub(super) fn seal(key: &Key, secret: &[u8], label: &[u8], random: &dyn Random) -> Vec<u8> {
    let nonce = random_bytes::<NONCE_BYTES>(random);
    let payload = Payload { msg: secret, aad: label };
    let mut sealed = nonce.to_vec();
    match XChaCha20Poly1305::new(key.into()).encrypt(&XNonce::from(nonce), payload) {
        Ok(ciphertext) => sealed.extend(ciphertext),
        // Only a message of hundreds of gigabytes is too long for the cipher.
        Err(error) => unreachable!("a secret of a few bytes can be sealed: {error}"),
    }
    sealed
}

/// Undoes [`seal`].
pub(super) fn open(key: &Key, sealed: &[u8], label: &[u8]) -> Result<Zeroizing<Vec<u8>>, BrokenSeal> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(BrokenSeal)?;
    let payload = Payload { msg: ciphertext, aad: label };
    let opened = XChaCha20Poly1305::new(key.into()).decrypt(&XNonce::from(*nonce), payload);
    opened.map(Zeroizing::new).map_err(|_| BrokenSeal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::clock::SystemRandom;

    proptest! {
        #[test]
        fn a_seal_opens_with_its_key_and_label_alone(
            secret: Vec<u8>, label: Vec<u8>, flip: prop::sample::Index, bit in 0..8_u32,
        ) {
            let key = random_bytes(&SystemRandom as &dyn Random);
            let sealed = seal(&key, &secret, &label, &SystemRandom);
            prop_assert_eq!(&*open(&key, &sealed, &label).unwrap(), &secret);
            let other_key = random_bytes(&SystemRandom as &dyn Random);
            prop_assert_eq!(open(&other_key, &sealed, &label), Err(BrokenSeal));
            prop_assert_eq!(open(&key, &sealed, &[&label[..], b"x"].concat()), Err(BrokenSeal));
            let mut changed = sealed.clone();
            changed[flip.index(sealed.len())] ^= 1_u8 << bit;
            prop_assert_eq!(open(&key, &changed, &label), Err(BrokenSeal));
            prop_assert_eq!(open(&key, &sealed[..flip.index(sealed.len())], &label), Err(BrokenSeal));
        }
    }
}
