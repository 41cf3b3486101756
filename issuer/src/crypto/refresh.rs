use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::ring::{KeyRing, RingError};
use crate::domain::clock::Random;
use crate::domain::ids::SessionId;
use crate::domain::keys::KeyKind;
use crate::domain::ports::RefreshTokens;
use crate::domain::token::{
    AuthenticRefreshToken, ForgedRefreshToken, MintedRefreshToken, RefreshToken, TokenFingerprint,
};

/// Makes refresh tokens: base64url of session (16 bytes), generation (4, big endian), secret (32), MAC (16).
///
/// The MAC is the first half of HMAC-SHA-256 under the ring's refresh key over everything before it. So a forgery
/// is known as one without a look at the store, and knowing a session's id is worth nothing.
pub struct RefreshMint {
    /// The newest last; that one mints.
    keys: Vec<Zeroizing<Vec<u8>>>,
    random: Arc<dyn Random>,
}

const SESSION_BYTES: usize = 16;
const GENERATION_BYTES: usize = 4;
const SECRET_BYTES: usize = 32;
const SIGNED_BYTES: usize = SESSION_BYTES + GENERATION_BYTES + SECRET_BYTES;
const MAC_BYTES: usize = 16;
const TOKEN_BYTES: usize = SIGNED_BYTES + MAC_BYTES;
/// Sets these MACs apart from whatever else the key may come to sign.
const PURPOSE: &[u8] = b"doorward refresh token\0";

impl RefreshMint {
    /// A mint with the refresh keys of `ring`.
    ///
    /// # Errors
    /// When the ring has none.
    pub fn new(ring: &KeyRing, random: Arc<dyn Random>) -> Result<Self, RingError> {
        let keys: Vec<_> = ring.of_kind(KeyKind::Refresh).map(|key| key.secret.clone()).collect();
        if keys.is_empty() { Err(RingError::NotMade("refresh")) } else { Ok(Self { keys, random }) }
    }

    fn token(&self, session: SessionId, generation: u32, secret: &[u8; SECRET_BYTES]) -> MintedRefreshToken {
        let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES));
        bytes.extend_from_slice(session.uuid().as_bytes());
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(secret);
        let tag = self.keys.last().map(|key| mac(key, &bytes).finalize().into_bytes()).unwrap_or_default();
        bytes.extend(tag.iter().take(MAC_BYTES));
        let text = BASE64_URL_SAFE_NO_PAD.encode(&*bytes);
        MintedRefreshToken { fingerprint: fingerprint(&bytes), token: RefreshToken::new(text) }
    }
}

impl RefreshTokens for RefreshMint {
    fn mint(&self, session: SessionId) -> MintedRefreshToken {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        self.random.fill(&mut *secret);
        self.token(session, 0, &secret)
    }

    fn authenticate(&self, token: &str) -> Result<AuthenticRefreshToken, ForgedRefreshToken> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        match BASE64_URL_SAFE_NO_PAD.decode_slice(token, &mut *bytes) {
            Ok(TOKEN_BYTES) => {}
            _ => return Err(ForgedRefreshToken),
        }
        let (signed, tag) = bytes.split_at(SIGNED_BYTES);
        // Every key is tried by its own constant-time comparison.
        if !self.keys.iter().any(|key| mac(key, signed).verify_truncated_left(tag).is_ok()) {
            return Err(ForgedRefreshToken);
        }
        let (session, rest) = signed.split_first_chunk::<SESSION_BYTES>().ok_or(ForgedRefreshToken)?;
        let (generation, _) = rest.split_first_chunk::<GENERATION_BYTES>().ok_or(ForgedRefreshToken)?;
        Ok(AuthenticRefreshToken {
            session: SessionId::from(Uuid::from_bytes(*session)),
            generation: u32::from_be_bytes(*generation),
            fingerprint: fingerprint(&*bytes),
        })
    }
}

fn mac(key: &[u8], signed: &[u8]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(PURPOSE).chain_update(signed),
        Err(error) => unreachable!("HMAC takes keys of every length: {error}"),
    }
}

fn fingerprint(bytes: &[u8]) -> TokenFingerprint {
    TokenFingerprint(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::clock::SystemRandom;

    fn mint(keys: &[u8]) -> RefreshMint {
        let keys = keys.iter().map(|byte| Zeroizing::new(vec![*byte; 32])).collect();
        RefreshMint { keys, random: Arc::new(SystemRandom) }
    }

    fn session() -> SessionId {
        SessionId::random(&SystemRandom)
    }

    #[test]
    fn a_minted_token_is_authentic_and_says_what_it_was_minted_for() {
        let session = session();
        let minted = mint(&[1]).mint(session);
        let authentic = mint(&[1]).authenticate(minted.token.expose()).unwrap();
        assert_eq!(
            authentic,
            AuthenticRefreshToken { session, generation: 0, fingerprint: minted.fingerprint }
        );
        assert_eq!(minted.token.expose().len(), 91);
        assert_ne!(mint(&[1]).mint(session).token.expose(), minted.token.expose());
    }

    #[test]
    fn an_older_key_still_checks_and_the_newest_mints() {
        let old = mint(&[1]).mint(session());
        assert!(mint(&[1, 2]).authenticate(old.token.expose()).is_ok());
        assert!(mint(&[2]).authenticate(old.token.expose()).is_err());
        let new = mint(&[1, 2]).mint(session());
        assert!(mint(&[2]).authenticate(new.token.expose()).is_ok());
    }

    #[test]
    fn every_generation_survives_the_round_trip() {
        for generation in [0, 1, 256, u32::MAX] {
            let minted = mint(&[1]).token(session(), generation, &[7; SECRET_BYTES]);
            assert_eq!(mint(&[1]).authenticate(minted.token.expose()).unwrap().generation, generation);
        }
    }

    proptest! {
        #[test]
        fn one_changed_character_is_a_forgery(at in 0..91_usize, with in "[A-Za-z0-9_=+/ -]|\\PC") {
            let minted = mint(&[1]).mint(session());
            let mut text: Vec<String> = minted.token.expose().chars().map(String::from).collect();
            prop_assume!(text[at] != with);
            text[at] = with;
            prop_assert!(mint(&[1]).authenticate(&text.concat()).is_err());
        }

        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,200}|[A-Za-z0-9_-]{80,100}") {
            prop_assert!(mint(&[1]).authenticate(&text).is_err());
        }
    }
}
