use async_trait::async_trait;
use futures_util::{FutureExt as _, TryStreamExt as _};
use mongodb::bson::{DateTime, Uuid, doc};
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::connect::MongoStore;
use super::outbox::append_if_there;
use super::page::{behind, newest_first};
use super::sessions::time;
use super::users::{bson_id, domain_id};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::login_history::{Acquaintance, LoginEntry, LoginFailure};
use crate::domain::page::Place;
use crate::domain::ports::{LoginHistory, StoreError};
use crate::store::record::{moment, parsed, wanted};

/// A document of the collection `logins`. A TTL index removes it when it is old. Without a user: somebody tried to be one
/// who does not exist. Without a failure: it succeeded, and then it has a device.
#[derive(Serialize, Deserialize)]
pub(super) struct LoginRecord {
    _id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Uuid>,
    at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

#[async_trait]
impl LoginHistory for MongoStore {
    async fn failed(&self, user: Option<UserId>, report: &Report) -> Result<(), StoreError> {
        let (store, work) = (self.clone(), (user, report.clone()));
        self.bounded(async move {
            store.tell(work, |t, store, (user, report)| failed(t, store, *user, report).boxed()).await
        })
        .await
    }

    async fn logins(
        &self,
        user: UserId,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<LoginEntry>, StoreError> {
        let mut filter = doc! { "user": bson_id(user.uuid()) };
        filter.extend(behind("at", after));
        let logins = self.logins.clone();
        let find = async move {
            let found = logins.find(filter).sort(newest_first("at")).limit(limit.into()).await?;
            found.try_collect::<Vec<LoginRecord>>().await
        };
        self.bounded(find).await?.into_iter().map(LoginEntry::try_from).collect()
    }

    async fn acquaintance(&self, user: UserId, device: &str) -> Result<Acquaintance, StoreError> {
        let logins = self.logins.clone();
        let with_any = doc! { "user": bson_id(user.uuid()), "device": { "$exists": true } };
        let with_it = doc! { "user": bson_id(user.uuid()), "device": device };
        self.bounded(async move {
            if logins.find_one(with_it).await?.is_some() {
                return Ok(Acquaintance::of(true, true));
            }
            Ok(Acquaintance::of(logins.find_one(with_any).await?.is_some(), false))
        })
        .await
    }
}

/// For an unknown user the same steps are taken, and find nobody; only what is told to others of nobody is not written.
async fn failed(
    transaction: &mut ClientSession,
    store: &MongoStore,
    user: Option<UserId>,
    report: &Report,
) -> error::Result<()> {
    let somebody = user.unwrap_or(UserId::from(uuid::Uuid::nil()));
    if !append_if_there(transaction, store, somebody, report).await?
        && let Some(entry) = &report.login
    {
        insert(transaction, store, None, entry).await?;
    }
    Ok(())
}

/// Remembers a login.
pub(super) async fn insert(
    transaction: &mut ClientSession,
    store: &MongoStore,
    user: Option<UserId>,
    entry: &LoginEntry,
) -> error::Result<()> {
    let record = LoginRecord {
        _id: bson_id(entry.id),
        user: user.map(|user| bson_id(user.uuid())),
        at: time(entry.at),
        address: entry.address.map(|address| address.to_string()),
        user_agent: entry.user_agent.clone(),
        failure: entry.failure.map(|failure| failure.as_str().to_owned()),
        device: entry.device(),
    };
    store.logins.insert_one(record).session(transaction).await.map(drop)
}

impl TryFrom<LoginRecord> for LoginEntry {
    type Error = StoreError;

    fn try_from(record: LoginRecord) -> Result<Self, StoreError> {
        let failure = record.failure.map(|name| wanted(LoginFailure::parse(&name), "why a login failed"));
        Ok(Self {
            id: domain_id(record._id),
            at: moment(record.at.timestamp_millis(), "a login's time")?,
            address: parsed(record.address.map(|text| text.parse()).transpose(), "a login's address")?,
            user_agent: record.user_agent,
            failure: failure.transpose()?,
        })
    }
}
