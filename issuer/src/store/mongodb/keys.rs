use async_trait::async_trait;
use futures_util::{FutureExt as _, TryStreamExt as _};
use jiff::Timestamp;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, doc};
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::connect::MongoStore;
use super::revocations::revoke;
use crate::domain::keys::{KeyEntry, KeyId, KeyKind, RingChange, SealedKey, SealedRing};
use crate::domain::ports::{Keys, RingChanged, StoreError};
use crate::store::record::{KeyState, moment, parsed, stored, wanted};

/// A document of the collection `keys`.
#[derive(Serialize, Deserialize)]
pub(super) struct KeyRecord {
    _id: String,
    kind: String,
    number: i64,
    created_at: DateTime,
    /// Keys that were made before there was such a date served from the start.
    #[serde(default)]
    active_from: Option<DateTime>,
    state: String,
    sealed: Binary,
}

/// The counter of the ring's versions. Every change of the ring raises it on condition of the version it was planned on; of
/// two that meet, one cannot.
pub(super) const RING: &str = "key_ring";

#[async_trait]
impl Keys for MongoStore {
    async fn load(&self) -> Result<SealedRing, StoreError> {
        let (counters, keys) = (self.counters.clone(), self.keys.clone());
        let (version, keys): (_, Vec<KeyRecord>) = self
            .bounded(async move {
                // The version first: what changes between the two reads makes the keys newer than it says, never older.
                let version = counters.find_one(doc! { "_id": RING }).await?;
                Ok((version, keys.find(doc! {}).await?.try_collect().await?))
            })
            .await?;
        let version = version.map_or(Ok(0), |ring| u64::try_from(ring.value));
        let keys = keys.into_iter().map(SealedKey::try_from).collect::<Result<_, _>>()?;
        Ok(SealedRing { version: parsed(version, "the key ring's version")?, keys })
    }

    async fn change(&self, seen: u64, change: &RingChange, at: Timestamp) -> Result<RingChanged, StoreError> {
        let (store, context) = (self.clone(), (seen, change.clone(), at));
        let work = async move {
            store
                .tell_and_revoke(context, |transaction, store, (seen, change, at)| {
                    change_ring(transaction, store, *seen, change, *at).boxed()
                })
                .await
        };
        self.bounded(work).await
    }
}

async fn change_ring(
    transaction: &mut ClientSession,
    store: &MongoStore,
    seen: u64,
    change: &RingChange,
    at: Timestamp,
) -> error::Result<RingChanged> {
    let seen = doc! { "_id": RING, "value": stored(seen) };
    let move_on = store.counters.update_one(seen, doc! { "$inc": { "value": 1_i64 } });
    if move_on.session(&mut *transaction).await?.matched_count == 0 {
        return Ok(RingChanged::Superseded);
    }
    let keys = &store.keys;
    let one = |id: &KeyId| doc! { "_id": id.as_str() };
    if !change.add.is_empty() {
        keys.insert_many(change.add.iter().map(KeyRecord::from)).session(&mut *transaction).await?;
    }
    for id in &change.remove {
        keys.delete_one(one(id)).session(&mut *transaction).await?;
    }
    for (id, sealed) in &change.reseal {
        let reseal = doc! { "$set": { "sealed": binary(sealed) } };
        keys.update_one(one(id), reseal).session(&mut *transaction).await?;
    }
    for key in &change.revoke {
        let revoked = doc! { "$set": { "state": KeyState::Revoked.as_str() } };
        keys.update_one(one(&key.id), revoked).session(&mut *transaction).await?;
    }
    for revoked in change.revocations() {
        revoke(transaction, store, &revoked, at).await?;
    }
    Ok(RingChanged::Yes)
}

fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

impl From<&SealedKey> for KeyRecord {
    fn from(SealedKey { entry, sealed }: &SealedKey) -> Self {
        Self {
            _id: entry.id.to_string(),
            kind: entry.kind.as_str().to_owned(),
            number: entry.number.into(),
            created_at: DateTime::from_millis(entry.created_at.as_millisecond()),
            active_from: Some(DateTime::from_millis(entry.active_from.as_millisecond())),
            state: KeyState::of(entry).as_str().to_owned(),
            sealed: binary(sealed),
        }
    }
}

impl TryFrom<KeyRecord> for SealedKey {
    type Error = StoreError;

    fn try_from(record: KeyRecord) -> Result<Self, StoreError> {
        let active_from = record.active_from.unwrap_or(record.created_at);
        let state = wanted(KeyState::parse(&record.state), "a key's state")?;
        let entry = KeyEntry {
            id: KeyId::new(record._id),
            kind: wanted(KeyKind::parse(&record.kind), "a key's kind")?,
            number: parsed(u32::try_from(record.number), "a key's number")?,
            created_at: moment(record.created_at.timestamp_millis(), "a key's created_at")?,
            active_from: moment(active_from.timestamp_millis(), "a key's active_from")?,
            revoked: state == KeyState::Revoked,
        };
        Ok(Self { entry, sealed: record.sealed.bytes })
    }
}
