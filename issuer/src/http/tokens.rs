use poem_openapi::Object;

use crate::domain::token::Tokens;

/// What a login and a refresh answer with.
#[derive(Object)]
pub(super) struct TokenAnswer {
    /// The access token, a JWT.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// Seconds until the access token expires.
    expires_in: u64,
    /// Good for one use at `/auth/refresh`.
    refresh_token: String,
    /// Seconds until the refresh token expires if it is not used.
    refresh_expires_in: u64,
}

impl From<Tokens> for TokenAnswer {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            token_type: "Bearer".to_owned(),
            expires_in: tokens.expires_in.as_secs(),
            refresh_token: tokens.refresh_token.expose().to_owned(),
            refresh_expires_in: tokens.refresh_expires_in.as_secs(),
        }
    }
}
