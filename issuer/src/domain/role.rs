use std::collections::BTreeSet;
use std::fmt;

/// A role as an operator defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// What users, tokens and gateway rules call it.
    pub name: RoleName,
    /// For people.
    pub description: String,
    /// What it lets its owners do.
    pub permissions: Permissions,
}

impl Role {
    /// Whether its owners have less than when it was `old`.
    #[must_use]
    pub fn takes_from(&self, old: &Self) -> bool {
        !old.permissions.is_subset(&self.permissions)
    }
}

/// A role's name, such as `admin` or `PROVIDER`; upper and lower case differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleName(String);

/// A permission's name, such as `users:read`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission(String);

/// Permissions, sorted and without repetition.
pub type Permissions = BTreeSet<Permission>;

/// How many owners of a role lose their tokens at once when it loses a permission. Beyond that the write would take too
/// long, and the gateways would have to remember too much; their tokens run out by themselves.
pub const CUT_AT_ONCE: u32 = 1000;

/// Why a text names no role or permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 64 characters out of A-Z a-z 0-9 _ . : -")]
pub struct NameError;

/// What somebody who owns all of `roles` may do.
#[must_use]
pub fn permissions_of(roles: &[Role]) -> Permissions {
    roles.iter().flat_map(|role| role.permissions.iter().cloned()).collect()
}

macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// Reads a name.
            ///
            /// # Errors
            /// When it is empty, long, or has characters that would need escaping in a header.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                is_name(text).then(|| Self(text.to_owned())).ok_or(NameError)
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(RoleName);
name!(Permission);

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_escaping() {
        assert!(RoleName::parse("PROVIDER").is_ok());
        assert!(Permission::parse("orders:read").is_ok());
        for text in ["", "a,b", "a b", "é", "a\n", &"a".repeat(65)] {
            assert_eq!(RoleName::parse(text), Err(NameError), "{text:?}");
        }
    }

    #[test]
    fn permissions_are_a_sorted_union() {
        let role = |name, permissions: &[&str]| Role {
            name: RoleName::parse(name).unwrap(),
            description: String::new(),
            permissions: permissions.iter().map(|p| Permission::parse(p).unwrap()).collect(),
        };
        let union = permissions_of(&[role("x", &["b", "c"]), role("y", &["c", "a"])]);
        assert_eq!(union.iter().map(Permission::as_str).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
