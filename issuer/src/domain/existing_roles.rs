use super::field::{FieldError, noted};
use super::ports::{Roles, StoreError};
use super::role::{Role, RoleName};

/// Why a list does not name roles that somebody can be given.
#[derive(Debug, thiserror::Error)]
pub enum ExistingError {
    /// It names what is no role, or too many.
    #[error("the list of roles is not acceptable")]
    Invalid(Vec<FieldError>),
    /// The store could not say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Roles that one user may have: all of them stand in his tokens.
const MOST: usize = 32;

/// The roles of those names: in their order, each once.
pub(super) async fn existing(roles: &dyn Roles, names: &[String]) -> Result<Vec<Role>, ExistingError> {
    if names.len() > MOST {
        let message = format!("must name {MOST} roles at most");
        return Err(ExistingError::Invalid(vec![FieldError::new(FIELD, message)]));
    }
    let mut errors = Vec::new();
    let mut wanted: Vec<RoleName> = Vec::new();
    for name in names {
        match noted(FIELD, RoleName::parse(name), &mut errors) {
            Some(name) if !wanted.contains(&name) => wanted.push(name),
            _ => {}
        }
    }
    let mut found = roles.named(&wanted).await?;
    let mut existing = Vec::new();
    for name in wanted {
        match found.iter().position(|role| role.name == name) {
            Some(place) => existing.push(found.swap_remove(place)),
            None => errors.push(FieldError::new(FIELD, format!("has no role {name}"))),
        }
    }
    if errors.is_empty() { Ok(existing) } else { Err(ExistingError::Invalid(errors)) }
}

const FIELD: &str = "roles";
