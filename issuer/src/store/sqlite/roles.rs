use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction};
use uuid::Uuid;

use super::administrators::keeping_one;
use super::audit::record;
use super::connect::{SqliteError, SqliteStore};
use super::outbox::append;
use super::revocations::revoke;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::ports::{Changed, Roles, StoreError, WriteRoleError};
use crate::domain::revocation::Revoked;
use crate::domain::role::{CUT_AT_ONCE, Permission, Permissions, Role, RoleName, permissions_of};
use crate::store::record::parsed;

#[async_trait]
impl Roles for SqliteStore {
    async fn ensure(&self, role: &Role) -> Result<(), StoreError> {
        let role = role.clone();
        Ok(self.write(move |transaction| ensure(transaction, &role)).await?)
    }

    async fn named(&self, names: &[RoleName]) -> Result<Vec<Role>, StoreError> {
        let names = names.to_vec();
        self.read(move |transaction| find_all(transaction, &names)).await
    }

    async fn every(&self) -> Result<Vec<Role>, StoreError> {
        self.read(every).await
    }

    async fn put(
        &self,
        old: Option<&Role>,
        new: &Role,
        actor: UserId,
        report: &Report,
    ) -> Result<Changed, WriteRoleError> {
        let (old, new, report) = (old.cloned(), new.clone(), report.clone());
        let put = move |transaction: &Transaction<'_>| {
            keeping_one(transaction, || put(transaction, old.as_ref(), &new, actor, &report))
        };
        self.tell(put).await.map_err(refused)
    }

    async fn remove(&self, old: &Role, report: &Report) -> Result<Changed, WriteRoleError> {
        let (old, report) = (old.clone(), report.clone());
        self.tell(move |transaction| remove(transaction, &old, &report)).await.map_err(refused)
    }
}

fn ensure(transaction: &Transaction<'_>, role: &Role) -> Result<(), SqliteError> {
    let name = role.name.as_str();
    let made = transaction.execute(
        "INSERT INTO roles (name, description) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (name, &role.description),
    )?;
    if made == 1 { add_permissions(transaction, role) } else { Ok(()) }
}

fn add_permissions(transaction: &Transaction<'_>, role: &Role) -> Result<(), SqliteError> {
    let mut add =
        transaction.prepare_cached("INSERT INTO role_permissions (role, permission) VALUES (?, ?)")?;
    for permission in &role.permissions {
        add.execute((role.name.as_str(), permission.as_str()))?;
    }
    Ok(())
}

fn put(
    transaction: &Transaction<'_>,
    old: Option<&Role>,
    new: &Role,
    actor: UserId,
    report: &Report,
) -> Result<Changed, SqliteError> {
    if find(transaction, &new.name)?.as_ref() != old {
        return Ok(Changed::Superseded);
    }
    let name = new.name.as_str();
    transaction.execute(
        "INSERT INTO roles (name, description) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET description = excluded.description",
        (name, &new.description),
    )?;
    transaction.execute("DELETE FROM role_permissions WHERE role = ?", [name])?;
    add_permissions(transaction, new)?;
    append(transaction, actor, report)?;
    if old.is_some_and(|old| new.takes_from(old)) {
        cut_off_owners(transaction, &new.name, report.at)?;
    }
    Ok(Changed::Yes)
}

const FEW: &str = "SELECT count(*) <= ?2 FROM (SELECT 1 FROM user_roles WHERE role = ?1 LIMIT ?2 + 1)";

const RAISE: &str = "
    UPDATE users SET epoch = epoch + 1 WHERE id IN (SELECT user FROM user_roles WHERE role = ?)
    RETURNING id, epoch";

fn cut_off_owners(transaction: &Transaction<'_>, role: &RoleName, at: Timestamp) -> Result<(), SqliteError> {
    let few: bool =
        transaction.prepare_cached(FEW)?.query_row((role.as_str(), CUT_AT_ONCE), |row| row.get(0))?;
    if !few {
        return Ok(());
    }
    let mut raise = transaction.prepare_cached(RAISE)?;
    let raised =
        raise.query_map([role.as_str()], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))?;
    for owner in raised.collect::<Result<Vec<_>, _>>()? {
        let user = UserId::from(parsed(Uuid::from_slice(&owner.0), "a user's id")?);
        let epoch = parsed(u64::try_from(owner.1), "a user's epoch")?;
        revoke(transaction, &Revoked::User { user, epoch }, at)?;
    }
    Ok(())
}

fn remove(transaction: &Transaction<'_>, old: &Role, report: &Report) -> Result<Changed, SqliteError> {
    let name = old.name.as_str();
    if find(transaction, &old.name)?.as_ref() != Some(old) {
        return Ok(Changed::Superseded);
    }
    if transaction.prepare_cached("SELECT 1 FROM user_roles WHERE role = ?")?.exists([name])? {
        return Err(SqliteError::Owned);
    }
    record(transaction, report)?;
    transaction.execute("DELETE FROM roles WHERE name = ?", [name])?;
    Ok(Changed::Yes)
}

fn every(transaction: &Transaction<'_>) -> Result<Vec<Role>, SqliteError> {
    let mut select = transaction.prepare_cached("SELECT name FROM roles ORDER BY name")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut roles = Vec::new();
    for name in names {
        roles.extend(find(transaction, &parsed(RoleName::parse(&name), "a role's name")?)?);
    }
    Ok(roles)
}

fn find_all(transaction: &Transaction<'_>, names: &[RoleName]) -> Result<Vec<Role>, SqliteError> {
    names.iter().filter_map(|name| find(transaction, name).transpose()).collect()
}

/// What somebody who owns all of these roles may do.
pub(super) fn permissions(
    transaction: &Transaction<'_>,
    names: &[RoleName],
) -> Result<Permissions, SqliteError> {
    Ok(permissions_of(&find_all(transaction, names)?))
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

fn refused(error: SqliteError) -> WriteRoleError {
    match error {
        SqliteError::LastAdministrator => WriteRoleError::LastAdministrator,
        SqliteError::Owned => WriteRoleError::Owned,
        other => WriteRoleError::Store(other.into()),
    }
}
