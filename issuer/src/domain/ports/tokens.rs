use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::ids::SessionId;
use crate::domain::one_time::{MintedOneTimeToken, Purpose};
use crate::domain::token::{
    AccessClaims, AuthenticRefreshToken, ForgedRefreshToken, MintedRefreshToken, TokenFingerprint,
    TokenRefusal,
};

/// Signs access tokens and knows its own.
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// The signed token.
    ///
    /// # Errors
    /// When the key cannot sign, which no key of the ring should do.
    fn sign(&self, claims: &AccessClaims) -> Result<String, SignError>;

    /// What a token of this issuer says, provided that it is good at `now`. Who the user is today is another
    /// question.
    ///
    /// # Errors
    /// Says what is wrong with the token.
    async fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenRefusal>;
}

/// A key did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing key refused to sign")]
pub struct SignError;

/// Makes refresh tokens and knows its own.
pub trait RefreshTokens: Send + Sync {
    /// The first token of a session.
    fn mint(&self, session: SessionId) -> MintedRefreshToken;

    /// What a token says, provided that this issuer made it. Asks no store, so that forgeries cost nothing.
    ///
    /// # Errors
    /// When this issuer did not make it.
    fn authenticate(&self, token: &str) -> Result<AuthenticRefreshToken, ForgedRefreshToken>;

    /// The token that follows `parent`: computed from it and a key, so that it is the same however often, whenever and
    /// on whichever replica it is asked for, and need not be kept anywhere.
    fn child(&self, parent: &AuthenticRefreshToken) -> MintedRefreshToken;

    /// The child of `parent` that has that fingerprint, if there is one: perhaps under a key that was the newest when
    /// it was made, and is not any more.
    fn child_with(
        &self,
        parent: &AuthenticRefreshToken,
        fingerprint: TokenFingerprint,
    ) -> Option<MintedRefreshToken>;
}

/// Makes one-time tokens and recognises them.
pub trait OneTimeTokens: Send + Sync {
    /// A new one.
    fn mint(&self, purpose: Purpose) -> MintedOneTimeToken;

    /// What the store would know the token by, if it is one for that purpose; `None` for a text that is no token at all.
    fn fingerprint(&self, purpose: Purpose, token: &str) -> Option<TokenFingerprint>;
}
