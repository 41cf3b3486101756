use async_trait::async_trait;
use futures_util::{FutureExt as _, TryStreamExt as _};
use jiff::Timestamp;
use mongodb::bson::{DateTime, Document, Uuid, doc};
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::administrators::{LastAdministrator, Promise};
use super::connect::{MongoStore, violated_index};
use super::migrations::{EMAIL, USERNAME};
use super::outbox::{append, append_counted};
use super::page::{behind, newest_first};
use super::revocations::revoke;
use super::sessions::remove_all;
use crate::domain::email::Email;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::page::Place;
use crate::domain::password::PasswordHash;
use crate::domain::ports::{Changed, StoreError, Users, WriteUserError};
use crate::domain::revocation::Revoked;
use crate::domain::role::RoleName;
use crate::domain::user::{Account, Cut, User, UserChange, UserQuery, UserStatus};
use crate::domain::username::{LoginName, Username};
use crate::store::record::{moment, parsed, stored, wanted};

/// A document of the collection `users`.
#[derive(Serialize, Deserialize)]
pub(super) struct UserRecord {
    pub(super) _id: Uuid,
    email: String,
    email_verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    pub(super) roles: Vec<String>,
    status: String,
    pub(super) epoch: i64,
    password: PasswordRecord,
    created_at: DateTime,
    updated_at: DateTime,
    /// The number of his last event.
    #[serde(default)]
    pub(super) events: i64,
}

#[derive(Serialize, Deserialize)]
struct PasswordRecord {
    scheme: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pepper: Option<String>,
    hash: String,
}

#[async_trait]
impl Users for MongoStore {
    async fn insert(&self, account: &Account, report: &Report) -> Result<(), WriteUserError> {
        let events = stored(report.events.len() as u64);
        let record = UserRecord { events, ..UserRecord::from(account) };
        let (store, work) = (self.clone(), (account.user.id, record, report.clone()));
        self.bounded(async move {
            let insert = store
                .tell(work, |t, store, (id, record, report)| insert(t, store, *id, record, report).boxed());
            refused(insert.await)
        })
        .await?
    }

    async fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.account(id).await?.map(|account| account.user))
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        let users = self.users.clone();
        let found =
            self.bounded(async move { users.find_one(doc! { "_id": bson_id(id.uuid()) }).await }).await?;
        found.map(Account::try_from).transpose()
    }

    async fn by_login(&self, login: &LoginName) -> Result<Option<Account>, StoreError> {
        let filter = match login {
            LoginName::Email(email) => doc! { "email": email.as_str() },
            LoginName::Username(username) => doc! { "username": username.as_str() },
        };
        let users = self.users.clone();
        let found = self.bounded(async move { users.find_one(filter).await }).await?;
        found.map(Account::try_from).transpose()
    }

    async fn accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Account>, StoreError> {
        let behind = after.map_or_else(Document::new, |id| doc! { "_id": { "$gt": bson_id(id.uuid()) } });
        let users = self.users.clone();
        let find = async move {
            let found = users.find(behind).sort(doc! { "_id": 1 }).limit(limit.into()).await?;
            found.try_collect::<Vec<UserRecord>>().await
        };
        self.bounded(find).await?.into_iter().map(Account::try_from).collect()
    }

    async fn replace_hash(
        &self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, StoreError> {
        let filter = doc! { "_id": bson_id(id.uuid()), "password.hash": old.bcrypt() };
        let update = doc! { "$set": { "password": password(new) } };
        let users = self.users.clone();
        let replaced = self.bounded(async move { users.update_one(filter, update).await }).await?;
        Ok(replaced.matched_count == 1)
    }

    async fn change(
        &self,
        id: UserId,
        epoch: u64,
        change: &UserChange,
        report: &Report,
    ) -> Result<Changed, WriteUserError> {
        let (store, work) = (self.clone(), ((id, epoch), change.clone(), report.clone()));
        self.bounded(async move {
            let change = store.tell_and_revoke(work, |t, store, (user, change, report)| {
                change_user(t, store, *user, change, report).boxed()
            });
            refused(change.await)
        })
        .await?
    }

    async fn list(
        &self,
        query: &UserQuery,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let (users, mut filter) = (self.users.clone(), filter(query));
        filter.extend(behind("created_at", after));
        let find = async move {
            let found = users.find(filter).sort(newest_first("created_at")).limit(limit.into()).await?;
            found.try_collect::<Vec<UserRecord>>().await
        };
        let found = self.bounded(find).await?;
        found.into_iter().map(|record| Ok(Account::try_from(record)?.user)).collect()
    }

    async fn delete(&self, id: UserId, epoch: u64, report: &Report) -> Result<Changed, WriteUserError> {
        let (store, work) = (self.clone(), ((id, epoch), report.clone()));
        self.bounded(async move {
            let delete = store
                .tell_and_revoke(work, |t, store, (user, report)| delete(t, store, *user, report).boxed());
            refused(delete.await)
        })
        .await?
    }
}

async fn insert(
    transaction: &mut ClientSession,
    store: &MongoStore,
    id: UserId,
    record: &UserRecord,
    report: &Report,
) -> error::Result<()> {
    store.users.insert_one(record).session(&mut *transaction).await?;
    append_counted(transaction, store, (id, record.events), report).await
}

pub(super) async fn change_user(
    transaction: &mut ClientSession,
    store: &MongoStore,
    (id, epoch): (UserId, u64),
    change: &UserChange,
    report: &Report,
) -> error::Result<Changed> {
    let promise = if change.may_disempower() { Some(Promise::make(transaction, store).await?) } else { None };
    let (cut, filter) = (change.cuts(), doc! { "_id": bson_id(id.uuid()), "epoch": stored(epoch) });
    let raised = i64::from(cut > Cut::Nothing);
    let update = store.users.update_one(filter, update(change, raised, report.at));
    if update.session(&mut *transaction).await?.matched_count == 0 {
        return Ok(Changed::Superseded);
    }
    if let Some(promise) = promise {
        promise.keep(transaction, store).await?;
    }
    let ended = if cut == Cut::Sessions { remove_all(transaction, store, id).await? } else { Vec::new() };
    append(transaction, store, id, &report.ending(ended)).await?;
    if cut > Cut::Nothing {
        revoke(transaction, store, &Revoked::User { user: id, epoch: epoch.saturating_add(1) }, report.at)
            .await?;
    }
    Ok(Changed::Yes)
}

async fn delete(
    transaction: &mut ClientSession,
    store: &MongoStore,
    (id, epoch): (UserId, u64),
    report: &Report,
) -> error::Result<Changed> {
    let promise = Promise::make(transaction, store).await?;
    let filter = doc! { "_id": bson_id(id.uuid()), "epoch": stored(epoch) };
    let Some(user) = store.users.find_one_and_delete(filter).session(&mut *transaction).await? else {
        return Ok(Changed::Superseded);
    };
    promise.keep(transaction, store).await?;
    let report = report.ending(remove_all(transaction, store, id).await?);
    let events = user.events + stored(report.events.len() as u64);
    append_counted(transaction, store, (id, events), &report).await?;
    let his = doc! { "user": bson_id(id.uuid()) };
    store.logins.delete_many(his).session(&mut *transaction).await?;
    revoke(transaction, store, &Revoked::User { user: id, epoch: epoch.saturating_add(1) }, report.at)
        .await?;
    Ok(Changed::Yes)
}

/// Whom a query is about. The text is a value, and compared as it is: nothing in it has a meaning for the database.
fn filter(query: &UserQuery) -> Document {
    let mut filter = Document::new();
    if let Some(role) = &query.role {
        filter.insert("roles", role.as_str());
    }
    if let Some(status) = query.status {
        filter.insert("status", status.as_str());
    }
    if let Some(text) = &query.text {
        let text = doc! { "$literal": text.as_str() };
        let holds = |field| doc! { "$gte": [{ "$indexOfBytes": [field, text.clone()] }, 0] };
        filter.insert("$expr", doc! { "$or": [holds("$email"), holds("$username")] });
    }
    filter
}

/// What a change sets and removes; the epoch rises by `raised`.
fn update(change: &UserChange, raised: i64, now: Timestamp) -> Document {
    let mut set = doc! { "updated_at": DateTime::from_millis(now.as_millisecond()) };
    let mut unset = Document::new();
    if let Some(hash) = &change.password {
        set.insert("password", password(hash));
    }
    if let Some(email) = &change.email {
        set.insert("email", email.as_str());
    }
    if let Some(verified) = change.email_verified {
        set.insert("email_verified", verified);
    }
    if let Some(roles) = &change.roles {
        set.insert("roles", roles.iter().map(RoleName::as_str).collect::<Vec<_>>());
    }
    if let Some(status) = change.status {
        set.insert("status", status.as_str());
    }
    match &change.username {
        Some(Some(username)) => drop(set.insert("username", username.as_str())),
        Some(None) => drop(unset.insert("username", "")),
        None => {}
    }
    let mut update = doc! { "$set": set, "$inc": { "epoch": raised } };
    if !unset.is_empty() {
        update.insert("$unset", unset);
    }
    update
}

fn password(hash: &PasswordHash) -> Document {
    let mut password = doc! { "scheme": hash.scheme(), "hash": hash.bcrypt() };
    if let Some(pepper) = hash.pepper() {
        password.insert("pepper", pepper.as_str());
    }
    password
}

/// An id as the database keeps it.
pub(super) fn bson_id(id: uuid::Uuid) -> Uuid {
    Uuid::from_bytes(id.into_bytes())
}

/// An id as the domain knows it.
pub(super) fn domain_id(id: Uuid) -> uuid::Uuid {
    uuid::Uuid::from_bytes(id.bytes())
}

impl From<&Account> for UserRecord {
    fn from(Account { user, password }: &Account) -> Self {
        Self {
            _id: bson_id(user.id.uuid()),
            email: user.email.as_str().to_owned(),
            email_verified: user.email_verified,
            username: user.username.as_ref().map(ToString::to_string),
            roles: user.roles.iter().map(ToString::to_string).collect(),
            status: user.status.as_str().to_owned(),
            epoch: stored(user.epoch),
            password: PasswordRecord {
                scheme: password.scheme().to_owned(),
                pepper: password.pepper().map(ToString::to_string),
                hash: password.bcrypt().to_owned(),
            },
            created_at: DateTime::from_millis(user.created_at.as_millisecond()),
            updated_at: DateTime::from_millis(user.updated_at.as_millisecond()),
            events: 0,
        }
    }
}

impl TryFrom<UserRecord> for Account {
    type Error = StoreError;

    fn try_from(record: UserRecord) -> Result<Self, StoreError> {
        let username = record.username.map(|name| Username::parse(&name)).transpose();
        let roles = record.roles.iter().map(|name| RoleName::parse(name)).collect();
        let user = User {
            id: UserId::from(domain_id(record._id)),
            email: parsed(Email::parse(&record.email), "a user's e-mail address")?,
            email_verified: record.email_verified,
            username: parsed(username, "a user's name")?,
            roles: parsed(roles, "a user's role")?,
            status: wanted(UserStatus::parse(&record.status), "a user's status")?,
            epoch: parsed(u64::try_from(record.epoch), "a user's epoch")?,
            created_at: moment(record.created_at.timestamp_millis(), "a user's created_at")?,
            updated_at: moment(record.updated_at.timestamp_millis(), "a user's updated_at")?,
        };
        let PasswordRecord { scheme, pepper, hash } = record.password;
        let hash = PasswordHash::from_parts(&scheme, pepper, hash);
        Ok(Self { user, password: wanted(hash, "a password's scheme")? })
    }
}

/// Tells what may not be from all other failures.
pub(super) fn refused<T>(done: error::Result<T>) -> error::Result<Result<T, WriteUserError>> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(error) => taken(&error).map(Err).ok_or(error),
    }
}

fn taken(error: &mongodb::error::Error) -> Option<WriteUserError> {
    if error.get_custom::<LastAdministrator>().is_some() {
        return Some(WriteUserError::LastAdministrator);
    }
    match violated_index(error)? {
        EMAIL => Some(WriteUserError::EmailTaken),
        USERNAME => Some(WriteUserError::UsernameTaken),
        _ => None,
    }
}
