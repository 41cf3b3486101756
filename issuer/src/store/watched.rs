use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use crate::domain::alert::KeptAlert;
use crate::domain::attempts::{Admission, Counter, CounterKey};
use crate::domain::audit::AuditEntry;
use crate::domain::event::Report;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::keys::{RingChange, SealedRing};
use crate::domain::login_history::{Acquaintance, LoginEntry};
use crate::domain::one_time::{FoundToken, Purpose, TokenOwner};
use crate::domain::outbox::fate::Fate;
use crate::domain::outbox::{Channel, Claim, Claimed, OutboxEntry, OutboxStatus, Replay, Troubled};
use crate::domain::page::Place;
use crate::domain::password::PasswordHash;
use crate::domain::ports::{
    Alerts, Attempts, Audit, Changed, Exchanged, Keys, Letters, LoginHistory, Opened, Outbox, Revocations,
    RingChanged, Roles, Sessions, StoreError, StoreHealth, Users, WriteRoleError, WriteUserError,
};
use crate::domain::revocation::RevocationPage;
use crate::domain::role::{Role, RoleName};
use crate::domain::session::{Session, Standing};
use crate::domain::token::TokenFingerprint;
use crate::domain::user::{Account, User, UserChange, UserQuery};
use crate::domain::username::LoginName;
use crate::telemetry::Stopwatch;
use crate::telemetry::store_time::StoreTime;
use crate::telemetry::traces::TARGET;

/// A store whose operations are timed, and which otherwise is the store within.
pub struct Watched<S> {
    store: S,
    watch: Arc<dyn StoreWatch>,
}

/// Hears how long a store took.
pub trait StoreWatch: Send + Sync {
    /// `operation`, such as `users.insert`, has come to its end, well or not.
    fn took(&self, operation: &'static str, time: Duration);
}

impl<S> Watched<S> {
    /// Watches `store`.
    pub fn new(store: S, watch: Arc<dyn StoreWatch>) -> Self {
        Self { store, watch }
    }

    async fn timed<T, E>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let span = trace(operation);
        let stopwatch = Stopwatch::start();
        let done = work.instrument(span.clone()).await;
        let time = stopwatch.elapsed();
        StoreTime::current().add(time);
        self.watch.took(operation, time);
        if done.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        done
    }
}

/// A part of a request's trace. What works in the background asks the store all the time, and would fill the collector
/// with traces of one span.
fn trace(operation: &'static str) -> tracing::Span {
    if tracing::Span::current().is_none() {
        return tracing::Span::none();
    }
    tracing::info_span!(
        target: TARGET,
        "store",
        otel.name = operation,
        otel.kind = "client",
        otel.status_code = Empty
    )
}

/// Passes every method of a port on. A method of a port that has no line below does not compile.
macro_rules! pass_on {
    ($name:literal as $port:ident {
        $(fn $method:ident(&self $(, $argument:ident: $kind:ty)*) -> $result:ty;)*
        $(untimed fn $plain:ident(&self) -> $plain_result:ty;)*
    }) => {
        #[async_trait]
        impl<S: $port> $port for Watched<S> {
            $(async fn $method(&self $(, $argument: $kind)*) -> $result {
                let work = self.store.$method($($argument),*);
                self.timed(concat!($name, ".", stringify!($method)), work).await
            })*

            $(fn $plain(&self) -> $plain_result {
                self.store.$plain()
            })*
        }
    };
}

pass_on!("users" as Users {
    fn insert(&self, account: &Account, report: &Report) -> Result<(), WriteUserError>;
    fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError>;
    fn account(&self, id: UserId) -> Result<Option<Account>, StoreError>;
    fn by_login(&self, login: &LoginName) -> Result<Option<Account>, StoreError>;
    fn accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Account>, StoreError>;
    fn replace_hash(&self, id: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<bool, StoreError>;
    fn change(&self, id: UserId, epoch: u64, change: &UserChange, report: &Report)
        -> Result<Changed, WriteUserError>;
    fn list(&self, query: &UserQuery, after: Option<Place>, limit: u32) -> Result<Vec<User>, StoreError>;
    fn delete(&self, id: UserId, epoch: u64, report: &Report) -> Result<Changed, WriteUserError>;
});

pass_on!("roles" as Roles {
    fn ensure(&self, role: &Role) -> Result<(), StoreError>;
    fn named(&self, names: &[RoleName]) -> Result<Vec<Role>, StoreError>;
    fn every(&self) -> Result<Vec<Role>, StoreError>;
    fn put(&self, old: Option<&Role>, new: &Role, actor: UserId, report: &Report)
        -> Result<Changed, WriteRoleError>;
    fn remove(&self, old: &Role, report: &Report) -> Result<Changed, WriteRoleError>;
});

pass_on!("audit" as Audit {
    fn entries(&self, after: Option<Place>, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;
});

pass_on!("sessions" as Sessions {
    fn open(&self, session: &Session, report: &Report) -> Result<Opened, StoreError>;
    fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError>;
    fn standing(&self, id: SessionId) -> Result<Option<Standing>, StoreError>;
    fn exchange(&self, old: &Session, new: &Session) -> Result<Exchanged, StoreError>;
    fn end(&self, id: SessionId, report: &Report) -> Result<bool, StoreError>;
    fn end_all(&self, user: UserId, report: &Report) -> Result<bool, StoreError>;
    fn page(&self, user: UserId, after: Option<Place>, limit: u32, now: Timestamp)
        -> Result<Vec<Session>, StoreError>;
});

pass_on!("letters" as Letters {
    fn post(&self, owner: Option<TokenOwner>, report: &Report) -> Result<Changed, StoreError>;
    fn find(&self, purpose: Purpose, fingerprint: TokenFingerprint, now: Timestamp)
        -> Result<Option<FoundToken>, StoreError>;
    fn redeem(&self, token: &FoundToken, change: &UserChange, report: &Report)
        -> Result<Changed, WriteUserError>;
});

pass_on!("keys" as Keys {
    fn load(&self) -> Result<SealedRing, StoreError>;
    fn change(&self, seen: u64, change: &RingChange, at: Timestamp) -> Result<RingChanged, StoreError>;
});

pass_on!("outbox" as Outbox {
    fn of_user(&self, user: UserId) -> Result<Vec<OutboxEntry>, StoreError>;
    fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError>;
    fn settle(&self, claimed: &Claimed, fates: &[(Uuid, Fate)], now: Timestamp) -> Result<(), StoreError>;
    fn sweep(&self, now: Timestamp, unheard: bool) -> Result<(), StoreError>;
    fn status(&self, channel: Channel) -> Result<OutboxStatus, StoreError>;
    fn troubled(&self, channel: Channel, limit: u32) -> Result<Vec<Troubled>, StoreError>;
    fn replay(&self, which: &Replay, now: Timestamp) -> Result<u64, StoreError>;
    untimed fn news(&self) -> watch::Receiver<u64>;
});

pass_on!("revocations" as Revocations {
    fn after(&self, after: u64, limit: u32, now: Timestamp) -> Result<RevocationPage, StoreError>;
    untimed fn news(&self) -> watch::Receiver<u64>;
});

pass_on!("attempts" as Attempts {
    fn admit(&self, counters: &[Counter], now: Timestamp) -> Result<Admission, StoreError>;
    fn give_back(&self, counters: &[Counter], now: Timestamp) -> Result<(), StoreError>;
    fn proven(&self, counters: &[Counter], now: Timestamp, familiar: Duration) -> Result<(), StoreError>;
    fn unlock(&self, accounts: &[CounterKey], user: UserId, report: &Report) -> Result<(), StoreError>;
});

pass_on!("logins" as LoginHistory {
    fn failed(&self, user: Option<UserId>, report: &Report) -> Result<(), StoreError>;
    fn logins(&self, user: UserId, after: Option<Place>, limit: u32) -> Result<Vec<LoginEntry>, StoreError>;
    fn acquaintance(&self, user: UserId, device: &str) -> Result<Acquaintance, StoreError>;
});

pass_on!("alerts" as Alerts {
    fn raised(&self, after: Option<Place>, limit: u32) -> Result<Vec<KeptAlert>, StoreError>;
});

pass_on!("health" as StoreHealth {
    fn ping(&self) -> Result<(), StoreError>;
});
