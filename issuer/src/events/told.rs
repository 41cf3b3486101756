use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::envelope::{CONTENT_TYPE, cloud_event};
use super::load::{Load, Message, RelayWatch, age, word};
use crate::domain::outbox::fate::{Fate, Outcome};
use crate::domain::outbox::{Channel, OutboxEntry};

/// Where everything is published that programs may hear.
const EVENTS: &str = "auth.events";

/// Events, for everybody who listens.
pub struct Told {
    /// Who they are from: the issuer's URL.
    pub source: String,
    /// Types that somebody must have a queue for.
    pub required: BTreeSet<String>,
    /// Who hears what became of them.
    pub watch: Arc<dyn RelayWatch>,
}

#[async_trait]
impl Load for Told {
    fn channel(&self) -> Channel {
        Channel::Events
    }

    fn exchange(&self) -> &'static str {
        EVENTS
    }

    async fn pack(&self, entry: &OutboxEntry, now: Timestamp) -> Result<Message, Fate> {
        match cloud_event(entry, &self.source) {
            Ok(body) => Ok(Message {
                id: entry.id,
                routing_key: entry.kind.clone(),
                content_type: CONTENT_TYPE,
                body,
            }),
            // What cannot even be written down is the entry's own trouble.
            Err(_) => {
                let reason = "it does not hold JSON".to_owned();
                Err(self.judge(entry, Outcome::Refused { reason }, now))
            }
        }
    }

    fn judge(&self, entry: &OutboxEntry, outcome: Outcome, now: Timestamp) -> Fate {
        self.watch.tried(word(&outcome), age(entry, now));
        let fate = Fate::of_event(outcome, self.required.contains(&entry.kind), entry.attempts, now);
        if let Fate::Parked { reason } = &fate {
            let (id, user, kind) = (entry.id, entry.user, &entry.kind);
            tracing::error!(%id, %user, kind, reason, "an event is parked; see `doorward-issuer outbox status`");
        }
        fate
    }
}
