use std::sync::Arc;

use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::types::Any;
use poem_openapi::{Object, OpenApi};

use super::allowed::Allowed;
use super::cursor;
use super::problem::Problem;
use crate::domain::audit::{AuditEntry, Members};
use crate::domain::page::Page;
use crate::domain::permit::AuditRead;
use crate::domain::read_audit::ReadAudit;

/// What administrators did.
pub(super) struct AdminAuditApi {
    pub(super) audit: Arc<ReadAudit>,
}

#[OpenApi(prefix_path = "/admin")]
impl AdminAuditApi {
    /// See what administrators did
    ///
    /// The newest first. Permission: `audit:read`. Problem: `validation_failed`.
    #[oai(path = "/audit", method = "get", operation_id = "audit")]
    async fn list(
        &self,
        Allowed(permit): Allowed<AuditRead>,
        /// Entries on a page, 1 to 200; 50 if it is not here.
        limit: Query<Option<String>>,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<AuditList>, Problem> {
        let (after, size) = (cursor::read(cursor.0.as_deref())?, cursor::size(limit.0.as_deref())?);
        Ok(Json(self.audit.list(&permit, after, size).await?.into()))
    }
}

#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct AuditList {
    /// The newest first.
    items: Vec<AuditAnswer>,
    /// Gets the next page; there is none if this is not here.
    next_cursor: Option<String>,
}

/// Something that an administrator did.
#[derive(Object)]
#[oai(skip_serializing_if_is_none, rename = "AuditEntry")]
struct AuditAnswer {
    id: String,
    /// When.
    at: String,
    /// The id of the user who did it; none if it was done at the command line.
    actor: Option<String>,
    /// What, such as `user.suspended` or `role.updated`.
    action: String,
    /// To whom, or to what.
    subject: SubjectAnswer,
    /// What was different before.
    before: Any<Members>,
    /// What it was after.
    after: Any<Members>,
    /// The id under which the log knows the request.
    request_id: String,
    /// From where it was done.
    address: Option<String>,
}

#[derive(Object)]
#[oai(rename = "AuditSubject")]
struct SubjectAnswer {
    /// `user` or `role`.
    #[oai(rename = "type")]
    kind: String,
    /// The user's id, or the role's name.
    id: String,
}

impl From<Page<AuditEntry>> for AuditList {
    fn from(page: Page<AuditEntry>) -> Self {
        Self {
            items: page.items.into_iter().map(AuditAnswer::from).collect(),
            next_cursor: page.next.map(cursor::write),
        }
    }
}

impl From<AuditEntry> for AuditAnswer {
    fn from(entry: AuditEntry) -> Self {
        let (kind, id) = entry.subject.parts();
        Self {
            id: entry.id.to_string(),
            at: entry.at.to_string(),
            actor: entry.actor.map(|actor| actor.to_string()),
            action: entry.action,
            subject: SubjectAnswer { kind: kind.to_owned(), id },
            before: Any(entry.before),
            after: Any(entry.after),
            request_id: entry.request_id,
            address: entry.address.map(|address| address.to_string()),
        }
    }
}
