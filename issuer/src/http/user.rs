use poem_openapi::Object;

use crate::domain::administer_users::KnownUser;
use crate::domain::authenticate::Caller;
use crate::domain::role::{Permission, Permissions};
use crate::domain::user::User;

/// An account, and what its roles let it do.
#[derive(Object)]
#[oai(skip_serializing_if_is_none, rename = "User")]
pub(super) struct UserAnswer {
    id: String,
    email: String,
    /// Whether the owner has proven that the address is his.
    email_verified: bool,
    username: Option<String>,
    /// `active` or `suspended`.
    status: String,
    roles: Vec<String>,
    /// Of all roles together.
    permissions: Vec<String>,
    created_at: String,
    updated_at: String,
}

impl UserAnswer {
    fn new(user: &User, permissions: &Permissions) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.as_str().to_owned(),
            email_verified: user.email_verified,
            username: user.username.as_ref().map(|name| name.as_str().to_owned()),
            status: user.status.as_str().to_owned(),
            roles: user.roles.iter().map(ToString::to_string).collect(),
            permissions: permissions.iter().map(Permission::to_string).collect(),
            created_at: user.created_at.to_string(),
            updated_at: user.updated_at.to_string(),
        }
    }
}

impl From<Caller> for UserAnswer {
    fn from(caller: Caller) -> Self {
        Self::new(caller.user(), caller.permissions())
    }
}

impl From<KnownUser> for UserAnswer {
    fn from(known: KnownUser) -> Self {
        Self::new(&known.user, &known.permissions)
    }
}
