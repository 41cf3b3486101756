use crate::domain::audit::Members;
use crate::domain::event::UserUpdate;
use crate::domain::role::RoleName;
use crate::domain::user::{User, UserChange, UserStatus};
use crate::domain::username::Username;

/// What a change makes different: for the record, and for the rest of the system.
pub(super) struct Difference {
    pub(super) before: Members,
    pub(super) after: Members,
    pub(super) update: UserUpdate,
}

impl Difference {
    pub(super) fn of(user: &User, change: &UserChange) -> Self {
        let update = UserUpdate {
            email: change.email.as_ref().map(|email| email.as_str().to_owned()),
            email_verified: change.email_verified,
            username: change.username.as_ref().map(|name| name.as_ref().map(Username::to_string)),
            status: change.status.map(UserStatus::as_str),
            roles: change.roles.as_ref().map(|roles| roles.iter().map(RoleName::to_string).collect()),
        };
        let after = update.members();
        let mut before = UserUpdate::whole(user).members();
        before.retain(|name, _| after.contains_key(name));
        Self { before, after, update }
    }
}
