use async_trait::async_trait;
use futures_util::{FutureExt as _, TryStreamExt as _};
use jiff::Timestamp;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Uuid, doc};
use mongodb::options::ReturnDocument;
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::connect::MongoStore;
use super::outbox::{append, append_counted};
use super::page::{behind, newest_first};
use super::revocations::revoke;
use super::roles;
use super::users::{bson_id, domain_id};
use crate::domain::event::Report;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::page::Place;
use crate::domain::ports::{Exchanged, Opened, Sessions, StoreError};
use crate::domain::revocation::Revoked;
use crate::domain::session::{Session, Standing};
use crate::domain::token::TokenFingerprint;
use crate::domain::user::{Account, UserStatus};
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
    async fn open(&self, session: &Session, report: &Report) -> Result<Opened, StoreError> {
        let (store, work) = (self.clone(), (SessionRecord::from(session), report.clone()));
        self.bounded(async move {
            store.tell(work, |t, store, (record, report)| open(t, store, record, report).boxed()).await
        })
        .await
    }

    async fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let sessions = self.sessions.clone();
        let found =
            self.bounded(async move { sessions.find_one(doc! { "_id": bson_id(id.uuid()) }).await }).await?;
        found.map(Session::try_from).transpose()
    }

    async fn standing(&self, id: SessionId) -> Result<Option<Standing>, StoreError> {
        let store = self.clone();
        // Three questions: the server answers one that joins the three later than these together.
        let found = self
            .bounded(async move {
                let session = store.sessions.find_one(doc! { "_id": bson_id(id.uuid()) }).await?;
                let Some(session) = session else { return Ok(None) };
                let user = store.users.find_one(doc! { "_id": session.user }).await?;
                let names = user.as_ref().map(|user| user.roles.as_slice()).unwrap_or_default();
                let owned = roles::find(&store, names).await?;
                Ok(Some((session, user, owned)))
            })
            .await?;
        let Some((session, user, owned)) = found else { return Ok(None) };
        let user = user.map(|record| Ok::<_, StoreError>(Account::try_from(record)?.user)).transpose()?;
        Ok(Some(Standing { session: session.try_into()?, user, permissions: roles::permissions(owned)? }))
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
        let updated = self.bounded(async move { sessions.update_one(filter, update).await }).await?;
        Ok(if updated.matched_count == 1 { Exchanged::Yes } else { Exchanged::Lost })
    }

    async fn end(&self, id: SessionId, report: &Report) -> Result<bool, StoreError> {
        let (store, work) = (self.clone(), (id, report.clone()));
        self.bounded(async move {
            store.tell_and_revoke(work, |t, store, (id, report)| end(t, store, *id, report).boxed()).await
        })
        .await
    }

    async fn end_all(&self, user: UserId, report: &Report) -> Result<bool, StoreError> {
        let (store, work) = (self.clone(), (user, report.clone()));
        self.bounded(async move {
            store
                .tell_and_revoke(work, |t, store, (user, report)| end_all(t, store, *user, report).boxed())
                .await
        })
        .await
    }

    async fn page(
        &self,
        user: UserId,
        after: Option<Place>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let mut filter = doc! { "user": bson_id(user.uuid()), "expires_at": { "$gt": time(now) } };
        filter.extend(behind("created_at", after));
        let sessions = self.sessions.clone();
        let find = async move {
            let found = sessions.find(filter).sort(newest_first("created_at")).limit(limit.into()).await?;
            found.try_collect::<Vec<SessionRecord>>().await
        };
        self.bounded(find).await?.into_iter().map(Session::try_from).collect()
    }
}

async fn open(
    transaction: &mut ClientSession,
    store: &MongoStore,
    record: &SessionRecord,
    report: &Report,
) -> error::Result<Opened> {
    let filter = doc! { "_id": record.user, "epoch": record.epoch, "status": UserStatus::Active.as_str() };
    // The counters make this a write in any case. A read alone would not notice a change of the user that is
    // committed at the same time.
    let logged_in = doc! {
        "$set": { "last_login_at": record.created_at },
        "$inc": { "logins": 1_i64, "events": stored(report.events.len() as u64) },
    };
    let update = store.users.find_one_and_update(filter, logged_in).return_document(ReturnDocument::After);
    let Some(user) = update.session(&mut *transaction).await? else { return Ok(Opened::Superseded) };
    store.sessions.insert_one(record).session(&mut *transaction).await?;
    append_counted(transaction, store, (UserId::from(domain_id(record.user)), user.events), report).await?;
    Ok(Opened::Yes)
}

async fn end(
    transaction: &mut ClientSession,
    store: &MongoStore,
    id: SessionId,
    report: &Report,
) -> error::Result<bool> {
    let filter = doc! { "_id": bson_id(id.uuid()) };
    let ended = store.sessions.find_one_and_delete(filter).session(&mut *transaction).await?;
    let Some(ended) = ended else { return Ok(false) };
    append(transaction, store, UserId::from(domain_id(ended.user)), &report.ending(vec![id])).await?;
    revoke(transaction, store, &Revoked::Session(id), report.at).await?;
    Ok(true)
}

async fn end_all(
    transaction: &mut ClientSession,
    store: &MongoStore,
    user: UserId,
    report: &Report,
) -> error::Result<bool> {
    let (filter, update) = (doc! { "_id": bson_id(user.uuid()) }, doc! { "$inc": { "epoch": 1_i64 } });
    let raise = store.users.find_one_and_update(filter, update).return_document(ReturnDocument::After);
    let Some(raised) = raise.session(&mut *transaction).await? else { return Ok(false) };
    let ended = remove_all(transaction, store, user).await?;
    append(transaction, store, user, &report.ending(ended)).await?;
    let epoch = u64::try_from(raised.epoch).unwrap_or_default();
    revoke(transaction, store, &Revoked::User { user, epoch }, report.at).await?;
    Ok(true)
}

/// Removes the sessions of a user, and says which there were. Whoever calls it tells, and revokes.
pub(super) async fn remove_all(
    transaction: &mut ClientSession,
    store: &MongoStore,
    user: UserId,
) -> error::Result<Vec<SessionId>> {
    let filter = doc! { "user": bson_id(user.uuid()) };
    let mut found = store.sessions.find(filter.clone()).session(&mut *transaction).await?;
    let mut ids = Vec::new();
    while let Some(session) = found.next(&mut *transaction).await.transpose()? {
        ids.push(SessionId::from(domain_id(session._id)));
    }
    store.sessions.delete_many(filter).session(transaction).await?;
    Ok(ids)
}

/// A moment as the database keeps it.
pub(super) fn time(at: Timestamp) -> DateTime {
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
