use std::sync::Arc;

use poem::endpoint::make_sync;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result, web};
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::bearer::credential;
use super::health::health;
use super::problem::Problem;
use super::reason::Reason;
use crate::config::Secret;
use crate::domain::outbox::Delivery;
use crate::domain::ports::StoreHealth;

/// `/health/live`: the process runs and answers. Says nothing about the store: a restart would not mend that.
pub(super) fn live() -> impl Endpoint {
    make_sync(|_| web::Json(json!({"status": "ok"})))
}

/// `/health/ready`: send requests here. Not while the store is away, and not any more once the end has begun.
/// Keys need no look: without them the listeners do not open.
pub(super) struct Ready {
    pub(super) store: Arc<dyn StoreHealth>,
    pub(super) delivery: watch::Receiver<Delivery>,
    pub(super) draining: CancellationToken,
}

impl Endpoint for Ready {
    type Output = Response;

    async fn call(&self, _: Request) -> Result<Response> {
        if self.draining.is_cancelled() {
            let body = web::Json(json!({"status": "draining"}));
            return Ok(body.with_status(poem::http::StatusCode::SERVICE_UNAVAILABLE).into_response());
        }
        Ok(health(&*self.store, &self.delivery).await.into_response())
    }
}

/// Lets in whoever has the management token; everybody, if none is configured.
pub(super) struct Guard(pub(super) Option<Arc<Secret>>);

impl<E: Endpoint> Middleware<E> for Guard {
    type Output = GuardedEndpoint<E>;

    fn transform(&self, inner: E) -> GuardedEndpoint<E> {
        GuardedEndpoint { token: self.0.clone(), inner }
    }
}

/// An endpoint behind the management token.
pub(super) struct GuardedEndpoint<E> {
    token: Option<Arc<Secret>>,
    inner: E,
}

impl<E: Endpoint> Endpoint for GuardedEndpoint<E> {
    type Output = E::Output;

    async fn call(&self, request: Request) -> Result<E::Output> {
        if let Some(token) = &self.token {
            let given = credential(request.headers()).map_err(Problem::from)?;
            // In constant time: how long a comparison takes must not tell how much of a guess was right.
            if !bool::from(given.as_bytes().ct_eq(token.expose().as_bytes())) {
                return Err(Problem::from(Reason::InvalidToken).into());
            }
        }
        self.inner.call(request).await
    }
}
