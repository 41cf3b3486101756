use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::bson::{DateTime, Uuid, doc};
use mongodb::options::ReturnDocument;
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::connect::{MongoStore, bounded};
use super::users::{bson_id, domain_id};
use crate::domain::event::{OutboxEvent, Report};
use crate::domain::ids::UserId;
use crate::domain::ports::{Outbox, StoreError};
use crate::store::record::{moment, parsed, stored};

/// A document of the collection `outbox`.
#[derive(Serialize, Deserialize)]
pub(super) struct EventRecord {
    _id: Uuid,
    user: Uuid,
    sequence: i64,
    kind: String,
    at: DateTime,
    request_id: String,
    data: String,
}

#[async_trait]
impl Outbox for MongoStore {
    async fn of_user(&self, user: UserId) -> Result<Vec<OutboxEvent>, StoreError> {
        let (outbox, filter) = (self.outbox.clone(), doc! { "user": bson_id(user.uuid()) });
        let find = async move {
            let found = outbox.find(filter).sort(doc! { "sequence": 1 }).await?;
            found.try_collect::<Vec<EventRecord>>().await
        };
        bounded(find).await?.into_iter().map(OutboxEvent::try_from).collect()
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.follow()
    }
}

/// Writes what the report tells about the user, who has to be there still.
pub(super) async fn append(
    transaction: &mut ClientSession,
    store: &MongoStore,
    user: UserId,
    report: &Report,
) -> error::Result<()> {
    if report.events.is_empty() {
        return Ok(());
    }
    let update = doc! { "$inc": { "events": stored(report.events.len() as u64) } };
    let raise = store.users.find_one_and_update(doc! { "_id": bson_id(user.uuid()) }, update);
    let raised = raise.return_document(ReturnDocument::After).session(&mut *transaction).await?;
    match raised {
        Some(raised) => append_counted(transaction, store, (user, raised.events), report).await,
        None => Ok(()),
    }
}

/// The same for a user whose last event already has the number `count`, these included.
pub(super) async fn append_counted(
    transaction: &mut ClientSession,
    store: &MongoStore,
    (user, count): (UserId, i64),
    report: &Report,
) -> error::Result<()> {
    let events = report.outbox(user, u64::try_from(count).unwrap_or_default());
    if events.is_empty() {
        return Ok(());
    }
    let records = events.into_iter().map(EventRecord::from);
    store.outbox.insert_many(records).session(transaction).await.map(drop)
}

impl From<OutboxEvent> for EventRecord {
    fn from(event: OutboxEvent) -> Self {
        Self {
            _id: bson_id(event.id),
            user: bson_id(event.user.uuid()),
            sequence: stored(event.sequence),
            kind: event.kind,
            at: DateTime::from_millis(event.at.as_millisecond()),
            request_id: event.request_id,
            data: event.data,
        }
    }
}

impl TryFrom<EventRecord> for OutboxEvent {
    type Error = StoreError;

    fn try_from(record: EventRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: domain_id(record._id),
            user: UserId::from(domain_id(record.user)),
            sequence: parsed(u64::try_from(record.sequence), "an event's sequence")?,
            kind: record.kind,
            at: moment(record.at.timestamp_millis(), "an event's time")?,
            request_id: record.request_id,
            data: record.data,
        })
    }
}
