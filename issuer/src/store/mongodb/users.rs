use async_trait::async_trait;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use mongodb::bson::{DateTime, Document, Uuid, doc};
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::connect::{MongoStore, bounded, violated_index};
use super::migrations::{EMAIL, USERNAME};
use crate::domain::email::Email;
use crate::domain::ids::UserId;
use crate::domain::password::PasswordHash;
use crate::domain::ports::{InsertUserError, PasswordChanged, StoreError, Users};
use crate::domain::role::RoleName;
use crate::domain::user::{Account, User, UserStatus};
use crate::domain::username::{LoginName, Username};
use crate::store::record::{moment, parsed, stored, wanted};

/// A document of the collection `users`.
#[derive(Serialize, Deserialize)]
pub(super) struct UserRecord {
    _id: Uuid,
    email: String,
    email_verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    roles: Vec<String>,
    status: String,
    epoch: i64,
    password: PasswordRecord,
    created_at: DateTime,
    updated_at: DateTime,
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
    async fn insert(&self, account: &Account) -> Result<(), InsertUserError> {
        let (users, record) = (self.users.clone(), UserRecord::from(account));
        bounded(async move {
            match users.insert_one(record).await {
                Ok(_) => Ok(Ok(())),
                Err(error) => taken(&error).map(Err).ok_or(error),
            }
        })
        .await?
    }

    async fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.account(id).await?.map(|account| account.user))
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        let users = self.users.clone();
        let found = bounded(async move { users.find_one(doc! { "_id": bson_id(id.uuid()) }).await }).await?;
        found.map(Account::try_from).transpose()
    }

    async fn by_login(&self, login: &LoginName) -> Result<Option<Account>, StoreError> {
        let filter = match login {
            LoginName::Email(email) => doc! { "email": email.as_str() },
            LoginName::Username(username) => doc! { "username": username.as_str() },
        };
        let users = self.users.clone();
        let found = bounded(async move { users.find_one(filter).await }).await?;
        found.map(Account::try_from).transpose()
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
        let replaced = bounded(async move { users.update_one(filter, update).await }).await?;
        Ok(replaced.matched_count == 1)
    }

    async fn change_password(
        &self,
        id: UserId,
        epoch: u64,
        new: &PasswordHash,
        now: Timestamp,
    ) -> Result<PasswordChanged, StoreError> {
        let id = bson_id(id.uuid());
        let filter = doc! { "_id": id, "epoch": stored(epoch), "status": UserStatus::Active.as_str() };
        let updated_at = DateTime::from_millis(now.as_millisecond());
        let update = doc! {
            "$set": { "password": password(new), "updated_at": updated_at },
            "$inc": { "epoch": 1_i64 },
        };
        let store = self.clone();
        bounded(async move {
            let mut transaction = store.client.start_session().await?;
            transaction
                .start_transaction()
                .and_run((store, id, filter, update), |transaction, (store, id, filter, update)| {
                    change_password(transaction, store, *id, filter, update).boxed()
                })
                .await
        })
        .await
    }
}

/// Runs again from the start when the transaction meets another one: a login, or the exchange of a refresh token.
async fn change_password(
    transaction: &mut ClientSession,
    store: &MongoStore,
    id: Uuid,
    filter: &Document,
    update: &Document,
) -> error::Result<PasswordChanged> {
    let users = store.users.update_one(filter.clone(), update.clone());
    if users.session(&mut *transaction).await?.matched_count == 0 {
        return Ok(PasswordChanged::Superseded);
    }
    store.sessions.delete_many(doc! { "user": id }).session(transaction).await?;
    Ok(PasswordChanged::Yes)
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

fn taken(error: &mongodb::error::Error) -> Option<InsertUserError> {
    match violated_index(error)? {
        EMAIL => Some(InsertUserError::EmailTaken),
        USERNAME => Some(InsertUserError::UsernameTaken),
        _ => None,
    }
}
