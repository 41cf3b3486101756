use std::time::Duration;

use crate::crypto::pool::PoolWatch;
use crate::store::watched::StoreWatch;
use crate::telemetry::metrics::Metrics;

impl PoolWatch for Metrics {
    fn waiting(&self, number: usize) {
        self.passwords_waiting(number);
    }

    fn begins_after(&self, wait: Duration) {
        self.password_waited(wait);
    }
}

impl StoreWatch for Metrics {
    fn took(&self, operation: &'static str, time: Duration) {
        self.store_took(operation, time);
    }
}
