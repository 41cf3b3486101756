use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Any;
use poem_openapi::{Object, OpenApi};
use serde_json::{Map, Value};

use super::admin_users::parse;
use super::allowed::Allowed;
use super::cursor;
use super::flows::Flows;
use super::history::Logins;
use super::problem::Problem;
use super::reason::Reason;
use super::sessions::Done;
use crate::domain::administer_users::AdministerUsers;
use crate::domain::alert::KeptAlert;
use crate::domain::context::RequestContext;
use crate::domain::login_history::ReadHistory;
use crate::domain::page::Page;
use crate::domain::permit::{AuditRead, UsersWrite};
use crate::domain::read_alerts::ReadAlerts;

/// What administrators see of those who guess, and what they do for those who suffer from it.
pub(super) struct AdminWatchApi {
    pub(super) alerts: Arc<ReadAlerts>,
    pub(super) history: Arc<ReadHistory>,
    pub(super) users: Arc<AdministerUsers>,
    pub(super) flows: Flows,
}

#[OpenApi(prefix_path = "/admin")]
impl AdminWatchApi {
    /// See what somebody should look at
    ///
    /// The alerts of the last 90 days, the latest first. Permission: `audit:read`. Problem: `validation_failed`.
    #[oai(path = "/alerts", method = "get", operation_id = "alerts")]
    async fn alerts(
        &self,
        Allowed(permit): Allowed<AuditRead>,
        /// Alerts on a page, 1 to 200; 50 if it is not here.
        limit: Query<Option<String>>,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<AlertList>, Problem> {
        let (after, size) = (cursor::read(cursor.0.as_deref())?, cursor::size(limit.0.as_deref())?);
        Ok(Json(self.alerts.list(&permit, after, size).await?.into()))
    }

    /// See a user's logins
    ///
    /// Those that succeeded and those that failed in the last 90 days, the latest first. Permission: `audit:read`. Problems:
    /// `validation_failed`, `not_found`.
    #[oai(path = "/users/:id/login-history", method = "get", operation_id = "userLoginHistory")]
    async fn history(
        &self,
        Allowed(permit): Allowed<AuditRead>,
        id: Path<String>,
        /// Logins on a page, 1 to 200; 50 if it is not here.
        limit: Query<Option<String>>,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Logins>, Problem> {
        let (after, size) = (cursor::read(cursor.0.as_deref())?, cursor::size(limit.0.as_deref())?);
        let page = self.history.of_user(&permit, parse(&id)?, after, size).await?;
        Ok(Json(page.ok_or(Reason::NotFound)?.into()))
    }

    /// Unlock a user
    ///
    /// Whatever was guessed is forgotten, under his address and his username. Permission: `users:write`. Problems:
    /// `not_found`, `forbidden`.
    #[oai(path = "/users/:id/unlock", method = "post", operation_id = "unlockUser")]
    async fn unlock(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<UsersWrite>,
        id: Path<String>,
    ) -> Result<Done, Problem> {
        let (id, users, context) = (parse(&id)?, self.users.clone(), context.clone());
        self.flows.to_the_end(async move { users.unlock(&permit, id, &context).await }).await??;
        Ok(Done::Done)
    }
}

#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct AlertList {
    /// The latest first.
    items: Vec<OneAlert>,
    /// Gets the next page; there is none if this is not here.
    next_cursor: Option<String>,
}

/// Something that somebody should look at.
#[derive(Object)]
#[oai(rename = "Alert")]
struct OneAlert {
    /// Also the id of its event.
    id: String,
    /// When it was raised.
    time: String,
    /// The id of the user it is about, who may be gone by now.
    user: String,
    /// Such as `many_failures` or `new_device`.
    kind: String,
    /// What is known about it.
    details: Any<Map<String, Value>>,
    /// The id under which the log knows the request.
    request_id: String,
}

impl From<Page<KeptAlert>> for AlertList {
    fn from(page: Page<KeptAlert>) -> Self {
        let item = |alert: KeptAlert| OneAlert {
            id: alert.id.to_string(),
            time: alert.at.to_string(),
            user: alert.user.to_string(),
            kind: alert.kind,
            details: Any(alert.details),
            request_id: alert.request_id,
        };
        Self { items: page.items.into_iter().map(item).collect(), next_cursor: page.next.map(cursor::write) }
    }
}
