use async_trait::async_trait;
use futures_util::{FutureExt as _, TryStreamExt as _};
use jiff::Timestamp;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Uuid, doc};
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::connect::{MongoStore, bounded};
use super::users::{bson_id, domain_id};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::ports::{Exchanged, Opened, Sessions, StoreError};
use crate::domain::session::{Session, SessionCursor};
use crate::domain::token::TokenFingerprint;
use crate::domain::user::UserStatus;
use crate::store::record::{moment, parsed, stored};

/// A document of the collection `sessions`. Those that have run out are removed by a TTL index.
#[derive(Serialize, Deserialize)]
pub(super) struct SessionRecord {
    _id: Uuid,
    user: Uuid,
    epoch: i64,
    generation: i64,
    refresh_fingerprint: Binary,
    created_at: DateTime,
    last_used_at: DateTime,
    expires_at: DateTime,
    ends_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

#[async_trait]
impl Sessions for MongoStore {
    async fn open(&self, session: &Session) -> Result<Opened, StoreError> {
        let (store, record) = (self.clone(), SessionRecord::from(session));
        bounded(async move {
            let mut transaction = store.client.start_session().await?;
            transaction
                .start_transaction()
                .and_run((store, record), |transaction, (store, record)| {
                    open(transaction, store, record).boxed()
                })
                .await
        })
        .await
    }

    async fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let sessions = self.sessions.clone();
        let found =
            bounded(async move { sessions.find_one(doc! { "_id": bson_id(id.uuid()) }).await }).await?;
        found.map(Session::try_from).transpose()
    }

    async fn exchange(&self, old: &Session, new: &Session) -> Result<Exchanged, StoreError> {
        let old = SessionRecord::from(old);
        let filter = doc! {
            "_id": old._id,
            "generation": old.generation,
            "refresh_fingerprint": old.refresh_fingerprint,
        };
        let new = SessionRecord::from(new);
        let update = doc! { "$set": {
            "generation": new.generation,
            "refresh_fingerprint": new.refresh_fingerprint,
            "last_used_at": new.last_used_at,
            "expires_at": new.expires_at,
        } };
        let sessions = self.sessions.clone();
        // Also an update that finds nothing waits until a majority has what came before it: so whoever lost reads the
        // winner's write.
        let updated = bounded(async move { sessions.update_one(filter, update).await }).await?;
        Ok(if updated.matched_count == 1 { Exchanged::Yes } else { Exchanged::Lost })
    }

    async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        let sessions = self.sessions.clone();
        let filter = doc! { "_id": bson_id(id.uuid()) };
        let ended = bounded(async move { sessions.delete_one(filter).await }).await?;
        Ok(ended.deleted_count == 1)
    }

    async fn end_all(&self, user: UserId) -> Result<(), StoreError> {
        let sessions = self.sessions.clone();
        let filter = doc! { "user": bson_id(user.uuid()) };
        bounded(async move { sessions.delete_many(filter).await }).await.map(drop)
    }

    async fn page(
        &self,
        user: UserId,
        after: Option<SessionCursor>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let mut filter = doc! { "user": bson_id(user.uuid()), "expires_at": { "$gt": time(now) } };
        if let Some(SessionCursor { created_at, id }) = after {
            let behind = doc! { "created_at": time(created_at), "_id": { "$lt": bson_id(id.uuid()) } };
            filter.insert("$or", [doc! { "created_at": { "$lt": time(created_at) } }, behind]);
        }
        let sessions = self.sessions.clone();
        let find = async move {
            let newest_first = doc! { "created_at": -1, "_id": -1 };
            let found = sessions.find(filter).sort(newest_first).limit(limit.into()).await?;
            found.try_collect::<Vec<SessionRecord>>().await
        };
        bounded(find).await?.into_iter().map(Session::try_from).collect()
    }
}

/// Runs again from the start when the transaction meets another one.
async fn open(
    transaction: &mut ClientSession,
    store: &MongoStore,
    record: &SessionRecord,
) -> error::Result<Opened> {
    let filter = doc! { "_id": record.user, "epoch": record.epoch, "status": UserStatus::Active.as_str() };
    // The counter makes this a write in any case. A read alone would not notice a change of the user that is
    // committed at the same time.
    let logged_in = doc! { "$set": { "last_login_at": record.created_at }, "$inc": { "logins": 1_i64 } };
    let found = store.users.update_one(filter, logged_in).session(&mut *transaction).await?;
    if found.matched_count == 0 {
        return Ok(Opened::Superseded);
    }
    store.sessions.insert_one(record).session(transaction).await?;
    Ok(Opened::Yes)
}

fn time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

impl From<&Session> for SessionRecord {
    fn from(session: &Session) -> Self {
        Self {
            _id: bson_id(session.id.uuid()),
            user: bson_id(session.user.uuid()),
            epoch: stored(session.epoch),
            generation: session.generation.into(),
            refresh_fingerprint: Binary {
                subtype: BinarySubtype::Generic,
                bytes: session.refresh_fingerprint.0.to_vec(),
            },
            created_at: time(session.created_at),
            last_used_at: time(session.last_used_at),
            expires_at: time(session.expires_at),
            ends_at: time(session.ends_at),
            address: session.address.map(|address| address.to_string()),
            user_agent: session.user_agent.clone(),
        }
    }
}

impl TryFrom<SessionRecord> for Session {
    type Error = StoreError;

    fn try_from(record: SessionRecord) -> Result<Self, StoreError> {
        let time = |at: DateTime, what| moment(at.timestamp_millis(), what);
        let fingerprint = <[u8; 32]>::try_from(record.refresh_fingerprint.bytes.as_slice());
        Ok(Self {
            id: SessionId::from(domain_id(record._id)),
            user: UserId::from(domain_id(record.user)),
            epoch: parsed(u64::try_from(record.epoch), "a session's epoch")?,
            generation: parsed(u32::try_from(record.generation), "a session's generation")?,
            refresh_fingerprint: TokenFingerprint(parsed(fingerprint, "a session's fingerprint")?),
            created_at: time(record.created_at, "a session's created_at")?,
            last_used_at: time(record.last_used_at, "a session's last_used_at")?,
            expires_at: time(record.expires_at, "a session's expires_at")?,
            ends_at: time(record.ends_at, "a session's ends_at")?,
            address: parsed(record.address.map(|text| text.parse()).transpose(), "a session's address")?,
            user_agent: record.user_agent,
        })
    }
}
