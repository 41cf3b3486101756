use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::bson::{DateTime, Uuid};
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::connect::MongoStore;
use super::page::{behind, newest_first};
use super::users::{bson_id, domain_id};
use crate::domain::audit::AuditEntry;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::page::Place;
use crate::domain::ports::{Audit, StoreError};
use crate::store::record::{members, moment, parsed, subject};

/// A document of the collection `audit`. `before` and `after` are JSON, as text: what is in them has a meaning for people alone,
/// and no name in them can be one that the database does not like.
#[derive(Serialize, Deserialize)]
pub(super) struct AuditRecord {
    _id: Uuid,
    at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<Uuid>,
    action: String,
    subject_kind: String,
    subject: String,
    before: String,
    after: String,
    request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

#[async_trait]
impl Audit for MongoStore {
    async fn entries(&self, after: Option<Place>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let audit = self.audit.clone();
        let find = async move {
            let found = audit.find(behind("at", after)).sort(newest_first("at")).limit(limit.into()).await?;
            found.try_collect::<Vec<AuditRecord>>().await
        };
        self.bounded(find).await?.into_iter().map(AuditEntry::try_from).collect()
    }
}

/// Keeps on record what an administrator did, if one did it.
pub(super) async fn record(
    transaction: &mut ClientSession,
    store: &MongoStore,
    report: &Report,
) -> error::Result<()> {
    let Some(entry) = &report.audit else { return Ok(()) };
    store.audit.insert_one(AuditRecord::from(entry)).session(transaction).await.map(drop)
}

impl From<&AuditEntry> for AuditRecord {
    fn from(entry: &AuditEntry) -> Self {
        let (kind, name) = entry.subject.parts();
        Self {
            _id: bson_id(entry.id),
            at: DateTime::from_millis(entry.at.as_millisecond()),
            actor: entry.actor.map(|actor| bson_id(actor.uuid())),
            action: entry.action.clone(),
            subject_kind: kind.to_owned(),
            subject: name,
            before: serde_json::json!(entry.before).to_string(),
            after: serde_json::json!(entry.after).to_string(),
            request_id: entry.request_id.clone(),
            address: entry.address.map(|address| address.to_string()),
        }
    }
}

impl TryFrom<AuditRecord> for AuditEntry {
    type Error = StoreError;

    fn try_from(record: AuditRecord) -> Result<Self, StoreError> {
        let address = record.address.map(|text| text.parse()).transpose();
        Ok(Self {
            id: domain_id(record._id),
            at: moment(record.at.timestamp_millis(), "an audit entry's time")?,
            actor: record.actor.map(|actor| UserId::from(domain_id(actor))),
            action: record.action,
            subject: subject(&record.subject_kind, &record.subject)?,
            before: members(&record.before)?,
            after: members(&record.after)?,
            request_id: record.request_id,
            address: parsed(address, "an audit entry's address")?,
        })
    }
}
