use std::sync::Arc;
use std::time::Duration;

use super::alert::Alert;
use super::clock::Clock;
use super::context::RequestContext;
use super::event::{Event, Report};
use super::grant::Grant;
use super::ids::{SessionId, UserId};
use super::ports::{Exchanged, RefreshTokens, Sessions, SignError, StoreError};
use super::session::Standing;
use super::token::{AuthenticRefreshToken, ForgedRefreshToken, Tokens};
use super::user::{User, UserStatus};

/// What is right for a token and the family it belongs to; no I/O.
pub mod family;

use self::family::{Judgement, judge};

/// Exchanges refresh tokens, each for its one child.
pub struct Refresh {
    /// Where families are kept.
    pub sessions: Arc<dyn Sessions>,
    /// Knows tokens and computes their children.
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    /// Makes the access token.
    pub grant: Arc<Grant>,
    /// Idle time after which a session ends.
    pub idle: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why there are no new tokens.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token is good for nothing. The client is told no more than that; the reason is for logs.
    #[error(transparent)]
    Refused(#[from] RefreshRefusal),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access token could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Why a refresh token is good for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshRefusal {
    /// This issuer never made it.
    #[error("not an authentic refresh token")]
    Forged,
    /// Its session was ended, or ran out so long ago that it is forgotten.
    #[error("the session has ended")]
    Ended,
    /// Its session ran out: unused for too long, or too old altogether.
    #[error("the session has run out")]
    RanOut,
    /// It was exchanged before, so two have it and one is a thief. The session has been ended.
    #[error("the refresh token was used twice")]
    Reused {
        /// The session that was ended.
        session: SessionId,
        /// Whose it was.
        user: UserId,
    },
    /// Its user is suspended or deleted. The session has been ended.
    #[error("the account is closed")]
    AccountClosed,
}

impl RefreshRefusal {
    /// In one word, for operators.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::Ended => "ended",
            Self::RanOut => "ran_out",
            Self::Reused { .. } => "reused",
            Self::AccountClosed => "account_closed",
        }
    }
}

/// Whoever loses a race finds its outcome when he looks again. More rounds than that have no cause but a sick store.
const ROUNDS: usize = 4;

/// Every round, another request was quicker.
#[derive(Debug, thiserror::Error)]
#[error("a session did not come to rest")]
struct Unsettled;

impl Refresh {
    /// Exchanges the token for the next pair.
    ///
    /// However many send the same token at the same time, to whichever replica: all get the same child, and the family
    /// moves on by one generation.
    ///
    /// # Errors
    /// See [`RefreshError`]. After any of them but [`RefreshError::Refused`] the same token may be sent again.
    pub async fn refresh(&self, token: &str, context: &RequestContext) -> Result<Tokens, RefreshError> {
        let token = self.refresh_tokens.authenticate(token)?;
        for _ in 0..ROUNDS {
            if let Some(tokens) = self.round(&token, context).await? {
                return Ok(tokens);
            }
        }
        Err(StoreError::unavailable(Unsettled).into())
    }

    /// Reads, judges and writes once; nothing comes of it if somebody else wrote in between.
    async fn round(
        &self,
        token: &AuthenticRefreshToken,
        context: &RequestContext,
    ) -> Result<Option<Tokens>, RefreshError> {
        let now = self.clock.now();
        let standing = self.sessions.standing(token.session).await?.ok_or(RefreshRefusal::Ended)?;
        let Standing { session, user, permissions } = standing;
        let issued = self.refresh_tokens.child_with(token, session.refresh_fingerprint);
        match judge(&session, token.fingerprint, issued, now) {
            Judgement::Exchange => {
                let user = self.active(user, session.id, context).await?;
                let child = self.refresh_tokens.child(token);
                let next = session.exchanged(child.fingerprint, self.idle, now);
                // Signed first, as in a login: then there is nothing that could fail after the write.
                let tokens = self.grant.tokens((&user, permissions), &next, child.token, now)?;
                match self.sessions.exchange(&session, &next).await? {
                    Exchanged::Yes => Ok(Some(tokens)),
                    Exchanged::Lost => Ok(None),
                }
            }
            Judgement::Repeat(child) => {
                let user = self.active(user, session.id, context).await?;
                // No write proves here that the family still is what was judged. Had a change of password ended it before
                // the user was read, this token would carry the new epoch, and outlive its session at the gateway.
                if self.sessions.by_id(session.id).await?.as_ref() != Some(&session) {
                    return Ok(None);
                }
                Ok(Some(self.grant.tokens((&user, permissions), &session, child.token, now)?))
            }
            Judgement::Reuse => {
                // Which of the two is the thief nobody can tell; both have to log in again.
                let alert = Event::SecurityAlert(Alert::refresh_token_reuse(session.id, context));
                self.sessions.end(session.id, &Report::new(now, context).tell(alert)).await?;
                Err(RefreshRefusal::Reused { session: session.id, user: session.user }.into())
            }
            Judgement::RunOut => Err(RefreshRefusal::RanOut.into()),
        }
    }

    /// The session's user, if he is there and may be; otherwise the session ends.
    async fn active(
        &self,
        user: Option<User>,
        session: SessionId,
        context: &RequestContext,
    ) -> Result<User, RefreshError> {
        match user {
            Some(user) if user.status == UserStatus::Active => Ok(user),
            _ => {
                self.sessions.end(session, &Report::new(self.clock.now(), context)).await?;
                Err(RefreshRefusal::AccountClosed.into())
            }
        }
    }
}

impl From<ForgedRefreshToken> for RefreshError {
    fn from(_: ForgedRefreshToken) -> Self {
        Self::Refused(RefreshRefusal::Forged)
    }
}
