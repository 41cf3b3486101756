use crate::domain::permit::ADMINISTRATION;
use crate::domain::ports::{Roles, StoreError};
use crate::domain::role::{Permission, Permissions, Role, RoleName};

/// Makes `user`, `admin` and the configured roles, unless they exist: what an administrator changed stays changed.
pub(super) async fn ensure(roles: &dyn Roles, configured: &[RoleName]) -> Result<(), StoreError> {
    let admin = Role {
        name: admin(),
        description: "Administers users and roles".to_owned(),
        permissions: ADMINISTRATION.iter().copied().map(permission).collect(),
    };
    let user = Role {
        name: user(),
        description: "Everybody who has registered".to_owned(),
        permissions: Permissions::new(),
    };
    let configured = configured.iter().map(|name| Role {
        name: name.clone(),
        description: String::new(),
        permissions: Permissions::new(),
    });
    for role in [admin, user].into_iter().chain(configured) {
        roles.ensure(&role).await?;
    }
    Ok(())
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
