use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::alert::Alert;
use super::attempts::{Admission, Counter, CounterKey, Rule, Tally};
use super::clock::Clock;
use super::context::RequestContext;
use super::event::{Event, Report};
use super::ports::{Attempts, Blinder, StoreError};
use super::user::User;
use super::username::LoginName;

/// Stands before everything that can be guessed: counts who tries what from where, and says when it is enough.
///
/// Accounts that exist and those that do not are counted alike, by a keyed hash of the name: whoever is slowed down
/// learns nothing by it.
pub struct Guard {
    /// Where counters are kept.
    pub attempts: Arc<dyn Attempts>,
    /// Turns names and addresses into names of counters.
    pub blinder: Arc<dyn Blinder>,
    /// What is too much.
    pub limits: Limits,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What is too much.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Attempts at any speed of one address on one account.
    pub pair_free: u32,
    /// The wait after those; it doubles.
    pub pair_wait: Duration,
    /// The longest wait.
    pub pair_longest_wait: Duration,
    /// After so long without an attempt all of that is forgotten.
    pub pair_memory: Duration,
    /// Attempts on one account in a window; then it is locked.
    pub account: u32,
    /// How long that is, and how long it stays locked.
    pub account_window: Duration,
    /// Attempts of one address in a window.
    pub address: u32,
    /// How long that is, and how long the address has to wait then.
    pub address_window: Duration,
    /// How long an address stays familiar after a login: others cannot lock the account's owner out there.
    pub familiar: Duration,
    /// Mails to one account in a window.
    pub mail_account: u32,
    /// Mails that one address causes in a window.
    pub mail_address: u32,
    /// How long that is.
    pub mail_window: Duration,
    /// Failures on one account in a window that somebody should look at.
    pub alert_after: u32,
}

/// An attempt that was counted and may be made. Nothing but [`Guard::admit`] makes one.
pub struct Attempt {
    counters: Vec<Counter>,
    account: Tally,
}

/// Why an attempt may not be made.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// There were too many.
    #[error("too many attempts")]
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store could not say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Guard {
    /// Counts an attempt to prove to be the account that `typed` names, before anything is known of it.
    ///
    /// # Errors
    /// See [`GuardError`]. What is refused is not counted.
    pub async fn admit(
        &self,
        name: Option<&LoginName>,
        typed: &str,
        context: &RequestContext,
    ) -> Result<Attempt, GuardError> {
        let counters = self.login_counters(self.account(name, typed), context.address);
        let tallies = self.count(&counters).await?;
        let account = tallies.last().copied().unwrap_or_default();
        Ok(Attempt { counters, account })
    }

    /// Counts a mail that somebody wants to be sent to `typed`, whether there is such an account or not.
    ///
    /// # Errors
    /// See [`GuardError`].
    pub async fn admit_mail(
        &self,
        name: Option<&LoginName>,
        typed: &str,
        context: &RequestContext,
    ) -> Result<(), GuardError> {
        let Limits { mail_account, mail_address, mail_window: window, .. } = self.limits;
        let cap = |most| Rule::Cap { most, window, spares_familiar: false };
        let account = self.account(name, typed);
        let counters = [
            Counter {
                key: self.blinder.blind(&[b"mail", &account.0]),
                account: Some(account),
                rule: cap(mail_account),
            },
            Counter {
                key: self.blinder.blind(&[b"mail from", &place(context.address)]),
                account: None,
                rule: cap(mail_address),
            },
        ];
        self.count(&counters).await.map(drop)
    }

    /// The attempt was none after all: nothing was compared.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn give_back(&self, attempt: &Attempt) -> Result<(), StoreError> {
        self.attempts.give_back(&attempt.counters, self.clock.now()).await
    }

    /// The attempt was right: it does not count, and its address is familiar from now on.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn let_in(&self, attempt: &Attempt) -> Result<(), StoreError> {
        self.attempts.proven(&attempt.counters, self.clock.now(), self.limits.familiar).await
    }

    /// Opens an account to everybody again, under each of its names, and reports if there was anything to open.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn unlock(&self, user: &User, report: &Report) -> Result<(), StoreError> {
        self.forgive(user, &report.clone().tell(Event::UserUnlocked)).await
    }

    /// The same for a user who has proven by other means who he is. Says nothing: what proved it is told already.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn forgive(&self, user: &User, report: &Report) -> Result<(), StoreError> {
        self.attempts.unlock(&self.accounts(user), user.id, report).await
    }

    /// What there is to tell of an attempt that was wrong, once it was made: of each lock and each alert, one attempt.
    #[must_use]
    pub fn tell_failure(&self, attempt: &Attempt, report: Report, context: &RequestContext) -> Report {
        let Limits { account, account_window, alert_after, .. } = self.limits;
        let mut report = report;
        if attempt.account.count == alert_after {
            let alert = Alert::many_failures(attempt.account.count, account_window, context);
            report = report.tell(Event::SecurityAlert(alert));
        }
        if attempt.account.count == account {
            report = report.tell(Event::UserLocked { until: attempt.account.closed_until });
        }
        report
    }

    /// How many attempts failed on that account lately, if they are so many that somebody should look at it.
    #[must_use]
    pub fn many_failures_before(&self, attempt: &Attempt) -> Option<u32> {
        let failures = attempt.account.count.saturating_sub(1);
        (failures >= self.limits.alert_after).then_some(failures)
    }

    async fn count(&self, counters: &[Counter]) -> Result<Vec<Tally>, GuardError> {
        match self.attempts.admit(counters, self.clock.now()).await? {
            Admission::Admitted(tallies) => Ok(tallies),
            Admission::Refused { wait } => Err(GuardError::TooMany { retry_after: whole_seconds(wait) }),
        }
    }

    /// Of this account at this address, of this address, and of this account: the last one, because what others hear of an
    /// account depends on its count, which must not have in it what another counter refused.
    fn login_counters(&self, account: CounterKey, address: Option<IpAddr>) -> Vec<Counter> {
        let limits = &self.limits;
        let place = place(address);
        let pair = Rule::Slowing {
            free: limits.pair_free,
            wait: limits.pair_wait,
            longest: limits.pair_longest_wait,
            memory: limits.pair_memory,
        };
        let (most, window) = (limits.account, limits.account_window);
        let whole_account = Rule::Cap { most, window, spares_familiar: true };
        let (most, window) = (limits.address, limits.address_window);
        let whole_address = Rule::Cap { most, window, spares_familiar: false };
        vec![
            Counter {
                key: self.blinder.blind(&[b"pair", &account.0, &place]),
                account: Some(account),
                rule: pair,
            },
            Counter { key: self.blinder.blind(&[b"address", &place]), account: None, rule: whole_address },
            Counter { key: account, account: Some(account), rule: whole_account },
        ]
    }

    /// The account of that name. What cannot be anybody's name is counted as it was typed.
    fn account(&self, name: Option<&LoginName>, typed: &str) -> CounterKey {
        match name {
            Some(LoginName::Email(email)) => self.blinder.blind(&[b"account", email.as_str().as_bytes()]),
            Some(LoginName::Username(name)) => self.blinder.blind(&[b"account", name.as_str().as_bytes()]),
            None => self.blinder.blind(&[b"nobody", typed.as_bytes()]),
        }
    }

    fn accounts(&self, user: &User) -> Vec<CounterKey> {
        let email = LoginName::Email(user.email.clone());
        let names = user.username.clone().map(LoginName::Username).into_iter().chain([email]);
        names.map(|name| self.account(Some(&name), "")).collect()
    }
}

/// Who controls one IPv6 address usually controls its whole /64; an IPv4 address in IPv6 clothes is one of IPv4.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// All whose address is not known are in one place.
fn place(address: Option<IpAddr>) -> Vec<u8> {
    match address.map(network) {
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets().to_vec(),
        None => Vec::new(),
    }
}

/// `Retry-After` has whole seconds, and coming back a moment too early would be for nothing.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

impl Default for Limits {
    /// As `docs/configuration.md` says.
    fn default() -> Self {
        Self {
            pair_free: 5,
            pair_wait: Duration::from_secs(15),
            pair_longest_wait: Duration::from_mins(15),
            pair_memory: Duration::from_hours(24),
            account: 100,
            account_window: Duration::from_hours(1),
            address: 300,
            address_window: Duration::from_mins(10),
            familiar: Duration::from_hours(90 * 24),
            mail_account: 5,
            mail_address: 30,
            mail_window: Duration::from_hours(1),
            alert_after: 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_household_is_one_place() {
        let place = |text: &str| place(Some(text.parse().unwrap()));
        assert_eq!(place("2001:db8::1"), place("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(place("2001:db8::1"), place("2001:db8:0:1::1"));
        assert_eq!(place("::ffff:192.0.2.1"), place("192.0.2.1"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
    }

    #[test]
    fn nobody_is_asked_to_come_back_too_early() {
        assert_eq!(whole_seconds(Duration::from_millis(14_001)), Duration::from_secs(15));
        assert_eq!(whole_seconds(Duration::from_secs(14)), Duration::from_secs(14));
    }
}
