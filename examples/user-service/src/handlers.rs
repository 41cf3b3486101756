//! What each route does. Who may call which was decided by the gateway's rules.

use std::sync::Arc;

use jiff::Timestamp;
use poem::handler;
use poem::http::StatusCode;
use poem::web::{Data, Json, Path, Query};
use serde::Deserialize;

use crate::Source;
use crate::body::Change;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::profiles::{Page, Profile, Profiles};

const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

/// Where in the list to go on, and how far.
#[derive(Deserialize)]
pub(crate) struct Position {
    cursor: Option<String>,
    limit: Option<u32>,
}

#[handler]
pub(crate) async fn list(
    Query(position): Query<Position>,
    Data(profiles): Data<&Arc<Profiles>>,
) -> Result<Json<Page>, Problem> {
    let limit = position.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let after = position.cursor.unwrap_or_default();
    with(profiles, move |profiles| profiles.page(&after, limit)).await.map(Json)
}

#[handler]
pub(crate) async fn show(
    caller: Caller,
    Path(id): Path<String>,
    Data(profiles): Data<&Arc<Profiles>>,
    Data(&source): Data<&Source>,
) -> Result<Json<Profile>, Problem> {
    let now = now();
    with(profiles, move |profiles| {
        // Where nobody announces new users, a profile is made when its owner first comes by.
        if source == Source::Visits && id == caller.id {
            profiles.find_or_insert(&id, caller.email.as_deref(), now).map(Some)
        } else {
            profiles.find(&id)
        }
    })
    .await?
    .map(Json)
    .ok_or(Problem::NotFound)
}

#[handler]
pub(crate) async fn update(
    caller: Caller,
    Path(id): Path<String>,
    Data(profiles): Data<&Arc<Profiles>>,
    Data(&source): Data<&Source>,
    change: Change,
) -> Result<Json<Profile>, Problem> {
    let now = now();
    with(profiles, move |profiles| {
        if source == Source::Visits && id == caller.id {
            profiles.find_or_insert(&id, caller.email.as_deref(), now)?;
        }
        profiles.update(&id, &change, now)
    })
    .await?
    .map(Json)
    .ok_or(Problem::NotFound)
}

#[handler]
pub(crate) async fn remove(
    Path(id): Path<String>,
    Data(profiles): Data<&Arc<Profiles>>,
) -> Result<StatusCode, Problem> {
    let removed = with(profiles, move |profiles| profiles.remove(&id)).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::NotFound) }
}

/// Runs database work where it may block.
async fn with<T: Send + 'static>(
    profiles: &Arc<Profiles>,
    work: impl FnOnce(&Profiles) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let profiles = Arc::clone(profiles);
    let outcome = tokio::task::spawn_blocking(move || work(&profiles)).await;
    outcome.map_err(|_| Problem::Internal)?.map_err(Problem::from)
}

#[expect(clippy::disallowed_methods, reason = "the edge where a request gets its time")]
fn now() -> Timestamp {
    Timestamp::now()
}
