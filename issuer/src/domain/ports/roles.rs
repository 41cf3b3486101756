use async_trait::async_trait;

use super::{Changed, StoreError};
use crate::domain::audit::AuditEntry;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::page::Place;
use crate::domain::role::{Role, RoleName};

/// Roles and their permissions.
#[async_trait]
pub trait Roles: Send + Sync {
    /// Makes the role if there is none of that name; one that exists stays as it is.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn ensure(&self, role: &Role) -> Result<(), StoreError>;

    /// Those of the named roles that exist, in no particular order.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn named(&self, names: &[RoleName]) -> Result<Vec<Role>, StoreError>;

    /// All roles, by name.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn every(&self) -> Result<Vec<Role>, StoreError>;

    /// Puts `new` in the place of `old`, the role of that name as it is now; without `old` there must be none. The events of
    /// the report are about `actor`. If the change takes a permission away and the role has no more owners than
    /// [`CUT_AT_ONCE`](crate::domain::role::CUT_AT_ONCE), their epochs rise and their tokens are revoked.
    ///
    /// # Errors
    /// [`WriteRoleError::LastAdministrator`], as [`Users::change`](super::Users::change).
    async fn put(
        &self,
        old: Option<&Role>,
        new: &Role,
        actor: UserId,
        report: &Report,
    ) -> Result<Changed, WriteRoleError>;

    /// Removes the role, if it is as `old` still.
    ///
    /// # Errors
    /// [`WriteRoleError::Owned`] as long as somebody has it.
    async fn remove(&self, old: &Role, report: &Report) -> Result<Changed, WriteRoleError>;
}

/// Why a role was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteRoleError {
    /// Nobody would be left who can administer.
    #[error("the last administrator has this role")]
    LastAdministrator,
    /// Somebody has it.
    #[error("the role has owners")]
    Owned,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What administrators did. It is written with the [`Report`] of the deed, and never removed.
#[async_trait]
pub trait Audit: Send + Sync {
    /// At most `limit` entries: the newest first, and only those behind `after`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn entries(&self, after: Option<Place>, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;
}
