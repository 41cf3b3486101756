use std::marker::PhantomData;

use super::authenticate::Caller;
use super::ids::UserId;
use super::role::{Permission, Permissions};

/// A permission that an operation of the issuer asks for.
pub trait Right: Send + Sync + 'static {
    /// The permission's name.
    const PERMISSION: &'static str;
}

macro_rules! rights {
    ($($(#[$doc:meta])* $right:ident = $permission:literal;)*) => {
        $($(#[$doc])*
        #[derive(Debug)]
        pub enum $right {}

        impl Right for $right {
            const PERMISSION: &'static str = $permission;
        })*

        /// All of them: what an administrator has.
        pub const ADMINISTRATION: &[&str] = &[$($permission),*];
    };
}

rights! {
    /// May see users.
    UsersRead = "users:read";
    /// May make, change, close and remove users.
    UsersWrite = "users:write";
    /// May see roles.
    RolesRead = "roles:read";
    /// May make, change and remove roles.
    RolesWrite = "roles:write";
    /// May say who has which roles.
    RolesAssign = "roles:assign";
    /// May see what administrators and users did.
    AuditRead = "audit:read";
}

/// Proof that somebody may do what asks for `R`: a flow that wants one cannot be entered without. [`Permit::of`] is the only
/// way to get one.
#[derive(Debug)]
pub struct Permit<R> {
    actor: Actor,
    right: PhantomData<fn() -> R>,
}

/// Who acts, with which permissions. Comes out of a [`Permit`] alone.
#[derive(Clone, Debug)]
pub struct Actor {
    caller: Caller,
}

impl<R: Right> Permit<R> {
    /// The proof, if the caller has the permission now: what counts is the store, not what the token says.
    #[must_use]
    pub fn of(caller: Caller) -> Option<Self> {
        let actor = Actor { caller };
        actor.has(R::PERMISSION).then_some(Self { actor, right: PhantomData })
    }

    /// Proof that he has another right as well, if he does.
    #[must_use]
    pub fn and<S: Right>(&self) -> Option<Permit<S>> {
        Permit::of(self.actor.caller.clone())
    }

    /// Whose it is.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }
}

impl Actor {
    /// His id.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.caller.user().id
    }

    /// The caller that he is.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether he lacks none of `permissions`: the rule against growing. Whoever has less than another can neither act
    /// on him, nor hand out what he himself has not.
    ///
    /// An administrator lacks none. He could give himself any, and otherwise nobody could ever bring a new one into the
    /// world.
    #[must_use]
    pub fn covers(&self, permissions: &Permissions) -> bool {
        let own = self.caller.permissions();
        is_administrator(own) || permissions.is_subset(own)
    }

    fn has(&self, permission: &str) -> bool {
        self.caller.permissions().iter().any(|own| own.as_str() == permission)
    }
}

/// Whether these are all of [`ADMINISTRATION`], by whatever roles they came together.
#[must_use]
pub fn is_administrator(permissions: &Permissions) -> bool {
    administrative(permissions).count() == ADMINISTRATION.len()
}

/// Those that are permissions to administer.
pub fn administrative(permissions: &Permissions) -> impl Iterator<Item = &Permission> {
    permissions.iter().filter(|permission| ADMINISTRATION.contains(&permission.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(names: &[&str]) -> Permissions {
        names.iter().map(|name| Permission::parse(name).unwrap()).collect()
    }

    #[test]
    fn an_administrator_has_all_of_it() {
        assert!(is_administrator(&permissions(ADMINISTRATION)));
        for missing in ADMINISTRATION {
            let rest: Vec<_> = ADMINISTRATION.iter().filter(|name| *name != missing).copied().collect();
            assert!(!is_administrator(&permissions(&rest)), "{missing}");
        }
        assert!(!is_administrator(&permissions(&["a", "b", "c", "d", "e", "f"])));
    }
}
