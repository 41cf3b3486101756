use std::sync::Arc;

use super::authenticate::Caller;
use super::clock::Clock;
use super::context::RequestContext;
use super::event::Report;
use super::ids::SessionId;
use super::ports::{RefreshTokens, Sessions, StoreError};
use super::session::{Session, SessionCursor};

/// Lets users see and end their own sessions.
pub struct OwnSessions {
    /// Where sessions are kept.
    pub sessions: Arc<dyn Sessions>,
    /// Knows refresh tokens.
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Some of somebody's sessions.
#[derive(Debug)]
pub struct SessionPage {
    /// The latest login first.
    pub sessions: Vec<Session>,
    /// Where the next page begins, if there is one.
    pub next: Option<SessionCursor>,
}

/// Sessions on one page.
pub const PAGE: u32 = 50;

impl OwnSessions {
    /// The open sessions of the caller, page by page.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn list(
        &self,
        caller: &Caller,
        after: Option<SessionCursor>,
    ) -> Result<SessionPage, StoreError> {
        // One more than fits tells whether there is another page.
        let mut sessions = self.sessions.page(caller.user().id, after, PAGE + 1, self.clock.now()).await?;
        let more = sessions.len() > PAGE as usize;
        sessions.truncate(PAGE as usize);
        let last =
            sessions.last().map(|session| SessionCursor { created_at: session.created_at, id: session.id });
        Ok(SessionPage { sessions, next: last.filter(|_| more) })
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
