use std::sync::Arc;

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use tokio::sync::watch;

use crate::domain::outbox::Delivery;
use crate::domain::ports::StoreHealth;
use crate::telemetry::with_causes;

/// Whether the issuer can do its work.
pub(super) struct HealthApi {
    pub(super) store: Arc<dyn StoreHealth>,
    pub(super) delivery: watch::Receiver<Delivery>,
}

#[OpenApi]
impl HealthApi {
    /// Is all well
    #[oai(path = "/health", method = "get", operation_id = "health")]
    async fn health(&self) -> HealthAnswer {
        health(&*self.store, &self.delivery).await
    }
}

/// The state of the parts. Events wait for their broker safely, so it takes nothing from the issuer's own health.
pub(super) async fn health(store: &dyn StoreHealth, delivery: &watch::Receiver<Delivery>) -> HealthAnswer {
    let events = delivery.borrow().as_str();
    match store.ping().await {
        Ok(()) => HealthAnswer::Well(Json(Health::new("ok", events))),
        Err(error) => {
            tracing::warn!(cause = with_causes(&error), "the store does not answer");
            HealthAnswer::Unwell(Json(Health::new("unavailable", events)))
        }
    }
}

#[derive(ApiResponse)]
pub(super) enum HealthAnswer {
    /// All is well.
    #[oai(status = 200)]
    Well(Json<Health>),
    /// Something is not.
    #[oai(status = 503)]
    Unwell(Json<Health>),
}

#[derive(Object)]
pub(super) struct Health {
    /// `ok` or `unavailable`.
    status: String,
    /// `ok` or `unavailable`.
    store: String,
    /// `ok`; `off` when none is configured to be told; `unavailable` when the broker is away and `blocked` when it is short of
    /// memory or disk, and events wait; `parked` when some were given up.
    events: String,
}

impl Health {
    fn new(store: &str, events: &str) -> Self {
        Self { status: store.to_owned(), store: store.to_owned(), events: events.to_owned() }
    }
}
