use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use super::audit::AuditEntry;
use super::clock::{Clock, Random, random_uuid};
use super::context::RequestContext;
use super::event::{Event, Report};
use super::field::FieldError;
use super::ids::UserId;
use super::keys::KeyId;
use super::ports::{Outbox, Roles, StoreError, Users, WriteUserError};
use super::role::RoleName;
use super::user::Account;
use super::user_line::{LineError, UserLine};
use super::username::LoginName;

/// Takes over accounts from elsewhere, with the hashes of their passwords.
pub struct Import {
    /// Where they are kept from now on.
    pub users: Arc<dyn Users>,
    /// Of whom there is still something to tell.
    pub outbox: Arc<dyn Outbox>,
    /// Which roles there are.
    pub roles: Arc<dyn Roles>,
    /// Peppers that this issuer has.
    pub peppers: HashSet<KeyId>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
    /// Roles that were found before.
    pub known_roles: RwLock<BTreeSet<RoleName>>,
}

/// Whether to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Yes.
    Write,
    /// Only say what would become of it.
    DryRun,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// There is a new account, or would be.
    Yes,
    /// The address has an account already. It stays as it is.
    EmailTaken,
}

/// Why a line was not taken over.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImportError {
    /// Something is wrong with it.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The store could not do it. What is wrong is not the line.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Import {
    /// Takes over the account of one line, with its event in the same write. The same line can be given again: nothing is ever
    /// overwritten.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub async fn line(&self, text: &str, mode: Mode) -> Result<Imported, ImportError> {
        let line = UserLine::parse(text)?;
        let names_id = line.names_id();
        let account = line.into_account(self.clock.now(), &*self.random)?;
        self.check(&account).await?;
        if self.has(LoginName::Email(account.user.email.clone())).await? {
            return Ok(Imported::EmailTaken);
        }
        if names_id {
            self.check_id(account.user.id).await?;
        }
        match mode {
            Mode::Write => self.insert(&account).await,
            Mode::DryRun => match account.user.username {
                Some(name) => match self.has(LoginName::Username(name)).await? {
                    true => Err(username_taken()),
                    false => Ok(Imported::Yes),
                },
                None => Ok(Imported::Yes),
            },
        }
    }

    async fn insert(&self, account: &Account) -> Result<Imported, ImportError> {
        let context = RequestContext { request_id: "users-import".to_owned(), ..RequestContext::default() };
        let created = Event::UserCreated { user: Box::new(account.user.clone()) };
        let (id, now) = (random_uuid(&*self.random), self.clock.now());
        let entry = AuditEntry::by_operator(id, &account.user, now, &context);
        let report = Report::new(now, &context).tell(created).record(entry);
        match self.users.insert(account, &report).await {
            Ok(()) => Ok(Imported::Yes),
            // Somebody was quicker, perhaps another line.
            Err(WriteUserError::EmailTaken) => Ok(Imported::EmailTaken),
            Err(WriteUserError::UsernameTaken) => Err(username_taken()),
            Err(other) => self.quicker(account).await.unwrap_or_else(|| Err(other.unless_taken().into())),
        }
    }

    /// What became of a line whose id another line took in the same moment, perhaps for the same user.
    async fn quicker(&self, account: &Account) -> Option<Result<Imported, ImportError>> {
        let other = self.users.by_id(account.user.id).await.ok()??;
        let same = other.email == account.user.email;
        Some(if same { Ok(Imported::EmailTaken) } else { Err(id_taken()) })
    }

    async fn check_id(&self, id: UserId) -> Result<(), ImportError> {
        if self.users.by_id(id).await?.is_some() {
            return Err(id_taken());
        }
        // His events are still under way, and would be taken for the new user's.
        if !self.outbox.of_user(id).await?.is_empty() {
            return Err(wrong("id", "belonged to a user who was deleted; leave it out"));
        }
        Ok(())
    }

    /// What only this issuer can know: which roles and peppers there are.
    async fn check(&self, account: &Account) -> Result<(), ImportError> {
        if account.password.pepper().is_some_and(|pepper| !self.peppers.contains(pepper)) {
            return Err(wrong("password_pepper", "is not in the key ring of this issuer"));
        }
        let unknown: Vec<RoleName> = {
            let known = self.known_roles.read().unwrap_or_else(PoisonError::into_inner);
            account.user.roles.iter().filter(|role| !known.contains(*role)).cloned().collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let found = self.roles.named(&unknown).await?;
        if let Some(missing) = unknown.iter().find(|name| found.iter().all(|role| role.name != **name)) {
            return Err(wrong("roles", format!("has no role {missing}")));
        }
        self.known_roles.write().unwrap_or_else(PoisonError::into_inner).extend(unknown);
        Ok(())
    }

    async fn has(&self, login: LoginName) -> Result<bool, StoreError> {
        Ok(self.users.by_login(&login).await?.is_some())
    }
}

fn id_taken() -> ImportError {
    wrong("id", "belongs to another user")
}

fn username_taken() -> ImportError {
    wrong("username", "belongs to another user")
}

fn wrong(field: &'static str, message: impl ToString) -> ImportError {
    LineError::Fields(vec![FieldError::new(field, message)]).into()
}
