use std::sync::Arc;

use super::authenticate::Caller;
use super::clock::Clock;
use super::context::RequestContext;
use super::event::Report;
use super::ids::SessionId;
use super::page::{Page, PageSize, Place};
use super::ports::{RefreshTokens, Sessions, StoreError};
use super::session::Session;

/// Lets users see and end their own sessions.
pub struct OwnSessions {
    /// Where sessions are kept.
    pub sessions: Arc<dyn Sessions>,
    /// Knows refresh tokens.
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl OwnSessions {
    /// The open sessions of the caller, the latest login first.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn list(&self, caller: &Caller, after: Option<Place>) -> Result<Page<Session>, StoreError> {
        let size = PageSize::default();
        let (user, now) = (caller.user().id, self.clock.now());
        let found = self.sessions.page(user, after, size.and_one(), now).await?;
        Ok(Page::of(found, size, Session::place))
    }

    /// Ends a session of the caller's, and says whether he has one of that name that is still open.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn end(
        &self,
        caller: &Caller,
        id: SessionId,
        context: &RequestContext,
    ) -> Result<bool, StoreError> {
        let session = self.sessions.by_id(id).await?;
        // A session never changes hands, so it is still his when it is ended.
        if !session
            .is_some_and(|session| session.user == caller.user().id && session.is_open(self.clock.now()))
        {
            return Ok(false);
        }
        self.sessions.end(id, &self.report(context)).await
    }

    /// Ends all sessions of the caller, this one too.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn end_all(&self, caller: &Caller, context: &RequestContext) -> Result<(), StoreError> {
        self.sessions.end_all(caller.user().id, &self.report(context)).await.map(drop)
    }

    /// Ends the session that a refresh token belongs to: the current token, or any that came before it. Whoever wants
    /// to leave need not be the first to say so. A token that is not authentic ends nothing.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn log_out(&self, refresh_token: &str, context: &RequestContext) -> Result<(), StoreError> {
        match self.refresh_tokens.authenticate(refresh_token) {
            Ok(token) => self.sessions.end(token.session, &self.report(context)).await.map(drop),
            Err(_forged) => Ok(()),
        }
    }

    /// The end of sessions, which the store tells of by itself.
    fn report(&self, context: &RequestContext) -> Report {
        Report::new(self.clock.now(), context)
    }
}
