use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, Random};
use super::context::RequestContext;
use super::event::{Event, Report};
use super::grant::{Grant, GrantError};
use super::ids::SessionId;
use super::password::{Password, PasswordHash};
use super::ports::{
    HashError, Opened, PasswordHasher, RefreshTokens, Sessions, SignError, StoreError, Users, Verdict,
};
use super::session::{Session, SessionLimits};
use super::token::Tokens;
use super::user::{Account, UserStatus};
use super::username::LoginName;

/// Opens sessions for those who know their password.
pub struct Login {
    /// Who there is.
    pub users: Arc<dyn Users>,
    /// Where the session is kept.
    pub sessions: Arc<dyn Sessions>,
    /// Checks the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Makes the refresh token.
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    /// Makes the access token.
    pub grant: Arc<Grant>,
    /// How long a session is.
    pub session_limits: SessionLimits,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
}

/// Who somebody says he is.
pub struct LoginRequest {
    /// His e-mail address or user name; `None` if what he wrote cannot be one, and so nobody's.
    pub name: Option<LoginName>,
    /// The password.
    pub password: Password,
}

/// Somebody who knows his password. Nothing but [`Login::prove`] makes one.
pub struct Proven {
    account: Account,
    rehash: Option<PasswordHash>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user, another password, or an account that is closed: the client is not told which.
    #[error("the credentials are not right")]
    InvalidCredentials,
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
    /// Checks the password. Writes nothing: dropping the future gives the place in the queue back.
    ///
    /// Known and unknown users cost the same work, and get the same answer.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn prove(&self, request: LoginRequest, context: &RequestContext) -> Result<Proven, LoginError> {
        let account = match request.name {
            Some(name) => self.users.by_login(&name).await?,
            None => None,
        };
        let stored = account.as_ref().map(|account| account.password.clone());
        let verdict = self.hasher.verify(request.password, stored, context.address).await?;
        let (Some(account), Verdict::Match { rehash }) = (account, verdict) else {
            return Err(LoginError::InvalidCredentials);
        };
        // Only now, so that a closed account is no faster than an open one.
        if account.user.status != UserStatus::Active {
            return Err(LoginError::InvalidCredentials);
        }
        Ok(Proven { account, rehash })
    }

    /// Opens a session, and renews a hash of yesterday. Should run to its end once it has begun.
    ///
    /// # Errors
    /// See [`LoginError`]; then no session was opened. After [`LoginError::Store`] there may be one, whose tokens
    /// nobody has.
    pub async fn open(&self, proven: Proven, context: &RequestContext) -> Result<Tokens, LoginError> {
        let Proven { account: Account { user, password }, rehash } = proven;
        if let Some(rehash) = rehash {
            // If the hash changed meanwhile, the newer one stays: opening the session looks at the epoch.
            self.users.replace_hash(user.id, &password, &rehash).await?;
        }
        let now = self.clock.now();
        let id = SessionId::random(&*self.random);
        let refresh = self.refresh_tokens.mint(id);
        let owner = (user.id, user.epoch);
        let session = Session::open(id, owner, refresh.fingerprint, self.session_limits, now, context);
        // Signed first: a session whose tokens nobody got would be a loose end.
        let tokens = self.grant.tokens(&user, &session, refresh.token, now).await?;
        let report = Report::new(now, context).tell(Event::UserLogin {
            session: id,
            address: session.address,
            user_agent: session.user_agent.clone(),
        });
        match self.sessions.open(&session, &report).await? {
            Opened::Superseded => Err(LoginError::InvalidCredentials),
            Opened::Yes => Ok(tokens),
        }
    }
}

impl From<GrantError> for LoginError {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Store(error) => Self::Store(error),
            GrantError::Sign(error) => Self::Sign(error),
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
