use std::sync::Arc;
use std::time::Duration;

use crate::crypto::pool::PoolWatch;
use crate::domain::outbox::{Channel, EntryState, OutboxStatus};
use crate::events::keeper::OutboxWatch;
use crate::events::load::RelayWatch;
use crate::mail::sender::MailWatch;
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

impl RelayWatch for Metrics {
    fn tried(&self, outcome: &'static str, age: Duration) {
        self.event_tried(outcome, age);
    }
}

impl OutboxWatch for Metrics {
    fn outbox(&self, channel: Channel, status: &OutboxStatus, age: Duration) {
        let channel = channel.as_str();
        self.outbox_length(channel, EntryState::Waiting.as_str(), status.waiting);
        self.outbox_length(channel, EntryState::Unroutable.as_str(), status.unroutable);
        self.outbox_length(channel, EntryState::Parked.as_str(), status.parked);
        self.outbox_is_old(channel, age);
    }
}

impl StoreWatch for Metrics {
    fn took(&self, operation: &'static str, time: Duration) {
        self.store_took(operation, time);
    }
}

impl MailWatch for Metrics {
    fn tried(&self, outcome: &'static str) {
        self.mail(outcome);
    }
}

/// Counts mails that leave over the broker as those that we send.
pub(super) struct Mailed(pub(super) Arc<Metrics>);

impl RelayWatch for Mailed {
    fn tried(&self, outcome: &'static str, _age: Duration) {
        self.0.mail(outcome);
    }
}
