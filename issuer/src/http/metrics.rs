use std::sync::Arc;
use std::time::Duration;

use poem::{Endpoint, Request, Response, Result};

use super::problem::Problem;
use crate::domain::clock::Clock;
use crate::domain::ports::KeyAges;
use crate::telemetry::metrics::{CONTENT_TYPE, Metrics};

/// `/metrics`: everything that was counted and measured, for Prometheus.
pub(super) struct Scrape {
    pub(super) metrics: Arc<Metrics>,
    pub(super) key_ages: Arc<dyn KeyAges>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Endpoint for Scrape {
    type Output = Response;

    async fn call(&self, _: Request) -> Result<Response> {
        let now = self.clock.now();
        // A key of a replica whose clock is ahead is new, not broken.
        let age = |made| Duration::try_from(now.duration_since(made)).unwrap_or_default();
        let made = self.key_ages.newest_made();
        self.metrics.keys_are_old(made.into_iter().map(|(kind, made)| (kind.as_str(), age(made))));
        Ok(Response::builder().content_type(CONTENT_TYPE).body(self.metrics.text()))
    }
}

/// What became of a flow, in the words of the API.
pub(super) fn outcome<T>(done: &Result<T, Problem>) -> &'static str {
    done.as_ref().map_or_else(Problem::name, |_| "success")
}
