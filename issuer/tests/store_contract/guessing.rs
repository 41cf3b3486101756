use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_issuer::crypto::master_key::MasterKey;
use doorward_issuer::domain::alert::Hours;
use doorward_issuer::domain::change_password::ChangePasswordError;
use doorward_issuer::domain::clock::{Clock as _, SystemRandom};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::event::Report;
use doorward_issuer::domain::guard::{Guard, GuardError, Limits};
use doorward_issuer::domain::login::LoginError;
use doorward_issuer::domain::password::{Password, PasswordHash};
use doorward_issuer::domain::policy::{PasswordChoice, PasswordRefusal};
use doorward_issuer::domain::ports::{
    Alerts as _, HashError, LoginHistory as _, Outbox as _, PasswordHasher, Store, Verdict,
};
use doorward_issuer::domain::token::Tokens;
use doorward_issuer::domain::username::LoginName;
use doorward_issuer::store::watched::{StoreWatch, Watched};
use futures_util::future::join_all;
use serde_json::Value;

use crate::fixture::Fixture;
use crate::issuer::{Issuer, PASSWORD};

const EMAIL: &str = "a@b.com";
const NOBODY: &str = "nobody@b.com";
const HOME: &str = "192.0.2.1";
const BOTNET: &str = "198.51.100.1";

pub(crate) async fn five_are_free_and_then_it_is_slow<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.register(EMAIL, PASSWORD, None).await.unwrap();
    for name in [EMAIL, NOBODY, "not a name at all"] {
        for _ in 0..5 {
            assert_wrong(&guess(&issuer, HOME, name).await);
        }
        assert_waits(&guess(&issuer, HOME, name).await, 15);
    }
    // The right password does not help either, and waiting does.
    assert_waits(&log_in(&issuer, HOME, EMAIL).await, 15);
    issuer.clock.advance(Duration::from_secs(15));
    assert_wrong(&guess(&issuer, HOME, EMAIL).await);
    assert_waits(&guess(&issuer, HOME, EMAIL).await, 30);
    // From elsewhere he is not held up, nor is anybody else from here.
    log_in(&issuer, BOTNET, EMAIL).await.unwrap();
    issuer.register("c@b.com", PASSWORD, None).await.unwrap();
    log_in(&issuer, HOME, "c@b.com").await.unwrap();
    // Once he is in, he starts afresh.
    issuer.clock.advance(Duration::from_secs(30));
    log_in(&issuer, HOME, EMAIL).await.unwrap();
    for _ in 0..5 {
        assert_wrong(&guess(&issuer, HOME, EMAIL).await);
    }
    assert_waits(&guess(&issuer, HOME, EMAIL).await, 15);
}

pub(crate) async fn many_at_once_get_no_more_than_their_share<F: Fixture>() {
    let fixture = F::start().await;
    let master = Arc::new(MasterKey::generate(&SystemRandom));
    let issuers = [
        Issuer::with_master(fixture.open().await, 4, master.clone()).await,
        Issuer::with_master(fixture.open().await, 4, master.clone()).await,
    ];
    issuers[0].register(EMAIL, PASSWORD, None).await.unwrap();
    for name in [EMAIL, NOBODY] {
        let (mut compared, mut rounds) = (0, 0);
        // The pool takes four of one address at once, so it needs a few goes.
        while compared < 5 {
            let all = (0..64).map(|n| guess(&issuers[n % 2], HOME, name));
            compared += join_all(all).await.iter().filter(|answer| is_wrong(answer)).count();
            rounds += 1;
            assert!(rounds < 50, "those who were turned away were counted");
        }
        assert_eq!(compared, 5, "{name}");
        assert!(matches!(guess(&issuers[1], HOME, name).await, Err(LoginError::TooManyAttempts { .. })));
    }
}

pub(crate) async fn a_locked_account_stays_open_for_its_owner<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let limits = Limits { account: 12, alert_after: 8, ..Limits::default() };
    let issuer = limited(store.clone(), limits).await;
    let user = issuer.register(EMAIL, PASSWORD, None).await.unwrap().id;
    log_in(&issuer, HOME, EMAIL).await.unwrap();
    for bot in 0..12 {
        assert_wrong(&guess(&issuer, &format!("198.51.100.{bot}"), EMAIL).await);
    }
    for name in [EMAIL, NOBODY] {
        if name == NOBODY {
            for bot in 0..12 {
                assert_wrong(&guess(&issuer, &format!("198.51.100.{bot}"), name).await);
            }
        }
        let wait = waits(&guess(&issuer, "198.51.100.99", name).await);
        assert!((3590..=3600).contains(&wait), "{name}: {wait}");
    }
    // Whoever was let in from there before comes in; the right password from elsewhere does not.
    assert!(waits(&log_in(&issuer, BOTNET, EMAIL).await) > 0);
    log_in(&issuer, HOME, EMAIL).await.unwrap();

    let told = store.of_user(user).await.unwrap();
    let of = |kind: &str| told.iter().filter(|event| event.kind == kind).collect::<Vec<_>>();
    assert_eq!(of("user.login.failed").len(), 12);
    let locked = of("user.locked");
    assert_eq!(locked.len(), 1, "said once");
    let until = serde_json::from_str::<Value>(&locked[0].data).unwrap()["until"].clone();
    let until: jiff::Timestamp = until.as_str().unwrap().parse().unwrap();
    let left = until.duration_since(issuer.clock.now()).as_secs();
    assert!((3300..=3600).contains(&left), "{left}");
    let kinds: Vec<_> = store.raised(None, 9).await.unwrap().into_iter().map(|alert| alert.kind).collect();
    assert_eq!(kinds, ["success_after_failures", "many_failures"]);

    issuer.clock.advance(Duration::from_secs(3600));
    log_in(&issuer, BOTNET, EMAIL).await.unwrap();
}

pub(crate) async fn an_address_has_its_share<F: Fixture>() {
    let fixture = F::start().await;
    let limits = Limits { address: 10, ..Limits::default() };
    let issuer = limited(fixture.open().await, limits).await;
    issuer.register(EMAIL, PASSWORD, None).await.unwrap();
    // Those that succeed are given back.
    for _ in 0..12 {
        log_in(&issuer, "2001:db8:1::1", EMAIL).await.unwrap();
    }
    for host in 0..10 {
        assert_wrong(&guess(&issuer, &format!("2001:db8:1::{host}"), &format!("user-{host}")).await);
    }
    let wait = waits(&log_in(&issuer, "2001:db8:1:0:ffff::1", EMAIL).await);
    assert!((590..=600).contains(&wait), "{wait}");
    log_in(&issuer, "2001:db8:1:1::1", EMAIL).await.unwrap();
    for _ in 0..5 {
        assert_wrong(&guess(&issuer, "::ffff:203.0.113.9", NOBODY).await);
    }
    assert!(waits(&guess(&issuer, "203.0.113.9", NOBODY).await) > 0, "the same address in other clothes");
}

/// The store is asked the same, in the same order, and as many passwords are compared, whether there is such an account
/// or not.
pub(crate) async fn known_and_unknown_accounts_are_told_apart_by_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let steps = Arc::new(Steps::default());
    let store = Watched::new(fixture.open().await, steps.clone());
    let mut issuer = Issuer::over(Arc::new(store), 4, Arc::new(MasterKey::generate(&SystemRandom))).await;
    issuer.login.hasher = Arc::new(Counted { hasher: issuer.login.hasher.clone(), steps: steps.clone() });
    issuer.register(EMAIL, PASSWORD, Some("alice")).await.unwrap();
    let mut seen = Vec::new();
    for (name, address) in [(EMAIL, HOME), ("alice", HOME), (NOBODY, HOME), ("bob", HOME)] {
        steps.take();
        let mut all = Vec::new();
        for _ in 0..7 {
            let answer = match guess(&issuer, address, name).await {
                Err(LoginError::InvalidCredentials) => "wrong",
                Err(LoginError::TooManyAttempts { .. }) => "too many",
                other => panic!("{other:?}"),
            };
            all.push((answer, steps.take()));
        }
        seen.push(all);
    }
    for other in &seen[1..] {
        assert_eq!(other, &seen[0]);
    }
    let wrong = ["attempts.admit", "users.by_login", "password", "logins.failed"].to_vec();
    assert_eq!(seen[0][0], ("wrong", wrong));
    assert_eq!(seen[0][6], ("too many", ["attempts.admit"].to_vec()));
}

pub(crate) async fn guessing_at_an_open_session_is_guessing<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let tokens = issuer.newcomer(EMAIL).await;
    let caller = issuer.caller(&tokens).await.unwrap();
    for _ in 0..5 {
        let refused = issuer.change_password(&caller, "not it", "n3wer-P@ssword!").await;
        assert!(matches!(refused, Err(ChangePasswordError::WrongPassword)), "{refused:?}");
    }
    let refused = issuer.change_password(&caller, PASSWORD, "n3wer-P@ssword!").await;
    assert!(matches!(refused, Err(ChangePasswordError::TooManyAttempts { .. })), "{refused:?}");
    // The login counts on from there.
    assert!(waits(&issuer.log_in(EMAIL, PASSWORD).await) > 0);
    issuer.clock.advance(Duration::from_secs(15));
    issuer.change_password(&caller, PASSWORD, "n3wer-P@ssword!").await.unwrap();
}

pub(crate) async fn what_is_odd_about_a_login_is_an_alert<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let mut issuer = Issuer::on(store.clone(), 4).await;
    let user = issuer.register(EMAIL, PASSWORD, None).await.unwrap().id;
    let hour = issuer.clock.now().to_zoned(jiff::tz::TimeZone::UTC).hour();
    let mut log_in_with = async |device: &str, hours: Option<&str>| {
        issuer.login.hours = hours.map(|hours| Hours::parse(hours).unwrap());
        let context = RequestContext { user_agent: Some(device.to_owned()), ..from(HOME) };
        issuer.log_in_from(&context, EMAIL, PASSWORD).await.unwrap();
    };
    let (now, not_now) = (around(hour), around((hour + 12) % 24));
    log_in_with("Firefox/128.0", Some(&now)).await;
    log_in_with("Firefox/129.0", None).await;
    assert!(store.raised(None, 9).await.unwrap().is_empty(), "nothing odd so far");
    log_in_with("curl/8.5.0", None).await;
    log_in_with("curl/8.5.0", Some(&not_now)).await;
    let alerts = store.raised(None, 9).await.unwrap();
    let kinds: Vec<_> = alerts.iter().map(|alert| alert.kind.as_str()).collect();
    assert_eq!(kinds, ["unusual_hour", "new_device"]);
    assert_eq!(alerts[1].details["user_agent"], "curl/8.5.0");
    let history = store.logins(user, None, 9).await.unwrap();
    assert_eq!(history.len(), 4);
    assert_eq!(history[0].user_agent.as_deref(), Some("curl/8.5.0"));
}

pub(crate) async fn an_administrator_unlocks_every_name_of_an_account<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let issuer = Issuer::on(store.clone(), 4).await;
    let user = issuer.register(EMAIL, PASSWORD, Some("alice")).await.unwrap();
    for name in [EMAIL, "alice"] {
        for _ in 0..5 {
            assert_wrong(&guess(&issuer, HOME, name).await);
        }
        assert!(waits(&log_in(&issuer, HOME, name).await) > 0);
    }
    let report = Report::new(issuer.clock.now(), &from(HOME));
    issuer.guard.unlock(&user, &report).await.unwrap();
    issuer.guard.unlock(&user, &report).await.unwrap();
    let told = store.of_user(user.id).await.unwrap();
    assert_eq!(told.iter().filter(|event| event.kind == "user.unlocked").count(), 1);
    for name in [EMAIL, "alice"] {
        log_in(&issuer, HOME, name).await.unwrap();
    }
}

pub(crate) async fn mails_have_their_share<F: Fixture>() {
    let fixture = F::start().await;
    let limits = Limits { mail_account: 2, mail_address: 5, ..Limits::default() };
    let issuer = limited(fixture.open().await, limits).await;
    let ask = async |address: &str, email: &str| {
        issuer.guard.admit_mail(LoginName::parse(email).as_ref(), email, &from(address)).await
    };
    for email in [EMAIL, NOBODY] {
        for _ in 0..2 {
            ask(HOME, email).await.unwrap();
        }
        let refused = ask(BOTNET, email).await;
        assert!(matches!(refused, Err(GuardError::TooMany { .. })), "{email}: {refused:?}");
    }
    ask(HOME, "c@b.com").await.unwrap();
    assert!(ask(HOME, "d@b.com").await.is_err(), "the address has had its five");
    ask(BOTNET, "d@b.com").await.unwrap();
    issuer.clock.advance(Duration::from_secs(3600));
    ask(HOME, EMAIL).await.unwrap();
}

pub(crate) async fn who_is_turned_away_for_lack_of_room_is_not_counted<F: Fixture>() {
    let fixture = F::start().await;
    let steps = Arc::new(Steps::default());
    let store = Watched::new(fixture.open().await, steps.clone());
    let mut issuer = Issuer::over(Arc::new(store), 4, Arc::new(MasterKey::generate(&SystemRandom))).await;
    issuer.register(EMAIL, PASSWORD, None).await.unwrap();
    let real = issuer.login.hasher.clone();
    steps.take();
    issuer.login.hasher = Arc::new(Full { room: false });
    for _ in 0..9 {
        let refused = log_in(&issuer, HOME, EMAIL).await;
        assert!(matches!(refused, Err(LoginError::Overloaded { .. })), "{refused:?}");
    }
    assert!(steps.take().is_empty(), "turning somebody away costs the store nothing");
    // Full a moment later: then he is given back what he was counted.
    issuer.login.hasher = Arc::new(Full { room: true });
    for _ in 0..9 {
        let refused = log_in(&issuer, HOME, EMAIL).await;
        assert!(matches!(refused, Err(LoginError::Overloaded { .. })), "{refused:?}");
    }
    issuer.login.hasher = real;
    log_in(&issuer, HOME, EMAIL).await.unwrap();
}

type Answer = Result<Tokens, LoginError>;

async fn limited(store: impl Store + 'static, limits: Limits) -> Issuer {
    let mut issuer = Issuer::on(store, 4).await;
    let Guard { attempts, blinder, clock, .. } = &*issuer.guard;
    let guard = Guard { attempts: attempts.clone(), blinder: blinder.clone(), limits, clock: clock.clone() };
    issuer.guard = Arc::new(guard);
    issuer.login.guard = issuer.guard.clone();
    issuer
}

fn from(address: &str) -> RequestContext {
    RequestContext { address: Some(address.parse().unwrap()), ..RequestContext::default() }
}

async fn guess(issuer: &Issuer, address: &str, name: &str) -> Answer {
    issuer.log_in_from(&from(address), name, "not the password").await
}

async fn log_in(issuer: &Issuer, address: &str, name: &str) -> Answer {
    issuer.log_in_from(&from(address), name, PASSWORD).await
}

fn is_wrong(answer: &Answer) -> bool {
    matches!(answer, Err(LoginError::InvalidCredentials))
}

#[track_caller]
fn assert_wrong(answer: &Answer) {
    assert!(is_wrong(answer), "{answer:?}");
}

/// The seconds that the answer wants somebody to wait.
#[track_caller]
fn waits(answer: &Answer) -> u64 {
    match answer {
        Err(LoginError::TooManyAttempts { retry_after }) => retry_after.as_secs(),
        other => panic!("{other:?}"),
    }
}

/// The answer wants somebody to wait that long, less what the test itself has taken since.
#[track_caller]
fn assert_waits(answer: &Answer, seconds: u64) {
    let waits = waits(answer);
    assert!((seconds.saturating_sub(10)..=seconds).contains(&waits), "{waits} s instead of {seconds} s");
}

/// From that hour on, for two.
fn around(hour: i8) -> String {
    format!("{hour:02}:00-{:02}:00", (hour + 2) % 24)
}

/// What was done, in its order.
#[derive(Default)]
struct Steps(Mutex<Vec<&'static str>>);

impl Steps {
    fn note(&self, step: &'static str) {
        self.0.lock().unwrap().push(step);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl StoreWatch for Steps {
    fn took(&self, operation: &'static str, _: Duration) {
        self.note(operation);
    }
}

/// The real hasher, and a note of each password that it compares.
struct Counted {
    hasher: Arc<dyn PasswordHasher>,
    steps: Arc<Steps>,
}

#[async_trait::async_trait]
impl PasswordHasher for Counted {
    fn room(&self, client: Option<IpAddr>) -> Result<(), HashError> {
        self.hasher.room(client)
    }

    async fn choose(&self, choice: PasswordChoice, client: Option<IpAddr>) -> Choice {
        self.hasher.choose(choice, client).await
    }

    async fn verify(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
        client: Option<IpAddr>,
    ) -> Result<Verdict, HashError> {
        self.steps.note("password");
        self.hasher.verify(password, stored, client).await
    }
}

/// No room for any work, and perhaps a moment ago there was.
struct Full {
    room: bool,
}

const FULL: HashError = HashError::Overloaded { retry_after: Duration::from_secs(2) };

#[async_trait::async_trait]
impl PasswordHasher for Full {
    fn room(&self, _: Option<IpAddr>) -> Result<(), HashError> {
        if self.room { Ok(()) } else { Err(FULL) }
    }

    async fn choose(&self, _: PasswordChoice, _: Option<IpAddr>) -> Choice {
        Err(FULL)
    }

    async fn verify(
        &self,
        _: Password,
        _: Option<PasswordHash>,
        _: Option<IpAddr>,
    ) -> Result<Verdict, HashError> {
        Err(FULL)
    }
}

type Choice = Result<Result<PasswordHash, PasswordRefusal>, HashError>;
