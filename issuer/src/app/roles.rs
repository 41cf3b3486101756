use crate::domain::permit::ADMINISTRATION;
use crate::domain::ports::{Roles, StoreError};
use crate::domain::role::{Permission, Permissions, Role, RoleName};

/// Makes `user`, `admin` and the configured roles, unless they exist: what an administrator changed stays changed.
pub(super) async fn ensure(roles: &dyn Roles, configured: &[Role]) -> Result<(), StoreError> {
    let ours = [built_in_admin(), built_in_user()].map(|role| extended(role, configured));
    let further = configured.iter().filter(|role| ours.iter().all(|our| our.name != role.name));
    for role in ours.iter().chain(further) {
        roles.ensure(role).await?;
    }
    Ok(())
}

fn built_in_admin() -> Role {
    Role {
        name: admin(),
        description: "Administers users and roles".to_owned(),
        permissions: ADMINISTRATION.iter().copied().map(permission).collect(),
    }
}

fn built_in_user() -> Role {
    Role {
        name: user(),
        description: "Everybody who has registered".to_owned(),
        permissions: Permissions::new(),
    }
}

/// A role of ours, with what the configuration puts on top: it can take nothing away that the program counts on.
fn extended(ours: Role, configured: &[Role]) -> Role {
    let Some(more) = configured.iter().find(|role| role.name == ours.name) else { return ours };
    let description = if more.description.is_empty() { ours.description } else { more.description.clone() };
    let permissions = ours.permissions.union(&more.permissions).cloned().collect();
    Role { description, permissions, ..ours }
}

/// The role of somebody who registers himself.
pub(super) fn user() -> RoleName {
    name("user")
}

/// The role of somebody who administers everything.
pub(super) fn admin() -> RoleName {
    name("admin")
}

fn name(text: &'static str) -> RoleName {
    RoleName::parse(text).expect("a role name of ours is well-formed")
}

fn permission(text: &'static str) -> Permission {
    Permission::parse(text).expect("a permission of ours is well-formed")
}
