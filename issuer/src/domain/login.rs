use std::sync::Arc;
use std::time::Duration;

use super::alert::{Alert, Hours};
use super::clock::{Clock, Random};
use super::context::RequestContext;
use super::evenly::evenly;
use super::event::{Event, Report};
use super::grant::Grant;
use super::guard::{Attempt, Guard, GuardError};
use super::ids::SessionId;
use super::login_history::{Acquaintance, LoginEntry, LoginFailure};
use super::password::{Password, PasswordHash};
use super::ports::{
    HashError, LoginHistory, Opened, PasswordHasher, RefreshTokens, Roles, Sessions, SignError, StoreError,
    Users, Verdict,
};
use super::role::permissions_of;
use super::session::{Session, SessionLimits};
use super::token::Tokens;
use super::user::{Account, User, UserStatus};
use super::username::LoginName;

/// Opens sessions for those who know their password.
pub struct Login {
    /// Who there is.
    pub users: Arc<dyn Users>,
    /// What they may do.
    pub roles: Arc<dyn Roles>,
    /// Where the session is kept.
    pub sessions: Arc<dyn Sessions>,
    /// Who logged in, and who failed to.
    pub history: Arc<dyn LoginHistory>,
    /// Holds off those who guess.
    pub guard: Arc<Guard>,
    /// Checks the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Makes the refresh token.
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    /// Makes the access token.
    pub grant: Arc<Grant>,
    /// Whether somebody has to have proven his e-mail address first.
    pub require_verified_email: bool,
    /// How long a session is.
    pub session_limits: SessionLimits,
    /// When logins are expected; always, if nobody said.
    pub hours: Option<Hours>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
}

/// Who somebody says he is.
pub struct LoginRequest {
    /// His e-mail address or user name; `None` if what he wrote cannot be one, and so nobody's.
    pub name: Option<LoginName>,
    /// What he wrote.
    pub typed: String,
    /// The password.
    pub password: Password,
}

/// A password that was compared, and what came out, which has to be written down yet. Nothing but [`Login::check`] makes
/// one.
pub struct Checked {
    attempt: Attempt,
    outcome: Outcome,
}

enum Outcome {
    /// It is he.
    Proven { account: Account, rehash: Option<PasswordHash> },
    /// It is not, or there is no such user.
    Failed { user: Option<User>, failure: LoginFailure },
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user, another password, an account that is closed, or one whose address has to be proven first: the
    /// client is not told which. Saying the last would tell a stranger who has just registered an address whether it was
    /// taken.
    #[error("the credentials are not right")]
    InvalidCredentials,
    /// Too many tried on this account or from this address.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When to try again.
        retry_after: Duration,
    },
    /// No room for another password.
    #[error("too many passwords are waiting to be checked")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access token could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Login {
    /// Counts the attempt and compares the password. What comes out has to be [finished](Self::finish). Dropping the
    /// future gives the place in the queue back; the attempt stays counted.
    ///
    /// Known and unknown users cost the same work here and there, and get the same answer.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn check(
        &self,
        request: LoginRequest,
        context: &RequestContext,
    ) -> Result<Checked, LoginError> {
        self.hasher.room(context.address)?;
        let attempt = self.guard.admit(request.name.as_ref(), &request.typed, context).await?;
        let account = match request.name {
            Some(name) => self.users.by_login(&name).await?,
            None => None,
        };
        let stored = account.as_ref().map(|account| account.password.clone());
        let verdict = match self.hasher.verify(request.password, stored, context.address).await {
            Err(error @ HashError::Overloaded { .. }) => {
                self.guard.give_back(&attempt).await?;
                return Err(error.into());
            }
            verdict => verdict?,
        };
        let failed = |user, failure| Outcome::Failed { user, failure };
        let outcome = match (account, verdict) {
            (None, _) => failed(None, LoginFailure::UnknownAccount),
            (Some(account), Verdict::Mismatch) => failed(Some(account.user), LoginFailure::WrongPassword),
            // Only now, so that a closed account is no faster than an open one.
            (Some(account), _) if account.user.status != UserStatus::Active => {
                failed(Some(account.user), LoginFailure::Suspended)
            }
            (Some(account), _) if self.require_verified_email && !account.user.email_verified => {
                failed(Some(account.user), LoginFailure::UnverifiedEmail)
            }
            (Some(account), Verdict::Match { rehash }) => Outcome::Proven { account, rehash },
        };
        Ok(Checked { attempt, outcome })
    }

    /// Writes down what came out, and opens a session if the password is the right one. Should run to its end once it
    /// has begun.
    ///
    /// # Errors
    /// See [`LoginError`]; then no session was opened. After [`LoginError::Store`] there may be one, whose tokens
    /// nobody has.
    pub async fn finish(&self, checked: Checked, context: &RequestContext) -> Result<Tokens, LoginError> {
        match checked.outcome {
            Outcome::Proven { account, rehash } => {
                self.open(account, rehash, &checked.attempt, context).await
            }
            Outcome::Failed { user, failure } => {
                evenly(self.fail(user, failure, &checked.attempt, context)).await?;
                Err(LoginError::InvalidCredentials)
            }
        }
    }

    /// One write, whether there is such a user or not.
    async fn fail(
        &self,
        user: Option<User>,
        failure: LoginFailure,
        attempt: &Attempt,
        context: &RequestContext,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let entry = LoginEntry::new(now, context, Some(failure), &*self.random);
        let report = Report::new(now, context).tell(Event::LoginFailed {
            reason: failure.as_str(),
            address: entry.address,
            user_agent: entry.user_agent.clone(),
        });
        let report = self.guard.tell_failure(attempt, report, context).remember(entry);
        self.history.failed(user.map(|user| user.id), &report).await
    }

    /// Opens a session, and renews a hash of yesterday.
    async fn open(
        &self,
        Account { user, password }: Account,
        rehash: Option<PasswordHash>,
        attempt: &Attempt,
        context: &RequestContext,
    ) -> Result<Tokens, LoginError> {
        if let Some(rehash) = rehash {
            // If the hash changed meanwhile, the newer one stays: opening the session looks at the epoch.
            self.users.replace_hash(user.id, &password, &rehash).await?;
        }
        self.guard.let_in(attempt).await?;
        let now = self.clock.now();
        let id = SessionId::random(&*self.random);
        let refresh = self.refresh_tokens.mint(id);
        let owner = (user.id, user.epoch);
        let session = Session::open(id, owner, refresh.fingerprint, self.session_limits, now, context);
        // Signed first: a session whose tokens nobody got would be a loose end.
        let permissions = permissions_of(&self.roles.named(&user.roles).await?);
        let tokens = self.grant.tokens((&user, permissions), &session, refresh.token, now)?;
        let report = self.report(&session, attempt, context).await?;
        match self.sessions.open(&session, &report).await? {
            Opened::Superseded => Err(LoginError::InvalidCredentials),
            Opened::Yes => Ok(tokens),
        }
    }

    /// What there is to tell of a login, and what about it a person should look at.
    async fn report(
        &self,
        session: &Session,
        attempt: &Attempt,
        context: &RequestContext,
    ) -> Result<Report, StoreError> {
        let entry = LoginEntry::new(session.created_at, context, None, &*self.random);
        let device = entry.device().unwrap_or_default();
        let mut alerts = Vec::new();
        if let Some(failures) = self.guard.many_failures_before(attempt) {
            alerts.push(Alert::success_after_failures(failures, session.id, context));
        }
        if self.history.acquaintance(session.user, &device).await? == Acquaintance::NewDevice {
            alerts.push(Alert::new_device(session.id, context));
        }
        if self.hours.is_some_and(|hours| !hours.contain(session.created_at)) {
            alerts.push(Alert::unusual_hour(session.id, context));
        }
        let report = Report::new(session.created_at, context).remember(entry).tell(Event::UserLogin {
            session: session.id,
            address: session.address,
            user_agent: session.user_agent.clone(),
        });
        Ok(alerts.into_iter().fold(report, |report, alert| report.tell(Event::SecurityAlert(alert))))
    }
}

impl From<GuardError> for LoginError {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::TooMany { retry_after } => Self::TooManyAttempts { retry_after },
            GuardError::Store(error) => Self::Store(error),
        }
    }
}

impl From<HashError> for LoginError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            HashError::Unusable(why) => Self::Store(StoreError::Corrupt(why.to_owned())),
        }
    }
}
