use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::{DateTime, Uuid, doc};
use mongodb::options::ReturnDocument;
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::connect::MongoStore;
use super::users::{bson_id, domain_id};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::keys::KeyId;
use crate::domain::ports::{Revocations, StoreError};
use crate::domain::revocation::{Revocation, RevocationPage, Revoked, kept_until};
use crate::store::record::{moment, parsed, stored, wanted};

/// A document of the collection `revocations`. A TTL index removes it when it need not be known any more.
#[derive(Serialize, Deserialize)]
pub(super) struct RevocationRecord {
    /// Its place.
    _id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    until: DateTime,
}

/// A document of the collection `counters`.
#[derive(Serialize, Deserialize)]
pub(super) struct CounterRecord {
    _id: String,
    pub(super) value: i64,
}

/// The counter of places.
pub(super) const PLACES: &str = "revocations";

#[async_trait]
impl Revocations for MongoStore {
    async fn after(&self, after: u64, limit: u32, now: Timestamp) -> Result<RevocationPage, StoreError> {
        let (store, after) = (self.clone(), stored(after));
        let until = DateTime::from_millis(now.as_millisecond());
        let (newest, found) = self
            .bounded(async move {
                // The counter first: what is committed between the two reads is behind it, and comes with the next page.
                let counter = store.counters.find_one(doc! { "_id": PLACES }).await?;
                let filter = doc! { "_id": { "$gt": after }, "until": { "$gt": until } };
                let found =
                    store.revocations.find(filter).sort(doc! { "_id": 1 }).limit(limit.into()).await?;
                Ok((counter.map_or(0, |counter| counter.value), found.try_collect::<Vec<_>>().await?))
            })
            .await?;
        Ok(RevocationPage {
            items: found.into_iter().map(Revocation::try_from).collect::<Result<_, _>>()?,
            newest: parsed(u64::try_from(newest), "the newest revocation")?,
        })
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.follow()
    }
}

/// Adds an entry; the last thing that a transaction does. Whoever raises the counter holds it until he commits, so the
/// entries become visible in the order of their places, and no reader can pass one by.
pub(super) async fn revoke(
    transaction: &mut ClientSession,
    store: &MongoStore,
    revoked: &Revoked,
    at: Timestamp,
) -> error::Result<()> {
    revoke_all(transaction, store, std::slice::from_ref(revoked), at).await
}

/// Adds entries, likewise.
pub(super) async fn revoke_all(
    transaction: &mut ClientSession,
    store: &MongoStore,
    revoked: &[Revoked],
    at: Timestamp,
) -> error::Result<()> {
    if revoked.is_empty() {
        return Ok(());
    }
    let number = stored(revoked.len() as u64);
    let last = doc! { "$max": [{ "$add": ["$value", number] }, at.as_millisecond() + number - 1] };
    let raise = vec![doc! { "$set": { "value": last } }];
    let raise = store.counters.find_one_and_update(doc! { "_id": PLACES }, raise);
    let raised = raise.upsert(true).return_document(ReturnDocument::After).session(&mut *transaction).await?;
    let first = raised.map_or(number, |counter| counter.value) - number + 1;
    let records = (first..).zip(revoked).map(|(place, revoked)| entry(place, revoked, at));
    store.revocations.insert_many(records).session(transaction).await.map(drop)
}

fn entry(place: i64, revoked: &Revoked, at: Timestamp) -> RevocationRecord {
    let mut record = RevocationRecord {
        _id: place,
        session: None,
        user: None,
        epoch: None,
        key: None,
        until: DateTime::from_millis(kept_until(at).as_millisecond()),
    };
    match revoked {
        Revoked::Session(id) => record.session = Some(bson_id(id.uuid())),
        Revoked::User { user, epoch } => {
            record.user = Some(bson_id(user.uuid()));
            record.epoch = Some(stored(*epoch));
        }
        Revoked::Key(id) => record.key = Some(id.as_str().to_owned()),
    }
    record
}

impl TryFrom<RevocationRecord> for Revocation {
    type Error = StoreError;

    fn try_from(record: RevocationRecord) -> Result<Self, StoreError> {
        let revoked = match (record.session, record.user) {
            (Some(session), _) => Revoked::Session(SessionId::from(domain_id(session))),
            (None, Some(user)) => Revoked::User {
                user: UserId::from(domain_id(user)),
                epoch: parsed(u64::try_from(record.epoch.unwrap_or(-1)), "a revocation's epoch")?,
            },
            (None, None) => Revoked::Key(KeyId::new(wanted(record.key, "what a revocation is about")?)),
        };
        Ok(Self {
            seq: parsed(u64::try_from(record._id), "a revocation's place")?,
            revoked,
            until: moment(record.until.timestamp_millis(), "a revocation's end")?,
        })
    }
}
