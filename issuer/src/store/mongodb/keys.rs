use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, doc};
use serde::{Deserialize, Serialize};

use super::connect::{MongoStore, bounded, violated_index};
use crate::domain::keys::{KeyId, KeyKind, KeyState, SealedKey};
use crate::domain::ports::{Keys, StoreError};
use crate::store::record::{moment, parsed, wanted};

/// A document of the collection `keys`.
#[derive(Serialize, Deserialize)]
pub(super) struct KeyRecord {
    _id: String,
    kind: String,
    number: i64,
    created_at: DateTime,
    state: String,
    sealed: Binary,
}

#[async_trait]
impl Keys for MongoStore {
    async fn all(&self) -> Result<Vec<SealedKey>, StoreError> {
        let keys = self.keys.clone();
        let found: Vec<KeyRecord> =
            bounded(async move { keys.find(doc! {}).await?.try_collect().await }).await?;
        found.into_iter().map(SealedKey::try_from).collect()
    }

    async fn insert_if_absent(&self, key: &SealedKey) -> Result<(), StoreError> {
        let (keys, record) = (self.keys.clone(), KeyRecord::from(key));
        bounded(async move {
            match keys.insert_one(record).await {
                Err(error) if violated_index(&error).is_some() => Ok(()),
                inserted => inserted.map(drop),
            }
        })
        .await
    }
}

impl From<&SealedKey> for KeyRecord {
    fn from(key: &SealedKey) -> Self {
        Self {
            _id: key.id.to_string(),
            kind: key.kind.as_str().to_owned(),
            number: key.number.into(),
            created_at: DateTime::from_millis(key.created_at.as_millisecond()),
            state: key.state.as_str().to_owned(),
            sealed: Binary { subtype: BinarySubtype::Generic, bytes: key.sealed.clone() },
        }
    }
}

impl TryFrom<KeyRecord> for SealedKey {
    type Error = StoreError;

    fn try_from(record: KeyRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: KeyId::new(record._id),
            kind: wanted(KeyKind::parse(&record.kind), "a key's kind")?,
            number: parsed(u32::try_from(record.number), "a key's number")?,
            created_at: moment(record.created_at.timestamp_millis(), "a key's created_at")?,
            state: wanted(KeyState::parse(&record.state), "a key's state")?,
            sealed: record.sealed.bytes,
        })
    }
}
