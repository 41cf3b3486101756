use async_trait::async_trait;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Document, Uuid, doc};
use mongodb::options::ReturnDocument;
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::connect::MongoStore;
use super::outbox::append_counted;
use super::users::{bson_id, change_user, domain_id, refused};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::one_time::{FoundToken, IssuedToken, Purpose, TokenOwner};
use crate::domain::ports::{Changed, Letters, StoreError, WriteUserError};
use crate::domain::token::TokenFingerprint;
use crate::domain::user::UserChange;
use crate::store::record::{nobody, parsed, stored};

/// A document of the collection `one_time_tokens`. A TTL index removes those that have died by themselves.
#[derive(Serialize, Deserialize)]
pub(super) struct TokenRecord {
    /// The fingerprint.
    _id: Binary,
    purpose: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerRecord>,
    expires_at: DateTime,
}

#[derive(Serialize, Deserialize)]
struct OwnerRecord {
    user: Uuid,
    epoch: i64,
}

#[async_trait]
impl Letters for MongoStore {
    async fn post(&self, owner: Option<TokenOwner>, report: &Report) -> Result<Changed, StoreError> {
        let (store, work) = (self.clone(), (owner, report.clone()));
        self.bounded(async move {
            store.tell(work, |t, store, (owner, report)| post(t, store, *owner, report).boxed()).await
        })
        .await
    }

    async fn find(
        &self,
        purpose: Purpose,
        fingerprint: TokenFingerprint,
        now: Timestamp,
    ) -> Result<Option<FoundToken>, StoreError> {
        let (tokens, filter) = (self.tokens.clone(), good(purpose, fingerprint, now));
        let found = self.bounded(async move { tokens.find_one(filter).await }).await?;
        let Some(OwnerRecord { user, epoch }) = found.and_then(|record| record.owner) else {
            return Ok(None);
        };
        let epoch = parsed(u64::try_from(epoch), "a token's epoch")?;
        let owner = TokenOwner { user: UserId::from(domain_id(user)), epoch };
        Ok(Some(FoundToken { purpose, fingerprint, owner }))
    }

    async fn redeem(
        &self,
        token: &FoundToken,
        change: &UserChange,
        report: &Report,
    ) -> Result<Changed, WriteUserError> {
        let (store, work) = (self.clone(), (token.clone(), change.clone(), report.clone()));
        self.bounded(async move {
            let redeem = store.tell(work, |t, store, (token, change, report)| {
                redeem(t, store, token, change, report).boxed()
            });
            refused(redeem.await)
        })
        .await?
    }
}

async fn post(
    transaction: &mut ClientSession,
    store: &MongoStore,
    owner: Option<TokenOwner>,
    report: &Report,
) -> error::Result<Changed> {
    // Nobody is looked for, too. The counter makes it a write: a read alone would not notice a change of the user that
    // is committed at the same time.
    let TokenOwner { user, epoch } = owner.unwrap_or_else(|| nobody(report));
    let filter = doc! { "_id": bson_id(user.uuid()), "epoch": stored(epoch) };
    let counted = doc! { "$inc": { "letters": 1_i64, "events": stored(report.events.len() as u64) } };
    let update = store.users.find_one_and_update(filter, counted).return_document(ReturnDocument::After);
    let found = update.session(&mut *transaction).await?;
    if owner.is_some() && found.is_none() {
        return Ok(Changed::Superseded);
    }
    let count = found.map_or(0, |user| user.events);
    append_counted(transaction, store, (user, count), report).await?;
    Ok(Changed::Yes)
}

/// Adds a token.
pub(super) async fn issue(
    transaction: &mut ClientSession,
    store: &MongoStore,
    token: &IssuedToken,
) -> error::Result<()> {
    let owner =
        token.owner.map(|owner| OwnerRecord { user: bson_id(owner.user.uuid()), epoch: stored(owner.epoch) });
    let record = TokenRecord {
        _id: binary(token.fingerprint),
        purpose: token.purpose.as_str().to_owned(),
        owner,
        expires_at: DateTime::from_millis(token.expires_at.as_millisecond()),
    };
    store.tokens.insert_one(record).session(transaction).await.map(drop)
}

async fn redeem(
    transaction: &mut ClientSession,
    store: &MongoStore,
    token: &FoundToken,
    change: &UserChange,
    report: &Report,
) -> error::Result<Changed> {
    let spent = store.tokens.delete_one(good(token.purpose, token.fingerprint, report.at));
    if spent.session(&mut *transaction).await?.deleted_count == 0 {
        return Ok(Changed::Superseded);
    }
    change_user(transaction, store, (token.owner.user, token.owner.epoch), change, report).await
}

fn good(purpose: Purpose, fingerprint: TokenFingerprint, now: Timestamp) -> Document {
    let now = DateTime::from_millis(now.as_millisecond());
    doc! { "_id": binary(fingerprint), "purpose": purpose.as_str(), "expires_at": { "$gt": now } }
}

fn binary(fingerprint: TokenFingerprint) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: fingerprint.0.to_vec() }
}
