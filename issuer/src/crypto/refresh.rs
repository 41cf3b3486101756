use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keeper::RingKeeper;
use super::ring::Secret;
use crate::domain::clock::Random;
use crate::domain::ids::SessionId;
use crate::domain::ports::RefreshTokens;
use crate::domain::token::{
    AuthenticRefreshToken, ForgedRefreshToken, MintedRefreshToken, RefreshToken, TokenFingerprint,
    TokenSecret,
};

/// Makes refresh tokens: base64url of session (16 bytes), generation (4, big endian), secret (32), MAC (16).
///
/// The MAC is the first half of HMAC-SHA-256 under the ring's refresh key over everything before it. So a forgery
/// is known as one without a look at the store, and knowing a session's id is worth nothing.
pub struct RefreshMint {
    ring: Arc<RingKeeper>,
    random: Arc<dyn Random>,
}

const SESSION_BYTES: usize = 16;
const GENERATION_BYTES: usize = 4;
const SECRET_BYTES: usize = 32;
const SIGNED_BYTES: usize = SESSION_BYTES + GENERATION_BYTES + SECRET_BYTES;
const MAC_BYTES: usize = 16;
const TOKEN_BYTES: usize = SIGNED_BYTES + MAC_BYTES;
/// What the key is used for; so that nothing made for one purpose can serve the other.
const AUTHENTICATE: &[u8] = b"doorward refresh token\0";
const DERIVE_CHILD: &[u8] = b"doorward refresh token's child\0";

impl RefreshMint {
    /// A mint with the refresh keys that `ring` has at any time.
    #[must_use]
    pub fn new(ring: Arc<RingKeeper>, random: Arc<dyn Random>) -> Self {
        Self { ring, random }
    }
}

impl RefreshTokens for RefreshMint {
    fn mint(&self, session: SessionId) -> MintedRefreshToken {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        self.random.fill(&mut *secret);
        token(&self.ring.current().refresh().active, session, 0, &secret)
    }

    fn authenticate(&self, token: &str) -> Result<AuthenticRefreshToken, ForgedRefreshToken> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        match BASE64_URL_SAFE_NO_PAD.decode_slice(token, &mut *bytes) {
            Ok(TOKEN_BYTES) => {}
            _ => return Err(ForgedRefreshToken),
        }
        let (signed, tag) = bytes.split_at(SIGNED_BYTES);
        // Every key is tried by its own constant-time comparison.
        let is_ours = |key: &Secret| mac(key, AUTHENTICATE, signed).verify_truncated_left(tag).is_ok();
        if !self.ring.current().refresh().trusted.iter().any(is_ours) {
            return Err(ForgedRefreshToken);
        }
        let (session, rest) = signed.split_first_chunk::<SESSION_BYTES>().ok_or(ForgedRefreshToken)?;
        let (generation, rest) = rest.split_first_chunk::<GENERATION_BYTES>().ok_or(ForgedRefreshToken)?;
        let secret = rest.first_chunk::<SECRET_BYTES>().ok_or(ForgedRefreshToken)?;
        Ok(AuthenticRefreshToken {
            session: SessionId::from(Uuid::from_bytes(*session)),
            generation: u32::from_be_bytes(*generation),
            fingerprint: fingerprint(&*bytes),
            secret: TokenSecret(Zeroizing::new(*secret)),
        })
    }

    fn child(&self, parent: &AuthenticRefreshToken) -> MintedRefreshToken {
        child(&self.ring.current().refresh().active, parent)
    }

    fn child_with(
        &self,
        parent: &AuthenticRefreshToken,
        fingerprint: TokenFingerprint,
    ) -> Option<MintedRefreshToken> {
        let ring = self.ring.current();
        let mut children = ring.refresh().trusted.iter().map(|key| child(key, parent));
        children.find(|child| child.fingerprint == fingerprint)
    }
}

fn token(
    key: &Secret,
    session: SessionId,
    generation: u32,
    secret: &[u8; SECRET_BYTES],
) -> MintedRefreshToken {
    let mut bytes = signed_part(session, generation, secret);
    let tag = mac(key, AUTHENTICATE, &bytes).finalize().into_bytes();
    bytes.extend(tag.iter().take(MAC_BYTES));
    let text = BASE64_URL_SAFE_NO_PAD.encode(&*bytes);
    MintedRefreshToken { fingerprint: fingerprint(&bytes), token: RefreshToken::new(text) }
}

/// The child's secret comes from the parent's, which no store has: so neither the database nor the keys alone, nor both,
/// tell anybody the next token.
fn child(key: &Secret, parent: &AuthenticRefreshToken) -> MintedRefreshToken {
    let AuthenticRefreshToken { session, generation, secret, .. } = parent;
    let seed = signed_part(*session, *generation, &secret.0);
    let secret = Zeroizing::new(mac(key, DERIVE_CHILD, &seed).finalize().into_bytes().into());
    token(key, *session, generation.saturating_add(1), &secret)
}

fn signed_part(session: SessionId, generation: u32, secret: &[u8; SECRET_BYTES]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES));
    bytes.extend_from_slice(session.uuid().as_bytes());
    bytes.extend_from_slice(&generation.to_be_bytes());
    bytes.extend_from_slice(secret);
    bytes
}

fn mac(key: &Secret, purpose: &[u8], message: &[u8]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(&**key.bytes) {
        Ok(mac) => mac.chain_update(purpose).chain_update(message),
        Err(error) => unreachable!("HMAC takes keys of every length: {error}"),
    }
}

fn fingerprint(bytes: &[u8]) -> TokenFingerprint {
    TokenFingerprint(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests;
