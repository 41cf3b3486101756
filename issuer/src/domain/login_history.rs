use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::authenticate::Caller;
use super::clock::{Random, random_uuid};
use super::context::RequestContext;
use super::ids::UserId;
use super::page::{Page, PageSize, Place};
use super::permit::{AuditRead, Permit};
use super::ports::{LoginHistory, StoreError, Users};

/// A login as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginEntry {
    /// Its name.
    pub id: Uuid,
    /// When it came to its end.
    pub at: Timestamp,
    /// From where it came.
    pub address: Option<IpAddr>,
    /// What the client said it was.
    pub user_agent: Option<String>,
    /// Why it failed; none if it succeeded.
    pub failure: Option<LoginFailure>,
}

/// Why a login failed. The client is never told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFailure {
    /// There is no such account. Nobody ever sees these entries; they are there because all failures are one kind of write.
    UnknownAccount,
    /// The password is another one.
    WrongPassword,
    /// The password was right, and the account is closed.
    Suspended,
    /// The password was right, and the e-mail address has to be proven first.
    UnverifiedEmail,
}

/// Whether somebody's device is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// He never logged in before, as far as anybody remembers.
    FirstLogin,
    /// He logged in before, and with this device.
    Familiar,
    /// He logged in before, but never with this device.
    NewDevice,
}

/// How long logins and alerts are remembered.
pub const KEPT: Duration = Duration::from_hours(90 * 24);

/// Shows who logged in as whom.
pub struct ReadHistory {
    /// Where it is kept.
    pub history: Arc<dyn LoginHistory>,
    /// Who there is.
    pub users: Arc<dyn Users>,
}

impl ReadHistory {
    /// The logins of the caller, the latest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn own(
        &self,
        caller: &Caller,
        after: Option<Place>,
        size: PageSize,
    ) -> Result<Page<LoginEntry>, StoreError> {
        self.page(caller.user().id, after, size).await
    }

    /// The logins of a user, if there is one, the latest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn of_user(
        &self,
        _: &Permit<AuditRead>,
        user: UserId,
        after: Option<Place>,
        size: PageSize,
    ) -> Result<Option<Page<LoginEntry>>, StoreError> {
        match self.users.by_id(user).await? {
            Some(_) => self.page(user, after, size).await.map(Some),
            None => Ok(None),
        }
    }

    async fn page(
        &self,
        user: UserId,
        after: Option<Place>,
        size: PageSize,
    ) -> Result<Page<LoginEntry>, StoreError> {
        Ok(Page::of(self.history.logins(user, after, size.and_one()).await?, size, LoginEntry::place))
    }
}

impl LoginEntry {
    /// A login that comes to its end at `at`.
    #[must_use]
    pub fn new(
        at: Timestamp,
        context: &RequestContext,
        failure: Option<LoginFailure>,
        random: &dyn Random,
    ) -> Self {
        let (address, user_agent) = (context.address, context.device());
        Self { id: random_uuid(random), at, address, user_agent, failure }
    }

    /// Its place among the logins of its user.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at: self.at, id: self.id }
    }

    /// The name of the device of a login that succeeded: what the client says it is, without the numbers that change with
    /// every update.
    #[must_use]
    pub fn device(&self) -> Option<String> {
        match self.failure {
            None => Some(device_name(self.user_agent.as_deref())),
            Some(_) => None,
        }
    }
}

/// The name of a device.
#[must_use]
pub fn device_name(user_agent: Option<&str>) -> String {
    user_agent.unwrap_or_default().chars().filter(|c| !matches!(c, '0'..='9' | '.' | '_')).collect()
}

impl Acquaintance {
    /// Of somebody who logged in before or not, and with this device or not.
    #[must_use]
    pub fn of(ever: bool, with_this_device: bool) -> Self {
        match (ever, with_this_device) {
            (_, true) => Self::Familiar,
            (true, false) => Self::NewDevice,
            (false, false) => Self::FirstLogin,
        }
    }
}

impl LoginFailure {
    /// Its stable name, in stores and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::WrongPassword => "wrong_password",
            Self::Suspended => "suspended",
            Self::UnverifiedEmail => "unverified_email",
        }
    }

    /// The failure with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::UnknownAccount, Self::WrongPassword, Self::Suspended, Self::UnverifiedEmail]
            .into_iter()
            .find(|failure| failure.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_stays_the_same_device_after_an_update() {
        let name = |text| device_name(Some(text));
        assert_eq!(
            name("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0"),
            name("Mozilla/5.0 (X11; Linux x86_64; rv:129.0) Firefox/129.0")
        );
        assert_ne!(name("curl/8.5.0"), name("Wget/1.21"));
        assert_eq!(device_name(None), "");
    }
}
