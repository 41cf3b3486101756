use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::clock::{Random, random_uuid};
use super::ports::{AccessTokens, SignError};
use super::role::Permissions;
use super::session::Session;
use super::token::{AccessClaims, RefreshToken, Tokens};
use super::user::User;

/// Makes the pair of tokens that a login and a refresh answer with.
pub struct Grant {
    /// Signs the access token.
    pub access_tokens: Arc<dyn AccessTokens>,
    /// How long an access token is good.
    pub access_lifetime: Duration,
    /// The dice.
    pub random: Arc<dyn Random>,
}

impl Grant {
    /// Tokens for `user`, as he is now, in `session`. The access token does not outlive the session's whole life.
    ///
    /// # Errors
    /// When the access token cannot be signed.
    pub fn tokens(
        &self,
        (user, permissions): (&User, Permissions),
        session: &Session,
        refresh_token: RefreshToken,
        now: Timestamp,
    ) -> Result<Tokens, SignError> {
        let expires_in = self.access_lifetime.min(until(session.ends_at, now));
        let id = random_uuid(&*self.random);
        let proof = (session.id, session.created_at);
        let claims = AccessClaims::new(id, user, permissions, proof, now, expires_in);
        Ok(Tokens {
            user: user.id,
            access_token: self.access_tokens.sign(&claims)?,
            expires_in,
            refresh_token,
            refresh_expires_in: until(session.expires_at, now),
        })
    }
}

/// The time from `now` to `end`; none if that is past.
fn until(end: Timestamp, now: Timestamp) -> Duration {
    end.duration_since(now).try_into().unwrap_or_default()
}
