use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;

use super::bearer::Bearer;
use super::body::Body;
use super::cursor;
use super::edge::Seen;
use super::flows::Flows;
use super::metrics::outcome;
use super::problem::Problem;
use super::reason::Reason;
use super::tokens::TokenAnswer;
use crate::domain::authenticate::Caller;
use crate::domain::context::RequestContext;
use crate::domain::own_sessions::OwnSessions;
use crate::domain::page::Page;
use crate::domain::refresh::{Refresh, RefreshError};
use crate::domain::session::Session;
use crate::telemetry::metrics::Metrics;

/// What becomes of a session after the login.
pub(super) struct SessionsApi {
    pub(super) refresh: Arc<Refresh>,
    pub(super) own_sessions: Arc<OwnSessions>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) flows: Flows,
}

#[OpenApi(prefix_path = "/auth")]
impl SessionsApi {
    /// Exchange a refresh token for the next pair
    ///
    /// The token presented is used up by this. For 30 seconds, and as long as the new one was not used, it may be sent
    /// again and gets the same new one: for two tabs, and for answers that got lost. After that, whoever sends it ends
    /// the session. Problems: `invalid_token`, which means that the user has to log in again, `validation_failed`.
    #[oai(path = "/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(
        &self,
        context: Data<&RequestContext>,
        seen: Data<&Seen>,
        Body(body): Body<RefreshTokenBody>,
    ) -> Result<Json<TokenAnswer>, Problem> {
        let (refresh, context) = (self.refresh.clone(), context.clone());
        let metrics = self.metrics.clone();
        let flow = async move {
            let refreshed = refresh.refresh(&body.refresh_token, &context).await;
            let refusal = match &refreshed {
                Err(RefreshError::Refused(refusal)) => Some(refusal.as_str()),
                _ => None,
            };
            let done = refreshed.map_err(Problem::from);
            metrics.refresh(refusal.unwrap_or_else(|| outcome(&done)));
            done
        };
        let tokens = self.flows.to_the_end(flow).await??;
        seen.note(tokens.user);
        Ok(Json(tokens.into()))
    }

    /// Log out
    ///
    /// Ends the session that the refresh token belongs to, and no other. The answer is the same for a token that is no
    /// good, or not any more. Problem: `validation_failed`.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn logout(
        &self,
        context: Data<&RequestContext>,
        Body(body): Body<RefreshTokenBody>,
    ) -> Result<Done, Problem> {
        let (sessions, context) = (self.own_sessions.clone(), context.clone());
        let flow = async move { sessions.log_out(&body.refresh_token, &context).await };
        self.flows.to_the_end(flow).await??;
        Ok(Done::Done)
    }

    /// Log out everywhere
    ///
    /// Ends all sessions of the caller, this one too.
    #[oai(path = "/logout-all", method = "post", operation_id = "logoutAll")]
    async fn logout_all(
        &self,
        context: Data<&RequestContext>,
        Bearer(caller): Bearer,
    ) -> Result<Done, Problem> {
        let (sessions, context) = (self.own_sessions.clone(), context.clone());
        self.flows.to_the_end(async move { sessions.end_all(&caller, &context).await }).await??;
        Ok(Done::Done)
    }

    /// My sessions
    ///
    /// Those that are open, the latest login first, 50 at a time. Problem: `validation_failed` for a cursor that this
    /// issuer did not make.
    #[oai(path = "/sessions", method = "get", operation_id = "sessions")]
    async fn list(
        &self,
        Bearer(caller): Bearer,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Sessions>, Problem> {
        let after = cursor::read(cursor.0.as_deref())?;
        let page = self.own_sessions.list(&caller, after).await?;
        Ok(Json(Sessions::new(page, &caller)))
    }

    /// End a session of mine
    ///
    /// Problem: `not_found` if the caller has no open session of that id.
    #[oai(path = "/sessions/:sid", method = "delete", operation_id = "endSession")]
    async fn end(
        &self,
        context: Data<&RequestContext>,
        Bearer(caller): Bearer,
        /// The session's id, as in the list.
        sid: Path<String>,
    ) -> Result<Done, Problem> {
        let id = sid.0.parse().map_err(|_| Problem::from(Reason::NotFound))?;
        let (sessions, context) = (self.own_sessions.clone(), context.clone());
        let found = self.flows.to_the_end(async move { sessions.end(&caller, id, &context).await }).await??;
        if found { Ok(Done::Done) } else { Err(Reason::NotFound.into()) }
    }
}

#[derive(Deserialize, Object)]
struct RefreshTokenBody {
    /// As the login or the last refresh answered it.
    refresh_token: String,
}

#[derive(ApiResponse)]
pub(super) enum Done {
    /// It is done.
    #[oai(status = 204)]
    Done,
}

#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct Sessions {
    /// The latest login first.
    items: Vec<OneSession>,
    /// Gets the next page; there is none if this is not here.
    next_cursor: Option<String>,
}

/// An open session: one login, and every refresh since.
#[derive(Object)]
#[oai(skip_serializing_if_is_none, rename = "Session")]
struct OneSession {
    /// Also the `sid` of its access tokens.
    id: String,
    /// How the client described itself when it logged in (`User-Agent`).
    device: Option<String>,
    /// From where it logged in.
    address: Option<String>,
    /// When it logged in.
    created_at: String,
    /// When it last logged in or refreshed.
    last_used_at: String,
    /// When it ends if it is not used before.
    expires_at: String,
    /// Whether this very request belongs to it.
    current: bool,
}

impl Sessions {
    pub(super) fn new(page: Page<Session>, caller: &Caller) -> Self {
        let current = caller.claims().session;
        let item = |session: Session| OneSession {
            id: session.id.to_string(),
            device: session.user_agent,
            address: session.address.map(|address| address.to_string()),
            created_at: session.created_at.to_string(),
            last_used_at: session.last_used_at.to_string(),
            expires_at: session.expires_at.to_string(),
            current: session.id == current,
        };
        Self { items: page.items.into_iter().map(item).collect(), next_cursor: page.next.map(cursor::write) }
    }
}
