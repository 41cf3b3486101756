use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::bson::{DateTime, Uuid};
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::connect::MongoStore;
use super::page::{behind, newest_first};
use super::sessions::time;
use super::users::{bson_id, domain_id};
use crate::domain::alert::KeptAlert;
use crate::domain::ids::UserId;
use crate::domain::outbox::OutboxEntry;
use crate::domain::page::Place;
use crate::domain::ports::{Alerts, StoreError};
use crate::store::record::{moment, parsed};

/// A document of the collection `alerts`. A TTL index removes it when it is old.
#[derive(Serialize, Deserialize)]
pub(super) struct AlertRecord {
    _id: Uuid,
    user: Uuid,
    at: DateTime,
    request_id: String,
    data: String,
}

#[async_trait]
impl Alerts for MongoStore {
    async fn raised(&self, after: Option<Place>, limit: u32) -> Result<Vec<KeptAlert>, StoreError> {
        let (alerts, filter) = (self.alerts.clone(), behind("at", after));
        let find = async move {
            let found = alerts.find(filter).sort(newest_first("at")).limit(limit.into()).await?;
            found.try_collect::<Vec<AlertRecord>>().await
        };
        self.bounded(find).await?.into_iter().map(KeptAlert::try_from).collect()
    }
}

/// Keeps those of the events that are alerts, for administrators.
pub(super) async fn keep(
    transaction: &mut ClientSession,
    store: &MongoStore,
    events: &[OutboxEntry],
) -> error::Result<()> {
    let alerts: Vec<_> = events.iter().filter(|event| event.is_alert()).map(AlertRecord::from).collect();
    if alerts.is_empty() {
        return Ok(());
    }
    store.alerts.insert_many(alerts).session(transaction).await.map(drop)
}

impl From<&OutboxEntry> for AlertRecord {
    fn from(event: &OutboxEntry) -> Self {
        Self {
            _id: bson_id(event.id),
            user: bson_id(event.user.uuid()),
            at: time(event.at),
            request_id: event.request_id.clone(),
            data: event.data.clone(),
        }
    }
}

impl TryFrom<AlertRecord> for KeptAlert {
    type Error = StoreError;

    fn try_from(record: AlertRecord) -> Result<Self, StoreError> {
        let (kind, details) = parsed(Self::read_data(&record.data), "an alert")?;
        Ok(Self {
            id: domain_id(record._id),
            at: moment(record.at.timestamp_millis(), "an alert's time")?,
            user: UserId::from(domain_id(record.user)),
            request_id: record.request_id,
            kind,
            details,
        })
    }
}
