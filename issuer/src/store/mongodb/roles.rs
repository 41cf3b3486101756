use async_trait::async_trait;
use futures_util::{FutureExt as _, TryStreamExt as _};
use jiff::Timestamp;
use mongodb::bson::doc;
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::administrators::{LastAdministrator, Promise};
use super::audit::record;
use super::connect::{MongoStore, violated_index};
use super::outbox::append;
use super::revocations::revoke_all;
use super::users::domain_id;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::ports::{Changed, Roles, StoreError, WriteRoleError};
use crate::domain::revocation::Revoked;
use crate::domain::role::{CUT_AT_ONCE, Permission, Permissions, Role, RoleName, permissions_of};
use crate::store::record::parsed;

/// A document of the collection `roles`.
#[derive(PartialEq, Serialize, Deserialize)]
pub(super) struct RoleRecord {
    pub(super) _id: String,
    description: String,
    pub(super) permissions: Vec<String>,
}

#[async_trait]
impl Roles for MongoStore {
    async fn ensure(&self, role: &Role) -> Result<(), StoreError> {
        let (roles, record) = (self.roles.clone(), RoleRecord::from(role));
        self.bounded(async move {
            match roles.insert_one(record).await {
                Err(error) if violated_index(&error).is_some() => Ok(()),
                inserted => inserted.map(drop),
            }
        })
        .await
    }

    async fn named(&self, names: &[RoleName]) -> Result<Vec<Role>, StoreError> {
        let (store, names) = (self.clone(), names.iter().map(ToString::to_string).collect::<Vec<_>>());
        let found = self.bounded(async move { find(&store, &names).await }).await?;
        found.into_iter().map(Role::try_from).collect()
    }

    async fn every(&self) -> Result<Vec<Role>, StoreError> {
        let roles = self.roles.clone();
        let find =
            async move { roles.find(doc! {}).sort(doc! { "_id": 1 }).await?.try_collect::<Vec<_>>().await };
        self.bounded(find).await?.into_iter().map(Role::try_from).collect()
    }

    async fn put(
        &self,
        old: Option<&Role>,
        new: &Role,
        actor: UserId,
        report: &Report,
    ) -> Result<Changed, WriteRoleError> {
        let (store, work) = (self.clone(), (old.cloned(), new.clone(), actor, report.clone()));
        self.bounded(async move {
            let put = store.tell_and_revoke(work, |t, store, (old, new, actor, report)| {
                put(t, store, old.as_ref(), new, *actor, report).boxed()
            });
            refused(put.await)
        })
        .await?
    }

    async fn remove(&self, old: &Role, report: &Report) -> Result<Changed, WriteRoleError> {
        let (store, work) = (self.clone(), (old.clone(), report.clone()));
        self.bounded(async move {
            refused(
                store
                    .tell_and_revoke(work, |t, store, (old, report)| remove(t, store, old, report).boxed())
                    .await,
            )
        })
        .await?
    }
}

async fn put(
    transaction: &mut ClientSession,
    store: &MongoStore,
    old: Option<&Role>,
    new: &Role,
    actor: UserId,
    report: &Report,
) -> error::Result<Changed> {
    let promise = Promise::make(transaction, store).await?;
    let name = doc! { "_id": new.name.as_str() };
    let found = store.roles.find_one(name.clone()).session(&mut *transaction).await?;
    if found != old.map(RoleRecord::from) {
        return Ok(Changed::Superseded);
    }
    let replace = store.roles.replace_one(name, RoleRecord::from(new)).upsert(true);
    replace.session(&mut *transaction).await?;
    promise.keep(transaction, store).await?;
    append(transaction, store, actor, report).await?;
    if old.is_some_and(|old| new.takes_from(old)) {
        cut_off_owners(transaction, store, &new.name, report.at).await?;
    }
    Ok(Changed::Yes)
}

async fn cut_off_owners(
    transaction: &mut ClientSession,
    store: &MongoStore,
    role: &RoleName,
    at: Timestamp,
) -> error::Result<()> {
    let owners = doc! { "roles": role.as_str() };
    let few = u64::from(CUT_AT_ONCE);
    let count = store.users.count_documents(owners.clone()).limit(few + 1).session(&mut *transaction).await?;
    if count > few {
        return Ok(());
    }
    let raise = doc! { "$inc": { "epoch": 1_i64 } };
    store.users.update_many(owners.clone(), raise).session(&mut *transaction).await?;
    let mut found = store.users.find(owners).session(&mut *transaction).await?;
    let mut revoked = Vec::new();
    while let Some(owner) = found.next(&mut *transaction).await.transpose()? {
        let epoch = u64::try_from(owner.epoch).unwrap_or_default();
        revoked.push(Revoked::User { user: UserId::from(domain_id(owner._id)), epoch });
    }
    revoke_all(transaction, store, &revoked, at).await
}

async fn remove(
    transaction: &mut ClientSession,
    store: &MongoStore,
    old: &Role,
    report: &Report,
) -> error::Result<Changed> {
    // Whoever gives somebody the role at the same moment has to write the same counter. An account that is made at the same
    // moment does not, and may keep the name of the role, which is worth nothing then.
    let _promise = Promise::make(transaction, store).await?;
    let name = old.name.as_str();
    let found = store.roles.find_one(doc! { "_id": name }).session(&mut *transaction).await?;
    if found != Some(RoleRecord::from(old)) {
        return Ok(Changed::Superseded);
    }
    if store.users.find_one(doc! { "roles": name }).session(&mut *transaction).await?.is_some() {
        return Err(error::Error::custom(Owned));
    }
    store.roles.delete_one(doc! { "_id": name }).session(&mut *transaction).await?;
    record(transaction, store, report).await?;
    Ok(Changed::Yes)
}

/// Why a transaction that removed a role was given up.
struct Owned;

/// Those of the named roles that exist.
pub(super) async fn find(store: &MongoStore, names: &[String]) -> error::Result<Vec<RoleRecord>> {
    match names {
        [] => Ok(Vec::new()),
        // What nearly everybody has: the server looks up one id without making a plan for it.
        [name] => Ok(store.roles.find_one(doc! { "_id": name }).await?.into_iter().collect()),
        names => store.roles.find(doc! { "_id": { "$in": names } }).await?.try_collect().await,
    }
}

/// What somebody who owns all of these may do.
pub(super) fn permissions(roles: Vec<RoleRecord>) -> Result<Permissions, StoreError> {
    let roles = roles.into_iter().map(Role::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(permissions_of(&roles))
}

/// Tells what may not be from all other failures.
fn refused(done: error::Result<Changed>) -> error::Result<Result<Changed, WriteRoleError>> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(error) if error.get_custom::<LastAdministrator>().is_some() => {
            Ok(Err(WriteRoleError::LastAdministrator))
        }
        Err(error) if error.get_custom::<Owned>().is_some() => Ok(Err(WriteRoleError::Owned)),
        Err(error) => Err(error),
    }
}

impl From<&Role> for RoleRecord {
    fn from(role: &Role) -> Self {
        Self {
            _id: role.name.to_string(),
            description: role.description.clone(),
            permissions: role.permissions.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<RoleRecord> for Role {
    type Error = StoreError;

    fn try_from(record: RoleRecord) -> Result<Self, StoreError> {
        let permissions = record.permissions.iter().map(|name| Permission::parse(name)).collect();
        Ok(Self {
            name: parsed(RoleName::parse(&record._id), "a role's name")?,
            description: record.description,
            permissions: parsed(permissions, "a role's permission")?,
        })
    }
}
