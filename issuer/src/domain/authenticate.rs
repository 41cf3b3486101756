use std::sync::Arc;

use super::clock::Clock;
use super::ports::{AccessTokens, Sessions, StoreError};
use super::role::Permissions;
use super::session::Standing;
use super::token::{AccessClaims, TokenRefusal};
use super::user::{User, UserStatus};

/// Finds out who bears an access token, as of now: the issuer is safe without the gateway too.
pub struct Authenticate {
    /// Knows its own tokens.
    pub access_tokens: Arc<dyn AccessTokens>,
    /// Which sessions are open, and who stands behind them.
    pub sessions: Arc<dyn Sessions>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Somebody who bore a good token; made by [`Authenticate`] alone.
#[derive(Clone, Debug)]
pub struct Caller {
    user: User,
    permissions: Permissions,
    claims: AccessClaims,
}

/// Why a bearer is nobody.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Not a token of this issuer; the reason is for logs.
    #[error("the token is not good: {0}")]
    Invalid(TokenRefusal),
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// The session has ended, or the user has changed since.
    #[error("the token has been revoked")]
    Revoked,
    /// The store could not say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authenticate {
    /// The caller behind `bearer`, read from the store: not only what the token says.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        let now = self.clock.now();
        let claims = self.access_tokens.verify(bearer, now).await?;
        let standing = self.sessions.standing(claims.session).await?;
        let Some(Standing { session, user: Some(user), permissions }) = standing else {
            return Err(AuthError::Revoked);
        };
        if session.user != claims.subject || !session.is_open(now) {
            return Err(AuthError::Revoked);
        }
        if user.status != UserStatus::Active || claims.epoch < user.epoch {
            return Err(AuthError::Revoked);
        }
        Ok(Caller { user, permissions, claims })
    }
}

impl Caller {
    /// The user as the store has him now.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// What his roles let him do now.
    #[must_use]
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// What the token says.
    #[must_use]
    pub fn claims(&self) -> &AccessClaims {
        &self.claims
    }
}

impl From<TokenRefusal> for AuthError {
    fn from(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Expired => Self::Expired,
            other => Self::Invalid(other),
        }
    }
}
