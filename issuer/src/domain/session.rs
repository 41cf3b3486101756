use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::clock::later;
use super::context::RequestContext;
use super::ids::{SessionId, UserId};
use super::page::Place;
use super::role::Permissions;
use super::token::TokenFingerprint;
use super::user::User;

/// One login, and the family of refresh tokens that descends from it. A session that has ended is not stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name; new at every login.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The user's epoch when the password was checked.
    pub epoch: u64,
    /// How often the refresh token was exchanged.
    pub generation: u32,
    /// Tells the current refresh token from all others, and is of no use to a thief.
    pub refresh_fingerprint: TokenFingerprint,
    /// When the password was checked.
    pub created_at: Timestamp,
    /// When it was last used: the login, then each refresh.
    pub last_used_at: Timestamp,
    /// It ends then, unless it is used before.
    pub expires_at: Timestamp,
    /// It ends then, used or not.
    pub ends_at: Timestamp,
    /// From where the login came.
    pub address: Option<IpAddr>,
    /// What the client said it was; cut to [`MAX_USER_AGENT`](super::context::MAX_USER_AGENT) characters.
    pub user_agent: Option<String>,
}

/// A session that has not been ended, and who stands behind it now.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The session; it may have run out.
    pub session: Session,
    /// Whose it is; none if he was deleted.
    pub user: Option<User>,
    /// What his roles let him do.
    pub permissions: Permissions,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Idle time after which a session ends.
    pub idle: Duration,
    /// Whole life of a session.
    pub whole: Duration,
}

impl Session {
    /// The session that a login at `now` opens.
    #[must_use]
    pub fn open(
        id: SessionId,
        (user, epoch): (UserId, u64),
        refresh_fingerprint: TokenFingerprint,
        limits: SessionLimits,
        now: Timestamp,
        context: &RequestContext,
    ) -> Self {
        let ends_at = later(now, limits.whole);
        Self {
            id,
            user,
            epoch,
            generation: 0,
            refresh_fingerprint,
            created_at: now,
            last_used_at: now,
            expires_at: later(now, limits.idle).min(ends_at),
            ends_at,
            address: context.address,
            user_agent: context.device(),
        }
    }

    /// The same session once its refresh token was exchanged for `child` at `now`.
    #[must_use]
    pub fn exchanged(&self, child: TokenFingerprint, idle: Duration, now: Timestamp) -> Self {
        Self {
            generation: self.generation.saturating_add(1),
            refresh_fingerprint: child,
            last_used_at: now,
            expires_at: later(now, idle).min(self.ends_at),
            ..self.clone()
        }
    }

    /// Its place among the sessions of its user.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at: self.created_at, id: self.id.uuid() }
    }

    /// Whether it is still good at `now`.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        now < self.expires_at.min(self.ends_at)
    }
}

/// Leaves out what describes the person.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("epoch", &self.epoch)
            .field("generation", &self.generation)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::context::MAX_USER_AGENT;

    fn opened(idle: u64, whole: u64) -> Session {
        let limits = SessionLimits { idle: Duration::from_secs(idle), whole: Duration::from_secs(whole) };
        let context = RequestContext { user_agent: Some("x".repeat(1000)), ..RequestContext::default() };
        let (id, user) = (SessionId::from(Uuid::nil()), UserId::from(Uuid::nil()));
        Session::open(id, (user, 3), TokenFingerprint([0; 32]), limits, Timestamp::UNIX_EPOCH, &context)
    }

    #[test]
    fn a_session_ends_when_idle_or_when_its_whole_life_is_over() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(opened(10, 100).is_open(at(9)));
        assert!(!opened(10, 100).is_open(at(10)));
        assert!(!opened(100, 10).is_open(at(10)));
        assert_eq!(opened(u64::MAX, u64::MAX).expires_at, Timestamp::MAX);
    }

    #[test]
    fn a_long_user_agent_is_cut() {
        assert_eq!(opened(1, 1).user_agent.unwrap().len(), MAX_USER_AGENT);
    }
}
