use std::sync::Arc;
use std::time::Duration;

use poem::{Endpoint, FromRequest as _, IntoResponse as _, Request, Response, Result, web};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use crate::domain::revocation::{Revocation, Revoked};
use crate::domain::revocation_feed::{FeedPage, RevocationFeed};

/// `/revocations`: the list of dead tokens that gateways follow.
pub(super) struct Feed {
    pub(super) feed: Arc<RevocationFeed>,
    pub(super) draining: CancellationToken,
}

/// Shorter than the deadline of a request.
const LONGEST_WAIT: u64 = 25;

impl Endpoint for Feed {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let query = web::Query::<Question>::from_request_without_body(&request).await;
        let web::Query(Question { after, wait }) = query.map_err(|_| {
            Problem::invalid_field("after", "and wait must be whole numbers: a place, and seconds")
        })?;
        let wait = Duration::from_secs(wait.unwrap_or(0).min(LONGEST_WAIT));
        let page = self.feed.after(after, wait, self.draining.cancelled()).await.map_err(Problem::from)?;
        Ok(web::Json(Page::from(page)).into_response())
    }
}

#[derive(Deserialize)]
struct Question {
    after: Option<u64>,
    wait: Option<u64>,
}

#[derive(Serialize)]
struct Page {
    next: u64,
    more: bool,
    reset: bool,
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    #[serde(flatten)]
    dead: Dead,
    until: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Dead {
    Session { sid: String },
    User { sub: String, epoch: u64 },
    Key { kid: String },
}

impl From<FeedPage> for Page {
    fn from(page: FeedPage) -> Self {
        let FeedPage { items, next, more, reset } = page;
        Self { next, more, reset, items: items.into_iter().map(Item::from).collect() }
    }
}

impl From<Revocation> for Item {
    fn from(revocation: Revocation) -> Self {
        let dead = match revocation.revoked {
            Revoked::Session(id) => Dead::Session { sid: id.to_string() },
            Revoked::User { user, epoch } => Dead::User { sub: user.to_string(), epoch },
            Revoked::Key(id) => Dead::Key { kid: id.to_string() },
        };
        Self { dead, until: revocation.until.to_string() }
    }
}
