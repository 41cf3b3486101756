use super::error::AdministerUserError;
use crate::domain::email::Email;
use crate::domain::field::noted;
use crate::domain::user::{User, UserChange};
use crate::domain::username::Username;

/// What shall be known about a user; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct UserEdit {
    email: Option<Email>,
    email_verified: Option<bool>,
    username: Option<Option<Username>>,
}

impl UserEdit {
    /// Reads what an administrator wrote.
    ///
    /// # Errors
    /// [`AdministerUserError::Invalid`] with all that is wrong.
    pub fn parse(
        email: Option<&str>,
        email_verified: Option<bool>,
        username: Option<Option<&str>>,
    ) -> Result<Self, AdministerUserError> {
        let mut errors = Vec::new();
        let email = email.and_then(|email| noted("email", Email::parse(email), &mut errors));
        let username =
            username.map(|name| name.and_then(|name| noted("username", Username::parse(name), &mut errors)));
        if errors.is_empty() {
            Ok(Self { email, email_verified, username })
        } else {
            Err(AdministerUserError::Invalid(errors))
        }
    }

    /// What of it is not so already.
    pub(super) fn of(&self, user: &User) -> UserChange {
        let email = self.email.clone().filter(|email| *email != user.email);
        // Who has proven one address has not proven another.
        let verified = self.email_verified.or(email.is_some().then_some(false));
        UserChange {
            email_verified: verified.filter(|verified| *verified != user.email_verified),
            username: self.username.clone().filter(|name| *name != user.username),
            email,
            ..UserChange::default()
        }
    }
}
