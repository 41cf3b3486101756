use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Transaction};

use super::connect::{SqliteError, SqliteStore};
use crate::domain::ports::{Roles, StoreError};
use crate::domain::role::{Permission, Permissions, Role, RoleName};
use crate::store::record::parsed;

#[async_trait]
impl Roles for SqliteStore {
    async fn ensure(&self, role: &Role) -> Result<(), StoreError> {
        let role = role.clone();
        Ok(self.write(move |transaction| ensure(transaction, &role)).await?)
    }

    async fn named(&self, names: &[RoleName]) -> Result<Vec<Role>, StoreError> {
        let names = names.to_vec();
        let find_all = move |transaction: &Transaction<'_>| {
            names.iter().filter_map(|name| find(transaction, name).transpose()).collect()
        };
        self.read(find_all).await
    }
}

fn ensure(transaction: &Transaction<'_>, role: &Role) -> Result<(), SqliteError> {
    let name = role.name.as_str();
    let made = transaction.execute(
        "INSERT INTO roles (name, description) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (name, &role.description),
    )?;
    if made == 1 {
        for permission in &role.permissions {
            transaction.execute(
                "INSERT INTO role_permissions (role, permission) VALUES (?, ?)",
                (name, permission.as_str()),
            )?;
        }
    }
    Ok(())
}

fn find(transaction: &Transaction<'_>, name: &RoleName) -> Result<Option<Role>, SqliteError> {
    let mut role = transaction.prepare_cached("SELECT description FROM roles WHERE name = ?")?;
    let Some(description) = role.query_row([name.as_str()], |row| row.get(0)).optional()? else {
        return Ok(None);
    };
    let mut select = transaction.prepare_cached("SELECT permission FROM role_permissions WHERE role = ?")?;
    let mut permissions = Permissions::new();
    for permission in select.query_map([name.as_str()], |row| row.get::<_, String>(0))? {
        permissions.insert(parsed(Permission::parse(&permission?), "a role's permission")?);
    }
    Ok(Some(Role { name: name.clone(), description, permissions }))
}
