use std::sync::Arc;

use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::bearer::Bearer;
use super::cursor;
use super::problem::Problem;
use crate::domain::login_history::{LoginEntry, LoginFailure, ReadHistory};
use crate::domain::page::Page;

/// Who logged in as whom, as far as users may see it.
pub(super) struct HistoryApi {
    pub(super) history: Arc<ReadHistory>,
}

#[OpenApi(prefix_path = "/auth")]
impl HistoryApi {
    /// My logins
    ///
    /// Those that succeeded and those that failed in the last 90 days, the latest first. Problem: `validation_failed`.
    #[oai(path = "/login-history", method = "get", operation_id = "loginHistory")]
    async fn list(
        &self,
        Bearer(caller): Bearer,
        /// Logins on a page, 1 to 200; 50 if it is not here.
        limit: Query<Option<String>>,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Logins>, Problem> {
        let (after, size) = (cursor::read(cursor.0.as_deref())?, cursor::size(limit.0.as_deref())?);
        Ok(Json(self.history.own(&caller, after, size).await?.into()))
    }
}

/// A page of logins.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct Logins {
    /// The latest first.
    items: Vec<OneLogin>,
    /// Gets the next page; there is none if this is not here.
    next_cursor: Option<String>,
}

/// A login, or what was meant to be one.
#[derive(Object)]
#[oai(skip_serializing_if_is_none, rename = "Login")]
struct OneLogin {
    id: String,
    /// When it came to its end.
    time: String,
    /// From where it came.
    address: Option<String>,
    /// How the client described itself (`User-Agent`).
    user_agent: Option<String>,
    /// `success` or `failure`.
    outcome: String,
    /// Why it failed: `wrong_password`, or `suspended` for the right password of an account that is closed, or
    /// `unverified_email` where the address has to be confirmed first.
    reason: Option<String>,
}

impl From<Page<LoginEntry>> for Logins {
    fn from(page: Page<LoginEntry>) -> Self {
        let item = |login: LoginEntry| OneLogin {
            id: login.id.to_string(),
            time: login.at.to_string(),
            address: login.address.map(|address| address.to_string()),
            user_agent: login.user_agent,
            outcome: if login.failure.is_none() { "success" } else { "failure" }.to_owned(),
            reason: login.failure.map(|failure: LoginFailure| failure.as_str().to_owned()),
        };
        Self { items: page.items.into_iter().map(item).collect(), next_cursor: page.next.map(cursor::write) }
    }
}
