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
    TokenSecret,
};

/// Makes refresh tokens: base64url of session (16 bytes), generation (4, big endian), secret (32), MAC (16).
///
/// The MAC is the first half of HMAC-SHA-256 under the ring's refresh key over everything before it. So a forgery
/// is known as one without a look at the store, and knowing a session's id is worth nothing.
pub struct RefreshMint {
    /// This one mints.
    newest: Key,
    /// These check what they minted.
    older: Vec<Key>,
    random: Arc<dyn Random>,
}

type Key = Zeroizing<Vec<u8>>;

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
    /// A mint with the refresh keys of `ring`.
    ///
    /// # Errors
    /// When the ring has none.
    pub fn new(ring: &KeyRing, random: Arc<dyn Random>) -> Result<Self, RingError> {
        let mut keys: Vec<_> = ring.of_kind(KeyKind::Refresh).map(|key| key.secret.clone()).collect();
        let newest = keys.pop().ok_or(RingError::NotMade("refresh"))?;
        Ok(Self { newest, older: keys, random })
    }

    /// Every key, the one that is most likely wanted first.
    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.newest).chain(self.older.iter().rev())
    }
}

impl RefreshTokens for RefreshMint {
    fn mint(&self, session: SessionId) -> MintedRefreshToken {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        self.random.fill(&mut *secret);
        token(&self.newest, session, 0, &secret)
    }

    fn authenticate(&self, token: &str) -> Result<AuthenticRefreshToken, ForgedRefreshToken> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        match BASE64_URL_SAFE_NO_PAD.decode_slice(token, &mut *bytes) {
            Ok(TOKEN_BYTES) => {}
            _ => return Err(ForgedRefreshToken),
        }
        let (signed, tag) = bytes.split_at(SIGNED_BYTES);
        // Every key is tried by its own constant-time comparison.
        if !self.keys().any(|key| mac(key, AUTHENTICATE, signed).verify_truncated_left(tag).is_ok()) {
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
        child(&self.newest, parent)
    }

    fn child_with(
        &self,
        parent: &AuthenticRefreshToken,
        fingerprint: TokenFingerprint,
    ) -> Option<MintedRefreshToken> {
        self.keys().map(|key| child(key, parent)).find(|child| child.fingerprint == fingerprint)
    }
}

fn token(key: &Key, session: SessionId, generation: u32, secret: &[u8; SECRET_BYTES]) -> MintedRefreshToken {
    let mut bytes = signed_part(session, generation, secret);
    let tag = mac(key, AUTHENTICATE, &bytes).finalize().into_bytes();
    bytes.extend(tag.iter().take(MAC_BYTES));
    let text = BASE64_URL_SAFE_NO_PAD.encode(&*bytes);
    MintedRefreshToken { fingerprint: fingerprint(&bytes), token: RefreshToken::new(text) }
}

/// The child's secret comes from the parent's, which no store has: so neither the database nor the keys alone, nor both,
/// tell anybody the next token.
fn child(key: &Key, parent: &AuthenticRefreshToken) -> MintedRefreshToken {
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

fn mac(key: &Key, purpose: &[u8], message: &[u8]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(purpose).chain_update(message),
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
        let key = |byte: &u8| Zeroizing::new(vec![*byte; 32]);
        let (newest, older) = keys.split_last().unwrap();
        let older = older.iter().map(key).collect();
        RefreshMint { newest: key(newest), older, random: Arc::new(SystemRandom) }
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
            (authentic.session, authentic.generation, authentic.fingerprint),
            (session, 0, minted.fingerprint)
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
            let minted = token(&mint(&[1]).newest, session(), generation, &[7; SECRET_BYTES]);
            assert_eq!(mint(&[1]).authenticate(minted.token.expose()).unwrap().generation, generation);
        }
    }

    fn read(mint: &RefreshMint, minted: &MintedRefreshToken) -> AuthenticRefreshToken {
        mint.authenticate(minted.token.expose()).unwrap()
    }

    #[test]
    fn a_parent_has_one_child_wherever_it_is_computed() {
        let (here, there) = (mint(&[1]), mint(&[1]));
        let first = read(&here, &here.mint(session()));
        let child = here.child(&first);
        assert_eq!(there.child(&first).token.expose(), child.token.expose());
        let authentic = read(&there, &child);
        assert_eq!(
            (authentic.session, authentic.generation, authentic.fingerprint),
            (first.session, 1, child.fingerprint)
        );
        let grandchild = here.child(&authentic);
        assert_ne!(grandchild.fingerprint, child.fingerprint);
        let sibling = here.child(&read(&here, &here.mint(first.session)));
        assert_ne!(sibling.fingerprint, child.fingerprint, "another secret, another child");
        assert_ne!(mint(&[2]).child(&first).fingerprint, child.fingerprint, "another key, another child");
    }

    #[test]
    fn a_child_is_found_again_after_a_change_of_the_key() {
        let (before, after) = (mint(&[1]), mint(&[1, 2]));
        let parent = read(&before, &before.mint(session()));
        let child = before.child(&parent);
        assert_ne!(after.child(&parent).fingerprint, child.fingerprint);
        let found = after.child_with(&parent, child.fingerprint).unwrap();
        assert_eq!(found.token.expose(), child.token.expose());
        let other = before.mint(session());
        assert!(after.child_with(&parent, other.fingerprint).is_none());
        assert!(after.child_with(&parent, parent.fingerprint).is_none(), "nobody is his own child");
    }

    #[test]
    fn a_family_that_can_count_no_further_still_moves_on() {
        let mint = mint(&[1]);
        let last = token(&mint.newest, session(), u32::MAX, &[7; SECRET_BYTES]);
        let child = mint.child(&read(&mint, &last));
        assert_eq!(read(&mint, &child).generation, u32::MAX);
        assert_ne!(child.fingerprint, last.fingerprint);
    }

    #[test]
    fn the_secret_is_not_shown() {
        let mint = mint(&[1]);
        let parent = read(&mint, &token(&mint.newest, session(), 0, &[0xAB; SECRET_BYTES]));
        let shown = format!("{:?}", parent.secret);
        assert_eq!(shown, "TokenSecret");
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
