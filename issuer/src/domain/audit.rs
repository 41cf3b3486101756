use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::context::RequestContext;
use super::event::UserUpdate;
use super::ids::UserId;
use super::page::Place;
use super::role::RoleName;
use super::user::User;

/// What an administrator did: written in the transaction of the deed, and never changed. Holds no password, token or key.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Tells it from all others.
    pub id: Uuid,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it; nobody if it was the operator at the command line.
    pub actor: Option<UserId>,
    /// What was done, such as `user.suspended`.
    pub action: String,
    /// To whom, or to what.
    pub subject: Subject,
    /// What was different before.
    pub before: Map<String, Value>,
    /// What it is now.
    pub after: Map<String, Value>,
    /// The request in which it was done.
    pub request_id: String,
    /// From where.
    pub address: Option<IpAddr>,
}

/// Whom or what an administrator changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user, who may be gone by now.
    User(UserId),
    /// A role, likewise.
    Role(RoleName),
}

/// What an administrator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Makes an account.
    CreateUser,
    /// Changes what is known about a user.
    UpdateUser,
    /// Says which roles a user has.
    AssignRoles,
    /// Closes an account.
    SuspendUser,
    /// Opens a closed account.
    ResumeUser,
    /// Opens an account that locked itself.
    UnlockUser,
    /// Ends all sessions of a user.
    LogOutUser,
    /// Removes an account.
    DeleteUser,
    /// Makes a role.
    CreateRole,
    /// Changes a role.
    UpdateRole,
    /// Removes a role.
    DeleteRole,
}

/// The members of something before a change, or after it.
pub type Members = Map<String, Value>;

impl Action {
    /// Its stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateUser => "user.created",
            Self::UpdateUser => "user.updated",
            Self::AssignRoles => "user.roles_assigned",
            Self::SuspendUser => "user.suspended",
            Self::ResumeUser => "user.resumed",
            Self::UnlockUser => "user.unlocked",
            Self::LogOutUser => "user.logged_out",
            Self::DeleteUser => "user.deleted",
            Self::CreateRole => "role.created",
            Self::UpdateRole => "role.updated",
            Self::DeleteRole => "role.deleted",
        }
    }
}

impl Subject {
    /// What it is, and its name.
    #[must_use]
    pub fn parts(&self) -> (&'static str, String) {
        match self {
            Self::User(id) => (USER, id.to_string()),
            Self::Role(name) => (ROLE, name.to_string()),
        }
    }

    /// Puts together what [`parts`](Self::parts) took apart.
    #[must_use]
    pub fn of(kind: &str, name: &str) -> Option<Self> {
        match kind {
            USER => name.parse().ok().map(Self::User),
            ROLE => RoleName::parse(name).ok().map(Self::Role),
            _ => None,
        }
    }
}

const USER: &str = "user";
const ROLE: &str = "role";

impl AuditEntry {
    /// `actor` does this to `subject`; what is different by it comes with [`changing`](Self::changing).
    #[must_use]
    pub fn new(
        id: Uuid,
        actor: Option<UserId>,
        action: Action,
        subject: Subject,
        at: Timestamp,
        context: &RequestContext,
    ) -> Self {
        Self {
            id,
            at,
            actor,
            action: action.as_str().to_owned(),
            subject,
            before: Members::new(),
            after: Members::new(),
            request_id: context.request_id.clone(),
            address: context.address,
        }
    }

    /// The operator makes an account at the command line.
    #[must_use]
    pub fn by_operator(id: Uuid, user: &User, at: Timestamp, context: &RequestContext) -> Self {
        Self::new(id, None, Action::CreateUser, Subject::User(user.id), at, context)
            .changing(Members::new(), UserUpdate::whole(user).members())
    }

    /// What the subject was before, and is after it.
    #[must_use]
    pub fn changing(self, before: Members, after: Members) -> Self {
        Self { before, after, ..self }
    }

    /// Its place in the list.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at: self.at, id: self.id }
    }
}

/// Leaves out what describes the person.
impl fmt::Debug for AuditEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditEntry")
            .field("at", &self.at)
            .field("actor", &self.actor)
            .field("action", &self.action)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
