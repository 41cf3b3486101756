//! The outbox as a collection. What a flow writes is in [`append`]; the rest is for whoever sends it.

/// Claiming what is due, and writing what became of it.
mod relay;
/// What an operator sees of it and does about it.
mod upkeep;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::{DateTime, Document, Uuid, doc};
use mongodb::options::ReturnDocument;
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::audit::record;
use super::connect::MongoStore;
use super::letters::issue;
use super::users::{bson_id, domain_id};
use super::{alerts, logins};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::outbox::fate::Fate;
use crate::domain::outbox::{
    Channel, Claim, Claimed, EntryState, OutboxEntry, OutboxStatus, Replay, Stored, Troubled,
};
use crate::domain::ports::{Outbox, StoreError};
use crate::store::record::{moment, parsed, stored, wanted};

/// A document of the collection `outbox`.
#[derive(Serialize, Deserialize)]
pub(super) struct EntryRecord {
    _id: Uuid,
    channel: String,
    state: String,
    user: Uuid,
    sequence: i64,
    kind: String,
    at: DateTime,
    request_id: String,
    data: String,
    /// When to try it; once it has left, when that was.
    due: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<Uuid>,
    attempts: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[async_trait]
impl Outbox for MongoStore {
    async fn of_user(&self, user: UserId) -> Result<Vec<OutboxEntry>, StoreError> {
        let states = ["waiting", "done", "unroutable", "parked"];
        let filter = doc! { "channel": "events", "state": { "$in": states }, "user": bson_id(user.uuid()) };
        let outbox = self.outbox.clone();
        let find = async move {
            let found = outbox.find(filter).sort(doc! { "sequence": 1 }).await?;
            found.try_collect::<Vec<EntryRecord>>().await
        };
        self.bounded(find).await?.into_iter().map(OutboxEntry::try_from).collect()
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let (outbox, claim) = (self.outbox.clone(), *claim);
        let (users, found) = self.bounded(async move { relay::claim(&outbox, &claim).await }).await?;
        let users = users.into_iter().map(|user| UserId::from(domain_id(user))).collect();
        let found = found.into_iter().map(Stored::try_from).collect::<Result<_, _>>()?;
        Ok(Claimed::line_up(claim, users, found))
    }

    async fn settle(
        &self,
        claimed: &Claimed,
        fates: &[(uuid::Uuid, Fate)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (outbox, claim, users) = (self.outbox.clone(), claimed.claim, claimed.users.clone());
        let fates: Vec<_> = claimed.held_up.iter().chain(fates).cloned().collect();
        self.bounded(async move { relay::settle(&outbox, (claim, &users), &fates, now).await }).await
    }

    async fn sweep(&self, now: Timestamp, unheard: bool) -> Result<(), StoreError> {
        let outbox = self.outbox.clone();
        self.bounded(async move { upkeep::sweep(&outbox, now, unheard).await }).await
    }

    async fn status(&self, channel: Channel) -> Result<OutboxStatus, StoreError> {
        let outbox = self.outbox.clone();
        self.bounded(async move { upkeep::status(&outbox, channel).await }).await?
    }

    async fn troubled(&self, channel: Channel, limit: u32) -> Result<Vec<Troubled>, StoreError> {
        let outbox = self.outbox.clone();
        let found = self.bounded(async move { upkeep::troubled(&outbox, channel, limit).await }).await?;
        found.into_iter().map(Troubled::try_from).collect()
    }

    async fn replay(&self, which: &Replay, now: Timestamp) -> Result<u64, StoreError> {
        let (outbox, which) = (self.outbox.clone(), *which);
        let replayed = self.bounded(async move { upkeep::replay(&outbox, &which, now).await }).await;
        self.news.spread();
        replayed
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.follow()
    }
}

/// Writes what the report tells about the user, who has to be there still, and what it keeps on record.
pub(super) async fn append(
    transaction: &mut ClientSession,
    store: &MongoStore,
    user: UserId,
    report: &Report,
) -> error::Result<()> {
    append_if_there(transaction, store, user, report).await.map(drop)
}

/// The same, and says whether the user is there; if not, nothing was written.
pub(super) async fn append_if_there(
    transaction: &mut ClientSession,
    store: &MongoStore,
    user: UserId,
    report: &Report,
) -> error::Result<bool> {
    if report.is_silent() {
        record(transaction, store, report).await?;
        return Ok(true);
    }
    let update = doc! { "$inc": { "events": stored(report.events.len() as u64) } };
    let raise = store.users.find_one_and_update(doc! { "_id": bson_id(user.uuid()) }, update);
    let raised = raise.return_document(ReturnDocument::After).session(&mut *transaction).await?;
    match raised {
        Some(raised) => {
            append_counted(transaction, store, (user, raised.events), report).await.map(|()| true)
        }
        None => Ok(false),
    }
}

/// The same for a user whose last event already has the number `count`, these included.
pub(super) async fn append_counted(
    transaction: &mut ClientSession,
    store: &MongoStore,
    (user, count): (UserId, i64),
    report: &Report,
) -> error::Result<()> {
    record(transaction, store, report).await?;
    let entries = report.outbox(user, u64::try_from(count).unwrap_or_default());
    if !entries.is_empty() {
        if let Some(entry) = &report.login {
            logins::insert(transaction, store, Some(user), entry).await?;
        }
        alerts::keep(transaction, store, &entries).await?;
        let records = entries.into_iter().map(EntryRecord::from);
        store.outbox.insert_many(records).session(&mut *transaction).await?;
    }
    match &report.token {
        Some(token) => issue(transaction, store, token).await,
        None => Ok(()),
    }
}

/// A moment as the database keeps it.
fn time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

/// What waits in a channel.
fn waiting_in(channel: Channel) -> Document {
    doc! { "channel": channel.as_str(), "state": EntryState::Waiting.as_str() }
}

impl From<OutboxEntry> for EntryRecord {
    fn from(entry: OutboxEntry) -> Self {
        Self {
            _id: bson_id(entry.id),
            channel: entry.channel.as_str().to_owned(),
            state: EntryState::Waiting.as_str().to_owned(),
            user: bson_id(entry.user.uuid()),
            sequence: stored(entry.sequence),
            kind: entry.kind,
            at: time(entry.at),
            request_id: entry.request_id,
            data: entry.data,
            due: time(entry.at),
            claim: None,
            attempts: 0,
            reason: None,
        }
    }
}

impl TryFrom<EntryRecord> for OutboxEntry {
    type Error = StoreError;

    fn try_from(record: EntryRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: domain_id(record._id),
            channel: wanted(Channel::parse(&record.channel), "an entry's channel")?,
            user: UserId::from(domain_id(record.user)),
            sequence: parsed(u64::try_from(record.sequence), "an entry's sequence")?,
            kind: record.kind,
            at: moment(record.at.timestamp_millis(), "an entry's time")?,
            request_id: record.request_id,
            data: record.data,
            attempts: parsed(u32::try_from(record.attempts), "an entry's attempts")?,
        })
    }
}

impl TryFrom<EntryRecord> for Stored {
    type Error = StoreError;

    fn try_from(record: EntryRecord) -> Result<Self, StoreError> {
        let state = wanted(EntryState::parse(&record.state), "an entry's state")?;
        let due = moment(record.due.timestamp_millis(), "an entry's due time")?;
        let claim = record.claim.map(domain_id);
        Ok(Self { entry: record.try_into()?, state, due, claim })
    }
}

impl TryFrom<EntryRecord> for Troubled {
    type Error = StoreError;

    fn try_from(mut record: EntryRecord) -> Result<Self, StoreError> {
        let state = wanted(EntryState::parse(&record.state), "an entry's state")?;
        let reason = record.reason.take().unwrap_or_default();
        Ok(Self { entry: record.try_into()?, state, reason })
    }
}
