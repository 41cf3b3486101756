use std::sync::Arc;

use serde_json::json;

use super::alert::Alert;
use super::audit::{Action, AuditEntry, Members, Subject};
use super::clock::{Clock, Random, random_uuid};
use super::context::RequestContext;
use super::event::{Event, Report};
use super::field::{FieldError, noted};
use super::permit::{Actor, Permit, RolesRead, RolesWrite, administrative};
use super::ports::{Changed, Roles, StoreError, WriteRoleError};
use super::role::{Permission, Permissions, Role, RoleName};

/// Lets those who may see and change roles.
pub struct AdministerRoles {
    /// Which roles there are.
    pub roles: Arc<dyn Roles>,
    /// Roles that cannot be removed, because the program counts on them.
    pub kept: Vec<RoleName>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
}

/// Why an administrator's wish was not fulfilled. Nothing was written; after [`AdministerRoleError::Store`] it may have been:
/// looking tells.
#[derive(Debug, thiserror::Error)]
pub enum AdministerRoleError {
    /// The role has permissions that the actor lacks, or is to have.
    #[error("the actor lacks permissions for this")]
    Forbidden,
    /// There is no such role.
    #[error("there is no such role")]
    NotFound,
    /// Something in the request is not acceptable; all of it at once.
    #[error("the request is not acceptable")]
    Invalid(Vec<FieldError>),
    /// The program counts on this role.
    #[error("this role cannot be removed")]
    Kept,
    /// Somebody has it.
    #[error("the role has owners")]
    Owned,
    /// Nobody would be left who can administer.
    #[error("the last administrator has this role")]
    LastAdministrator,
    /// Others change the same role all the time.
    #[error("the role was changed by somebody else meanwhile")]
    Conflict,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A role that was put in its place.
#[derive(Clone, Debug)]
pub struct PutRole {
    /// As it is now.
    pub role: Role,
    /// Whether there was none of that name before.
    pub is_new: bool,
}

/// How often somebody else may change the same role meanwhile.
const ROUNDS: u32 = 4;
/// How much a role may hold: all of its permissions stand in the tokens of its owners.
const MOST_PERMISSIONS: usize = 128;
const MOST_DESCRIPTION: usize = 1000;

impl AdministerRoles {
    /// All roles, by name.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn list(&self, _: &Permit<RolesRead>) -> Result<Vec<Role>, StoreError> {
        self.roles.every().await
    }

    /// One role.
    ///
    /// # Errors
    /// See [`AdministerRoleError`].
    pub async fn one(&self, _: &Permit<RolesRead>, name: &str) -> Result<Role, AdministerRoleError> {
        let name = RoleName::parse(name).map_err(|_| AdministerRoleError::NotFound)?;
        self.find(&name).await?.ok_or(AdministerRoleError::NotFound)
    }

    /// Makes a role, or changes it. The actor needs every permission that it has and that it is to have: to add one that he
    /// lacks would let him grow, and to take one away would be to act on its owners.
    ///
    /// # Errors
    /// See [`AdministerRoleError`].
    pub async fn put(
        &self,
        permit: &Permit<RolesWrite>,
        new: &Role,
        context: &RequestContext,
    ) -> Result<PutRole, AdministerRoleError> {
        for _ in 0..ROUNDS {
            let old = self.find(&new.name).await?;
            within_reach(permit.actor(), [Some(new), old.as_ref()])?;
            if old.as_ref() == Some(new) {
                return Ok(PutRole { role: new.clone(), is_new: false });
            }
            let report = self.report(permit.actor(), old.as_ref(), new, context);
            match self.roles.put(old.as_ref(), new, permit.actor().id(), &report).await? {
                Changed::Yes => return Ok(PutRole { role: new.clone(), is_new: old.is_none() }),
                Changed::Superseded => {}
            }
        }
        Err(AdministerRoleError::Conflict)
    }

    /// Removes a role that nobody has.
    ///
    /// # Errors
    /// See [`AdministerRoleError`].
    pub async fn remove(
        &self,
        permit: &Permit<RolesWrite>,
        name: &str,
        context: &RequestContext,
    ) -> Result<(), AdministerRoleError> {
        let name = RoleName::parse(name).map_err(|_| AdministerRoleError::NotFound)?;
        for _ in 0..ROUNDS {
            let old = self.find(&name).await?.ok_or(AdministerRoleError::NotFound)?;
            within_reach(permit.actor(), [Some(&old), None])?;
            if self.kept.contains(&name) {
                return Err(AdministerRoleError::Kept);
            }
            let entry = self.entry(permit.actor(), Action::DeleteRole, &name, context);
            let entry = entry.changing(members(&old), Members::new());
            let report = Report::new(entry.at, context).record(entry);
            match self.roles.remove(&old, &report).await? {
                Changed::Yes => return Ok(()),
                Changed::Superseded => {}
            }
        }
        Err(AdministerRoleError::Conflict)
    }

    async fn find(&self, name: &RoleName) -> Result<Option<Role>, StoreError> {
        Ok(self.roles.named(std::slice::from_ref(name)).await?.pop())
    }

    fn report(&self, actor: &Actor, old: Option<&Role>, new: &Role, context: &RequestContext) -> Report {
        let action = if old.is_some() { Action::UpdateRole } else { Action::CreateRole };
        let entry = self.entry(actor, action, &new.name, context);
        let report = Report::new(entry.at, context);
        let report = report.record(entry.changing(old.map(members).unwrap_or_default(), members(new)));
        let had = |permission: &&Permission| old.is_some_and(|old| old.permissions.contains(*permission));
        let gained: Permissions = administrative(&new.permissions).filter(|new| !had(new)).cloned().collect();
        if gained.is_empty() {
            return report;
        }
        // Whoever has the role, or gets it, can administer more: the event is about the one who did it.
        let mut why = Members::new();
        why.insert("actor".to_owned(), actor.id().to_string().into());
        why.insert("role".to_owned(), new.name.as_str().into());
        report.tell(Event::SecurityAlert(Alert::role_escalation(&gained, why, context)))
    }

    fn entry(&self, actor: &Actor, action: Action, name: &RoleName, context: &RequestContext) -> AuditEntry {
        let (entry, at) = (random_uuid(&*self.random), self.clock.now());
        AuditEntry::new(entry, Some(actor.id()), action, Subject::Role(name.clone()), at, context)
    }
}

/// Reads a role that an administrator wrote down.
///
/// # Errors
/// [`AdministerRoleError::Invalid`] with all that is wrong.
pub fn parse(name: &str, description: String, permissions: &[String]) -> Result<Role, AdministerRoleError> {
    let mut errors = Vec::new();
    if description.chars().count() > MOST_DESCRIPTION {
        let message = format!("must have {MOST_DESCRIPTION} characters at most");
        errors.push(FieldError::new("description", message));
    }
    if permissions.len() > MOST_PERMISSIONS {
        let message = format!("must be {MOST_PERMISSIONS} at most");
        return Err(AdministerRoleError::Invalid(vec![FieldError::new("permissions", message)]));
    }
    let name = noted("name", RoleName::parse(name), &mut errors);
    let parsed = permissions.iter().map(|permission| Permission::parse(permission)).collect();
    let permissions = noted("permissions", parsed, &mut errors);
    match (name, permissions, errors.is_empty()) {
        (Some(name), Some(permissions), true) => Ok(Role { name, description, permissions }),
        _ => Err(AdministerRoleError::Invalid(errors)),
    }
}

fn within_reach(actor: &Actor, roles: [Option<&Role>; 2]) -> Result<(), AdministerRoleError> {
    let covered = roles.into_iter().flatten().all(|role| actor.covers(&role.permissions));
    covered.then_some(()).ok_or(AdministerRoleError::Forbidden)
}

fn members(role: &Role) -> Members {
    let permissions: Vec<_> = role.permissions.iter().map(Permission::as_str).collect();
    let mut members = Members::new();
    members.insert("description".to_owned(), role.description.as_str().into());
    members.insert("permissions".to_owned(), json!(permissions));
    members
}

impl From<WriteRoleError> for AdministerRoleError {
    fn from(error: WriteRoleError) -> Self {
        match error {
            WriteRoleError::LastAdministrator => Self::LastAdministrator,
            WriteRoleError::Owned => Self::Owned,
            WriteRoleError::Store(error) => Self::Store(error),
        }
    }
}
