use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::email::Email;
use super::ids::{SessionId, UserId};
use super::role::{Permissions, RoleName};
use super::user::User;
use super::username::Username;

/// What an access token says about its bearer. Issuer, audiences and client are the signer's to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// `jti`: this token alone.
    pub id: Uuid,
    /// `sub`
    pub subject: UserId,
    /// `sid`
    pub session: SessionId,
    /// `epoch`: the user's, when the roles were read.
    pub epoch: u64,
    /// `email`
    pub email: Email,
    /// `email_verified`
    pub email_verified: bool,
    /// `username`
    pub username: Option<Username>,
    /// `roles`
    pub roles: Vec<RoleName>,
    /// `permissions`
    pub permissions: Permissions,
    /// `auth_time`: when the password was checked.
    pub authenticated_at: Timestamp,
    /// `iat`
    pub issued_at: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
}

impl AccessClaims {
    /// What a token for `user` says that is signed at `now` and good for `lifetime`.
    #[must_use]
    pub fn new(
        id: Uuid,
        user: &User,
        permissions: Permissions,
        (session, authenticated_at): (SessionId, Timestamp),
        now: Timestamp,
        lifetime: Duration,
    ) -> Self {
        Self {
            id,
            subject: user.id,
            session,
            epoch: user.epoch,
            email: user.email.clone(),
            email_verified: user.email_verified,
            username: user.username.clone(),
            roles: user.roles.clone(),
            permissions,
            authenticated_at,
            issued_at: now,
            expires_at: super::clock::later(now, lifetime),
        }
    }
}

/// Why an access token is not one of ours, for logs. Clients are told no more than that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Not a signed token at all, or not of the access token's type.
    #[error("malformed token")]
    Malformed,
    /// Its key is not in the ring.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is not that key's.
    #[error("bad signature")]
    BadSignature,
    /// It was good once.
    #[error("expired")]
    Expired,
    /// Another issuer's, for another audience, or with claims that this issuer never writes.
    #[error("bad claims")]
    BadClaims,
}

/// A refresh token in the form in which the client keeps it.
#[derive(Clone)]
pub struct RefreshToken(Zeroizing<String>);

impl RefreshToken {
    /// Takes over the text of a token.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the answer to the client only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of a refresh token or a one-time token: enough to recognise it, useless for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFingerprint(pub [u8; 32]);

/// A refresh token that was just made.
pub struct MintedRefreshToken {
    /// For the client.
    pub token: RefreshToken,
    /// For the store.
    pub fingerprint: TokenFingerprint,
}

/// What an authentic refresh token says; made by checking its MAC alone, so the session may have moved on or ended.
#[derive(Clone, Debug)]
pub struct AuthenticRefreshToken {
    /// The family it belongs to.
    pub session: SessionId,
    /// How many exchanges came before it.
    pub generation: u32,
    /// To compare with the session's.
    pub fingerprint: TokenFingerprint,
    /// What its child is computed from.
    pub secret: TokenSecret,
}

/// What makes a refresh token impossible to guess. Wiped from memory when dropped.
#[derive(Clone)]
pub struct TokenSecret(pub Zeroizing<[u8; 32]>);

/// Says that there is one, and no more.
impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret")
    }
}

/// A refresh token that this issuer never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an authentic refresh token")]
pub struct ForgedRefreshToken;

/// What a client gets for a password or a refresh token.
#[derive(Clone)]
pub struct Tokens {
    /// Whose they are: for the log, not for the client.
    pub user: UserId,
    /// Opens doors at the gateway.
    pub access_token: String,
    /// How long it does so.
    pub expires_in: Duration,
    /// Gets the next pair.
    pub refresh_token: RefreshToken,
    /// Until when it must be used.
    pub refresh_expires_in: Duration,
}

/// Leaves the tokens out.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("user", &self.user)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}
