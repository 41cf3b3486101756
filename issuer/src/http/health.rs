use std::sync::Arc;

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use crate::domain::ports::StoreHealth;
use crate::telemetry::with_causes;

/// Whether the issuer can do its work.
pub(super) struct HealthApi {
    pub(super) store: Arc<dyn StoreHealth>,
}

#[OpenApi]
impl HealthApi {
    /// Is all well
    #[oai(path = "/health", method = "get", operation_id = "health")]
    async fn health(&self) -> HealthAnswer {
        health(&*self.store).await
    }
}

/// The state of the parts.
pub(super) async fn health(store: &dyn StoreHealth) -> HealthAnswer {
    match store.ping().await {
        Ok(()) => HealthAnswer::Well(Json(Health::new("ok"))),
        Err(error) => {
            tracing::warn!(cause = with_causes(&error), "the store does not answer");
            HealthAnswer::Unwell(Json(Health::new("unavailable")))
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
    /// Always `off`: this version publishes none.
    events: String,
}

impl Health {
    fn new(store: &str) -> Self {
        Self { status: store.to_owned(), store: store.to_owned(), events: "off".to_owned() }
    }
}
