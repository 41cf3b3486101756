use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::bson::doc;
use serde::{Deserialize, Serialize};

use super::connect::{MongoStore, bounded, violated_index};
use crate::domain::ports::{Roles, StoreError};
use crate::domain::role::{Permission, Role, RoleName};
use crate::store::record::parsed;

/// A document of the collection `roles`.
#[derive(Serialize, Deserialize)]
pub(super) struct RoleRecord {
    _id: String,
    description: String,
    permissions: Vec<String>,
}

#[async_trait]
impl Roles for MongoStore {
    async fn ensure(&self, role: &Role) -> Result<(), StoreError> {
        let record = RoleRecord {
            _id: role.name.to_string(),
            description: role.description.clone(),
            permissions: role.permissions.iter().map(ToString::to_string).collect(),
        };
        let roles = self.roles.clone();
        bounded(async move {
            match roles.insert_one(record).await {
                Err(error) if violated_index(&error).is_some() => Ok(()),
                inserted => inserted.map(drop),
            }
        })
        .await
    }

    async fn named(&self, names: &[RoleName]) -> Result<Vec<Role>, StoreError> {
        let names: Vec<&str> = names.iter().map(RoleName::as_str).collect();
        let filter = doc! { "_id": { "$in": names } };
        let roles = self.roles.clone();
        let found: Vec<RoleRecord> =
            bounded(async move { roles.find(filter).await?.try_collect().await }).await?;
        found.into_iter().map(Role::try_from).collect()
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
