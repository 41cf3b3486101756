use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::alert::{ALERT, Alert};
use super::audit::AuditEntry;
use super::context::RequestContext;
use super::ids::{SessionId, UserId};
use super::login_history::LoginEntry;
use super::one_time::IssuedToken;
use super::outbox::{Channel, MailJob, OutboxEntry};
use super::role::RoleName;
use super::user::{User, UserStatus};

/// Something that happened to a user, as the rest of the system hears of it. Never holds a password, a token or a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is a new account.
    UserCreated {
        /// As it is now.
        user: Box<User>,
    },
    /// Something about the account is not what it was.
    UserUpdated(UserUpdate),
    /// The account is gone.
    UserDeleted,
    /// Somebody proved to be this user.
    UserLogin {
        /// What was opened for him.
        session: SessionId,
        /// From where he came.
        address: Option<IpAddr>,
        /// What his client said it was.
        user_agent: Option<String>,
    },
    /// Somebody failed to prove that he is this user.
    LoginFailed {
        /// Why, in one word.
        reason: &'static str,
        /// From where he came.
        address: Option<IpAddr>,
        /// What his client said it was.
        user_agent: Option<String>,
    },
    /// Nobody can log in as this user for a while.
    UserLocked {
        /// When he can again.
        until: Timestamp,
    },
    /// He can again.
    UserUnlocked,
    /// Sessions were ended, by whomever.
    UserLogout {
        /// Which.
        sessions: Vec<SessionId>,
    },
    /// There is a new password.
    PasswordChanged,
    /// A link to set a new password was asked for.
    PasswordResetRequested {
        /// When the link dies.
        expires_at: Timestamp,
    },
    /// A link to prove the e-mail address was asked for.
    EmailVerificationRequested {
        /// When the link dies.
        expires_at: Timestamp,
    },
    /// Something that a person should look at.
    SecurityAlert(Alert),
}

/// What is new about an account: only what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UserUpdate {
    /// Another address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The address was proven, or is a new one that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// Another name; `null` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Option<String>>,
    /// Suspended or resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// All roles, as they are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
}

/// What is written together with a change of state: in the same transaction, or not at all. The sessions that a change
/// ends, and what the gateway has to refuse from then on, the store finds out and writes by itself.
#[derive(Clone, Debug)]
pub struct Report {
    /// When it happens.
    pub at: Timestamp,
    /// The request that caused it; empty if none did.
    pub request_id: String,
    /// What to tell, about the user who is changed and in this order.
    pub events: Vec<Event>,
    /// What to write to people, about the same user.
    pub mails: Vec<MailJob>,
    /// The token in a mail to him.
    pub token: Option<IssuedToken>,
    /// What to keep on record, if an administrator does it.
    pub audit: Option<AuditEntry>,
    /// What to remember of a login; it is the user's.
    pub login: Option<LoginEntry>,
}

impl Report {
    /// Nothing to tell yet.
    #[must_use]
    pub fn new(at: Timestamp, context: &RequestContext) -> Self {
        Self {
            at,
            request_id: context.request_id.clone(),
            events: Vec::new(),
            mails: Vec::new(),
            token: None,
            audit: None,
            login: None,
        }
    }

    /// And this happened.
    #[must_use]
    pub fn tell(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// And this is to be mailed.
    #[must_use]
    pub fn mail(mut self, job: MailJob) -> Self {
        self.mails.push(job);
        self
    }

    /// And this token is in the mail.
    #[must_use]
    pub fn issue(self, token: IssuedToken) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Nothing to tell, nor to mail.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.events.is_empty() && self.mails.is_empty() && self.token.is_none()
    }

    /// And an administrator did it.
    #[must_use]
    pub fn record(self, entry: AuditEntry) -> Self {
        Self { audit: Some(entry), ..self }
    }

    /// And this is to be remembered of a login.
    #[must_use]
    pub fn remember(mut self, login: LoginEntry) -> Self {
        self.login = Some(login);
        self
    }

    /// The same, and the sessions that the change ended.
    #[must_use]
    pub fn ending(&self, sessions: Vec<SessionId>) -> Self {
        let report = self.clone();
        if sessions.is_empty() { report } else { report.tell(Event::UserLogout { sessions }) }
    }

    /// What waits to be told once `count`, the number of the user's last event, is raised by as many events.
    #[must_use]
    pub fn outbox(&self, user: UserId, count: u64) -> Vec<OutboxEntry> {
        let first = count.saturating_sub(self.events.len() as u64) + 1;
        let entry = |channel, id, sequence, kind: &str, data| OutboxEntry {
            id,
            channel,
            user,
            sequence,
            kind: kind.to_owned(),
            at: self.at,
            request_id: self.request_id.clone(),
            data,
            attempts: 0,
        };
        let events = (first..).zip(&self.events).map(|(sequence, event)| {
            // A user never has two events of one number, so this is unique, and needs no dice.
            let id = Uuid::new_v5(&user.uuid(), &sequence.to_be_bytes());
            entry(Channel::Events, id, sequence, event.kind(), event.data(user).to_string())
        });
        let mails =
            self.mails.iter().map(|job| entry(Channel::Mail, job.id, count, job.kind, job.data.clone()));
        events.chain(mails).collect()
    }
}

impl Event {
    /// All types.
    pub const KINDS: [&str; 12] = [
        "user.created",
        "user.updated",
        "user.deleted",
        "user.login",
        "user.login.failed",
        "user.locked",
        "user.unlocked",
        "user.logout",
        "password.changed",
        "password.reset.requested",
        "email.verification.requested",
        "security.alert",
    ];

    /// The type, on the wire and in the store.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UserCreated { .. } => "user.created",
            Self::UserUpdated(_) => "user.updated",
            Self::UserDeleted => "user.deleted",
            Self::UserLogin { .. } => "user.login",
            Self::LoginFailed { .. } => "user.login.failed",
            Self::UserLocked { .. } => "user.locked",
            Self::UserUnlocked => "user.unlocked",
            Self::UserLogout { .. } => "user.logout",
            Self::PasswordChanged => "password.changed",
            Self::PasswordResetRequested { .. } => "password.reset.requested",
            Self::EmailVerificationRequested { .. } => "email.verification.requested",
            Self::SecurityAlert(_) => ALERT,
        }
    }

    /// The member `data`.
    fn data(&self, id: UserId) -> Value {
        match self {
            Self::UserCreated { user } => json!({
                "id": id.to_string(),
                "email": user.email.as_str(),
                "username": user.username.as_ref().map(ToString::to_string),
                "roles": names(&user.roles),
            }),
            Self::UserUpdated(update) => {
                let mut data = json!(update);
                data["id"] = id.to_string().into();
                data
            }
            Self::UserDeleted => json!({ "id": id.to_string() }),
            Self::UserLogin { session, address, user_agent } => json!({
                "session_id": session.to_string(),
                "address": address,
                "user_agent": user_agent,
            }),
            Self::LoginFailed { reason, address, user_agent } => {
                json!({ "reason": reason, "address": address, "user_agent": user_agent })
            }
            Self::UserLocked { until } => json!({ "until": until.to_string() }),
            Self::UserUnlocked => json!({ "until": null }),
            Self::UserLogout { sessions } => {
                let sessions: Vec<_> = sessions.iter().map(ToString::to_string).collect();
                json!({ "session_ids": sessions })
            }
            Self::PasswordChanged => json!({}),
            Self::PasswordResetRequested { expires_at } | Self::EmailVerificationRequested { expires_at } => {
                json!({ "expires_at": expires_at.to_string() })
            }
            Self::SecurityAlert(Alert { kind, details }) => json!({ "kind": kind, "details": details }),
        }
    }
}

impl UserUpdate {
    /// All that can change about a user, as it is.
    #[must_use]
    pub fn whole(user: &User) -> Self {
        Self {
            email: Some(user.email.as_str().to_owned()),
            email_verified: Some(user.email_verified),
            username: Some(user.username.as_ref().map(ToString::to_string)),
            status: Some(user.status.as_str()),
            roles: Some(names(&user.roles)),
        }
    }

    /// The same as the members of a JSON object.
    #[must_use]
    pub fn members(&self) -> Map<String, Value> {
        match json!(self) {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// The account is open or closed from now on.
    #[must_use]
    pub fn status(status: UserStatus) -> Self {
        Self { status: Some(status.as_str()), ..Self::default() }
    }

    /// The address is proven from now on.
    #[must_use]
    pub fn email_verified() -> Self {
        Self { email_verified: Some(true), ..Self::default() }
    }

    /// These are the roles from now on.
    #[must_use]
    pub fn roles(roles: &[RoleName]) -> Self {
        Self { roles: Some(names(roles)), ..Self::default() }
    }
}

fn names(roles: &[RoleName]) -> Vec<String> {
    roles.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_user_are_numbered_in_their_order() {
        let user = UserId::from(Uuid::from_u128(7));
        let report = Report::new(Timestamp::UNIX_EPOCH, &RequestContext::default());
        let report = report.tell(Event::PasswordChanged).ending(vec![SessionId::from(Uuid::nil())]);
        let outbox = report.outbox(user, 5);
        let seen: Vec<_> = outbox.iter().map(|entry| (entry.sequence, entry.kind.as_str())).collect();
        assert_eq!(seen, [(4, "password.changed"), (5, "user.logout")]);
        assert_ne!(outbox[0].id, outbox[1].id);
        assert_eq!(outbox, report.outbox(user, 5), "an id depends on nothing else");
    }

    #[test]
    fn a_mail_takes_no_number_from_the_events() {
        let user = UserId::from(Uuid::from_u128(7));
        let job = MailJob { id: Uuid::from_u128(9), kind: "password_reset", data: "{}".to_owned() };
        let report = Report::new(Timestamp::UNIX_EPOCH, &RequestContext::default()).mail(job);
        assert!(!report.is_silent());
        let report = report.tell(Event::PasswordChanged);
        let seen: Vec<_> =
            report.outbox(user, 3).into_iter().map(|entry| (entry.channel, entry.sequence)).collect();
        assert_eq!(seen, [(Channel::Events, 3), (Channel::Mail, 3)]);
    }

    #[test]
    fn nothing_is_told_of_sessions_that_were_not_there() {
        let report = Report::new(Timestamp::UNIX_EPOCH, &RequestContext::default());
        assert!(report.ending(Vec::new()).events.is_empty());
    }
}
