use std::sync::Arc;

use super::alert::Alert;
use super::audit::{Action, AuditEntry, Members, Subject};
use super::clock::{Clock, Random, random_uuid};
use super::context::RequestContext;
use super::event::{Event, Report, UserUpdate};
use super::existing_roles::existing;
use super::guard::Guard;
use super::ids::UserId;
use super::one_time::Purpose;
use super::page::{Page, PageSize, Place};
use super::permit::{Actor, Permit, administrative};
use super::permit::{AuditRead, RolesAssign, UsersRead, UsersWrite};
use super::ports::{Changed, Roles, Sessions, StoreError, Users};
use super::register::{NewUser, NewUserRequest, Register};
use super::role::{Permissions, Role, RoleName, permissions_of};
use super::session::Session;
use super::user::{User, UserChange, UserQuery, UserStatus};

/// What is different by a change, in words.
mod difference;
/// What an administrator wants to be different.
mod edit;
/// Why nothing was done.
mod error;

pub use self::edit::UserEdit;
pub use self::error::AdministerUserError;

use self::difference::Difference;

/// Lets those who may see and change users. A change asks for a [`Permit`], and goes through [`AdministerUsers::change`] or
/// another method that calls [`AdministerUsers::within_reach`]: nobody acts on a user who may do what he may not.
pub struct AdministerUsers {
    /// Who there is.
    pub users: Arc<dyn Users>,
    /// What they may do.
    pub roles: Arc<dyn Roles>,
    /// Where they are logged in.
    pub sessions: Arc<dyn Sessions>,
    /// Makes accounts.
    pub register: Arc<Register>,
    /// Knows who is locked out.
    pub guard: Arc<Guard>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
}

/// A user, and what his roles let him do.
#[derive(Clone, Debug)]
pub struct KnownUser {
    /// As he is now.
    pub user: User,
    /// All of it.
    pub permissions: Permissions,
}

/// How often somebody else may change the same user meanwhile.
const ROUNDS: u32 = 4;

impl AdministerUsers {
    /// The users that a query is about, the newest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn list(
        &self,
        _: &Permit<UsersRead>,
        query: &UserQuery,
        after: Option<Place>,
        size: PageSize,
    ) -> Result<Page<KnownUser>, StoreError> {
        let page = Page::of(self.users.list(query, after, size.and_one()).await?, size, User::place);
        let mut names: Vec<RoleName> = page.items.iter().flat_map(|user| user.roles.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let roles = self.roles.named(&names).await?;
        Ok(page.map(|user| KnownUser { permissions: permissions_among(&roles, &user.roles), user }))
    }

    /// One user.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn one(&self, _: &Permit<UsersRead>, id: UserId) -> Result<KnownUser, AdministerUserError> {
        self.find(id).await
    }

    /// A user's open sessions, the latest login first.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn sessions(
        &self,
        _: &Permit<AuditRead>,
        id: UserId,
        after: Option<Place>,
        size: PageSize,
    ) -> Result<Page<Session>, AdministerUserError> {
        self.find(id).await?;
        let found = self.sessions.page(id, after, size.and_one(), self.clock.now()).await?;
        Ok(Page::of(found, size, Session::place))
    }

    /// Looks at an account that is to be made, and hashes its password. Without `roles` it gets those that everybody gets
    /// who registers; others only from somebody who may assign roles. Writes nothing.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn prepare(
        &self,
        permit: &Permit<UsersWrite>,
        request: NewUserRequest,
        roles: Option<&[String]>,
        context: &RequestContext,
    ) -> Result<NewUser, AdministerUserError> {
        let Some(names) = roles else { return Ok(self.register.prepare(request, context).await?) };
        let granted = self.beyond_default(&existing(&*self.roles, names).await?);
        let may_assign = permit.and::<RolesAssign>().is_some();
        let may_grant =
            granted.is_empty() || (may_assign && permit.actor().covers(&permissions_of(&granted)));
        if !may_grant {
            return Err(AdministerUserError::Forbidden);
        }
        Ok(self.register.prepare_with(request, names, context).await?)
    }

    /// Makes the account. Should run to its end once it has begun.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn add(
        &self,
        permit: &Permit<UsersWrite>,
        new: NewUser,
        context: &RequestContext,
    ) -> Result<KnownUser, AdministerUserError> {
        let permissions = permissions_of(&self.roles.named(new.roles()).await?);
        let record = |user: &User, report: Report| {
            let entry = self.entry(permit.actor(), Action::CreateUser, user.id, context);
            let after = UserUpdate::whole(user).members();
            let report = report.record(entry.changing(Members::new(), after));
            alerting(report, permit.actor(), &Permissions::new(), &permissions, context)
        };
        let user = self.register.add_telling(new, context, record).await?;
        Ok(KnownUser { user, permissions })
    }

    /// Changes address and name. Another address is not proven until its owner follows the link that is mailed to it, or the
    /// edit says that it is.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn edit(
        &self,
        permit: &Permit<UsersWrite>,
        id: UserId,
        edit: &UserEdit,
        context: &RequestContext,
    ) -> Result<KnownUser, AdministerUserError> {
        self.change(permit.actor(), id, Action::UpdateUser, context, |user| edit.of(user)).await
    }

    /// Gives a user these roles and no others.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn assign(
        &self,
        permit: &Permit<RolesAssign>,
        id: UserId,
        names: &[String],
        context: &RequestContext,
    ) -> Result<KnownUser, AdministerUserError> {
        let roles = existing(&*self.roles, names).await?;
        // Also those that he has already: the rule is the same, as he has to be within reach in any case.
        if !permit.actor().covers(&permissions_of(&self.beyond_default(&roles))) {
            return Err(AdministerUserError::Forbidden);
        }
        let names: Vec<_> = roles.into_iter().map(|role| role.name).collect();
        self.change(permit.actor(), id, Action::AssignRoles, context, |user| {
            let new = (user.roles != names).then(|| names.clone());
            UserChange { roles: new, ..UserChange::default() }
        })
        .await
    }

    /// Closes an account: its sessions end, and nobody can log in.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn suspend(
        &self,
        permit: &Permit<UsersWrite>,
        id: UserId,
        context: &RequestContext,
    ) -> Result<(), AdministerUserError> {
        let close = becoming(UserStatus::Suspended);
        self.change(permit.actor(), id, Action::SuspendUser, context, close).await.map(drop)
    }

    /// Opens a closed account.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn resume(
        &self,
        permit: &Permit<UsersWrite>,
        id: UserId,
        context: &RequestContext,
    ) -> Result<(), AdministerUserError> {
        let open = becoming(UserStatus::Active);
        self.change(permit.actor(), id, Action::ResumeUser, context, open).await.map(drop)
    }

    /// Forgets what was guessed about a user, so that he can log in again.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn unlock(
        &self,
        permit: &Permit<UsersWrite>,
        id: UserId,
        context: &RequestContext,
    ) -> Result<(), AdministerUserError> {
        let KnownUser { user, .. } = self.within_reach(permit.actor(), id).await?;
        let entry = self.entry(permit.actor(), Action::UnlockUser, id, context);
        let report = Report::new(entry.at, context).record(entry);
        Ok(self.guard.unlock(&user, &report).await?)
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn log_out(
        &self,
        permit: &Permit<UsersWrite>,
        id: UserId,
        context: &RequestContext,
    ) -> Result<(), AdministerUserError> {
        self.within_reach(permit.actor(), id).await?;
        let entry = self.entry(permit.actor(), Action::LogOutUser, id, context);
        let report = Report::new(entry.at, context).record(entry);
        let found = self.sessions.end_all(id, &report).await?;
        found.then_some(()).ok_or(AdministerUserError::NotFound)
    }

    /// Removes an account.
    ///
    /// # Errors
    /// See [`AdministerUserError`].
    pub async fn delete(
        &self,
        permit: &Permit<UsersWrite>,
        id: UserId,
        context: &RequestContext,
    ) -> Result<(), AdministerUserError> {
        for _ in 0..ROUNDS {
            let KnownUser { user, .. } = self.within_reach(permit.actor(), id).await?;
            let entry = self.entry(permit.actor(), Action::DeleteUser, id, context);
            let entry = entry.changing(UserUpdate::whole(&user).members(), Members::new());
            let report = Report::new(entry.at, context).tell(Event::UserDeleted).record(entry);
            match self.users.delete(id, user.epoch, &report).await? {
                Changed::Yes => return Ok(()),
                Changed::Superseded => {}
            }
        }
        Err(AdministerUserError::Conflict)
    }

    /// Reads, judges and writes; again if somebody else wrote in between. A change of nothing writes nothing.
    async fn change(
        &self,
        actor: &Actor,
        id: UserId,
        action: Action,
        context: &RequestContext,
        wanted: impl Fn(&User) -> UserChange,
    ) -> Result<KnownUser, AdministerUserError> {
        for _ in 0..ROUNDS {
            let known = self.within_reach(actor, id).await?;
            let change = wanted(&known.user);
            if change == UserChange::default() {
                return Ok(known);
            }
            let Difference { before, after, update } = Difference::of(&known.user, &change);
            let entry = self.entry(actor, action, id, context).changing(before, after);
            let report = Report::new(entry.at, context).tell(Event::UserUpdated(update)).record(entry);
            let report = match &change.roles {
                Some(roles) => {
                    let gained = permissions_of(&self.roles.named(roles).await?);
                    alerting(report, actor, &known.permissions, &gained, context)
                }
                None => report,
            };
            let report = self.asking_for_proof(&known.user, &change, report);
            match self.users.change(id, known.user.epoch, &change, &report).await? {
                Changed::Yes => return self.find(id).await,
                Changed::Superseded => {}
            }
        }
        Err(AdministerUserError::Conflict)
    }

    /// With a link to the new address, if the change gives him one that is not proven.
    fn asking_for_proof(&self, user: &User, change: &UserChange, report: Report) -> Report {
        let verified = change.email_verified.unwrap_or(user.email_verified);
        match (&self.register.post, &change.email) {
            (Some(post), Some(email)) if !verified => {
                // As the change leaves him: it raises his epoch, because it ends his sessions.
                let user = User { email: email.clone(), epoch: user.epoch + 1, ..user.clone() };
                post.link(Purpose::VerifyEmail, &user, report)
            }
            _ => report,
        }
    }

    /// The user, if the actor has every permission that he has: else whoever may help users could take over an
    /// administrator's account.
    async fn within_reach(&self, actor: &Actor, id: UserId) -> Result<KnownUser, AdministerUserError> {
        let known = self.find(id).await?;
        if actor.covers(&known.permissions) { Ok(known) } else { Err(AdministerUserError::Forbidden) }
    }

    async fn find(&self, id: UserId) -> Result<KnownUser, AdministerUserError> {
        let user = self.users.by_id(id).await?.ok_or(AdministerUserError::NotFound)?;
        let permissions = permissions_of(&self.roles.named(&user.roles).await?);
        Ok(KnownUser { user, permissions })
    }

    /// Those that not everybody gets who registers: what anybody can have anyway is no privilege to hand out.
    fn beyond_default(&self, roles: &[Role]) -> Vec<Role> {
        roles.iter().filter(|role| !self.register.default_roles.contains(&role.name)).cloned().collect()
    }

    fn entry(&self, actor: &Actor, action: Action, id: UserId, context: &RequestContext) -> AuditEntry {
        let (entry, at) = (random_uuid(&*self.random), self.clock.now());
        AuditEntry::new(entry, Some(actor.id()), action, Subject::User(id), at, context)
    }
}

fn becoming(status: UserStatus) -> impl Fn(&User) -> UserChange {
    move |user| {
        let new = (user.status != status).then_some(status);
        UserChange { status: new, ..UserChange::default() }
    }
}

fn permissions_among(roles: &[Role], names: &[RoleName]) -> Permissions {
    let own: Vec<Role> = roles.iter().filter(|role| names.contains(&role.name)).cloned().collect();
    permissions_of(&own)
}

/// Somebody should look at it if a user can administer from now on what he could not before.
fn alerting(
    report: Report,
    actor: &Actor,
    before: &Permissions,
    after: &Permissions,
    context: &RequestContext,
) -> Report {
    let gained: Permissions = administrative(after).filter(|new| !before.contains(new)).cloned().collect();
    if gained.is_empty() {
        return report;
    }
    let mut why = Members::new();
    why.insert("actor".to_owned(), actor.id().to_string().into());
    report.tell(Event::SecurityAlert(Alert::role_escalation(&gained, why, context)))
}
