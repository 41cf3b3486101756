use std::sync::Arc;
use std::time::Duration;

use super::audit::AuditEntry;
use super::clock::{Clock, Random, random_uuid};
use super::context::RequestContext;
use super::email::Email;
use super::evenly::evenly;
use super::event::{Event, Report};
use super::existing_roles::{ExistingError, existing};
use super::field::{FieldError, noted};
use super::ids::UserId;
use super::one_time::Purpose;
use super::password::{Password, PasswordHash};
use super::policy::{PasswordChoice, PasswordPolicy};
use super::ports::{HashError, PasswordHasher, Roles, StoreError, Users, WriteUserError};
use super::post::Post;
use super::role::RoleName;
use super::user::{Account, User, UserStatus};
use super::username::Username;

/// Makes accounts.
pub struct Register {
    /// Where they are kept.
    pub users: Arc<dyn Users>,
    /// Which roles there are.
    pub roles: Arc<dyn Roles>,
    /// Hashes the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Which passwords may be chosen.
    pub policy: PasswordPolicy,
    /// The roles of somebody who registers himself.
    pub default_roles: Vec<RoleName>,
    /// Posts the mail with which the owner of the address confirms it; without it, none is.
    pub post: Option<Arc<Post>>,
    /// Whether strangers are kept from finding out that an address is taken. Only its owner is told, by mail.
    pub hide_taken: bool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
}

/// What somebody asks for, as he wrote it.
pub struct NewUserRequest {
    /// An e-mail address.
    pub email: String,
    /// The password.
    pub password: Password,
    /// A user name, if he wants one.
    pub username: Option<String>,
}

/// An account that may be made. Nothing but [`Register::prepare`] and [`Register::prepare_with`] makes one.
pub struct NewUser {
    email: Email,
    username: Option<Username>,
    roles: Vec<RoleName>,
    password: PasswordHash,
    hide_taken: bool,
}

/// Why there is no new account.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Something in the request is not acceptable; all of it at once.
    #[error("the request is not acceptable")]
    Invalid(Vec<FieldError>),
    /// Another user has that e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another user has that name.
    #[error("the user name is taken")]
    UsernameTaken,
    /// No room for another password.
    #[error("too many passwords are waiting to be hashed")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NewUser {
    /// The roles that it will have.
    #[must_use]
    pub fn roles(&self) -> &[RoleName] {
        &self.roles
    }
}

impl Register {
    /// Somebody registers himself, and gets the default roles. Writes nothing: dropping the future gives the place in
    /// the queue back.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub async fn prepare(
        &self,
        request: NewUserRequest,
        context: &RequestContext,
    ) -> Result<NewUser, RegisterError> {
        let new = self.hash(self.check(request)?, self.default_roles.clone(), context).await?;
        Ok(NewUser { hide_taken: self.hide_taken, ..new })
    }

    /// An operator wants an account with the roles he names. The same rules hold.
    ///
    /// # Errors
    /// See [`RegisterError`]. A role that does not exist is [`RegisterError::Invalid`].
    pub async fn prepare_with(
        &self,
        request: NewUserRequest,
        roles: &[String],
        context: &RequestContext,
    ) -> Result<NewUser, RegisterError> {
        let choice = self.check(request)?;
        let roles = existing(&*self.roles, roles).await?;
        self.hash(choice, roles.into_iter().map(|role| role.name).collect(), context).await
    }

    /// Makes the account, and asks its owner by mail to confirm the address. Should run to its end once it has begun.
    ///
    /// A stranger who must not find out that the address is taken gets an account that nobody has, and the owner a mail.
    ///
    /// # Errors
    /// See [`RegisterError`]; then there is no new account. After [`RegisterError::Store`] there may be one: trying
    /// again tells.
    pub async fn add(&self, new: NewUser, context: &RequestContext) -> Result<User, RegisterError> {
        let hide_taken = new.hide_taken;
        let add = self.add_telling(new, context, |_, report| report);
        if hide_taken { evenly(add).await } else { add.await }
    }

    /// The same for the operator at the command line: that is kept on record.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_by_operator(
        &self,
        new: NewUser,
        context: &RequestContext,
    ) -> Result<User, RegisterError> {
        let id = random_uuid(&*self.random);
        let record = |user: &User, report: Report| {
            let entry = AuditEntry::by_operator(id, user, report.at, context);
            report.record(entry)
        };
        self.add_telling(new, context, record).await
    }

    /// The same, with more to tell or to keep on record about it.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_telling(
        &self,
        new: NewUser,
        context: &RequestContext,
        more: impl FnOnce(&User, Report) -> Report,
    ) -> Result<User, RegisterError> {
        let now = self.clock.now();
        let user = User {
            id: UserId::random(&*self.random),
            email: new.email,
            email_verified: false,
            username: new.username,
            roles: new.roles,
            status: UserStatus::Active,
            epoch: 0,
            created_at: now,
            updated_at: now,
        };
        let report = Report::new(now, context).tell(Event::UserCreated { user: Box::new(user.clone()) });
        let report = match &self.post {
            Some(post) => post.link(Purpose::VerifyEmail, &user, report),
            None => report,
        };
        let report = more(&user, report);
        let account = Account { user, password: new.password };
        match (self.users.insert(&account, &report).await, &self.post) {
            (Err(WriteUserError::EmailTaken), Some(post)) if new.hide_taken => {
                post.send_address_taken(account.user.email.clone(), now, context).await?;
            }
            (inserted, _) => inserted?,
        }
        Ok(account.user)
    }

    fn check(&self, request: NewUserRequest) -> Result<PasswordChoice, RegisterError> {
        let mut errors = Vec::new();
        let email = noted("email", Email::parse(&request.email), &mut errors);
        let username = request.username.map(|name| noted("username", Username::parse(&name), &mut errors));
        match (email, username.map_or(Some(None), |name| name.map(Some))) {
            (Some(email), Some(username)) => {
                let policy = self.policy.clone();
                Ok(PasswordChoice { password: request.password, email, username, policy })
            }
            // The password is judged by who chooses it, so it has to wait until that is known.
            _ => Err(RegisterError::Invalid(errors)),
        }
    }

    async fn hash(
        &self,
        choice: PasswordChoice,
        roles: Vec<RoleName>,
        context: &RequestContext,
    ) -> Result<NewUser, RegisterError> {
        let (email, username) = (choice.email.clone(), choice.username.clone());
        let chosen = self.hasher.choose(choice, context.address).await?;
        let refused = |why| RegisterError::Invalid(vec![FieldError::new("password", why)]);
        let password = chosen.map_err(refused)?;
        Ok(NewUser { email, username, roles, password, hide_taken: false })
    }
}

impl From<ExistingError> for RegisterError {
    fn from(error: ExistingError) -> Self {
        match error {
            ExistingError::Invalid(errors) => Self::Invalid(errors),
            ExistingError::Store(error) => Self::Store(error),
        }
    }
}

impl From<WriteUserError> for RegisterError {
    fn from(error: WriteUserError) -> Self {
        match error {
            WriteUserError::EmailTaken => Self::EmailTaken,
            WriteUserError::UsernameTaken => Self::UsernameTaken,
            other => Self::Store(other.unless_taken()),
        }
    }
}

impl From<HashError> for RegisterError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            HashError::Unusable(why) => Self::Store(StoreError::Corrupt(why.to_owned())),
        }
    }
}
