use std::collections::BTreeSet;
use std::time::Duration;

use doorward_issuer::domain::alert::Alert;
use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom, later};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::event::{Event, Report};
use doorward_issuer::domain::ids::{SessionId, UserId};
use doorward_issuer::domain::login_history::{Acquaintance, LoginEntry, LoginFailure, device_name};
use doorward_issuer::domain::page::Place;
use doorward_issuer::domain::ports::{
    Alerts as _, Changed, LoginHistory as _, Opened, Outbox as _, Store, Users as _,
};
use doorward_issuer::domain::session::{Session, SessionLimits};
use doorward_issuer::domain::token::TokenFingerprint;
use serde_json::json;

use crate::fixture::{Fixture, account, quiet};

const BROWSER: &str = "Firefox/128.0";

pub(crate) async fn logins_of_one_user_are_listed_latest_first<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (user, other) = (newcomer(&store).await, newcomer(&store).await);
    let mut expected = Vec::new();
    for minute in 0..7 {
        let failure = (minute % 3 == 0).then_some(LoginFailure::WrongPassword);
        // Two at the same moment have an order, too.
        let entry = entry(minute / 2, failure);
        write(&store, user, &entry).await;
        expected.push(entry);
    }
    write(&store, other, &entry(9, None)).await;
    store.failed(None, &failed_report(&entry(9, Some(LoginFailure::UnknownAccount)))).await.unwrap();
    expected.sort_by_key(|entry| (entry.at, entry.id));
    expected.reverse();

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        // Another replica reads the same.
        let page = fixture.open().await.logins(user, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(Place { at: last.at, id: last.id });
        seen.extend(page);
    }
    assert_eq!(seen, expected);
}

pub(crate) async fn a_failure_is_told_of_a_user_who_is_there<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let user = newcomer(&store).await;
    let failure = entry(0, Some(LoginFailure::WrongPassword));
    store.failed(Some(user), &failed_report(&failure)).await.unwrap();
    let told = store.of_user(user).await.unwrap();
    assert_eq!(told.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["user.login.failed"]);
    assert_eq!(store.logins(user, None, 9).await.unwrap(), [failure]);

    // He is deleted between the look at his password and this.
    assert_eq!(store.delete(user, 0, &quiet()).await.unwrap(), Changed::Yes);
    let late = entry(1, Some(LoginFailure::WrongPassword));
    store.failed(Some(user), &failed_report(&late)).await.unwrap();
    assert!(store.logins(user, None, 9).await.unwrap().is_empty(), "nothing of him is left");
}

pub(crate) async fn a_device_is_new_to_somebody_who_had_another_one<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (user, other) = (newcomer(&store).await, newcomer(&store).await);
    let browser = device_name(Some(BROWSER));
    let asked = async |device: &str| store.acquaintance(user, device).await.unwrap();
    write(&store, other, &entry(0, None)).await;
    write(&store, user, &entry(0, Some(LoginFailure::WrongPassword))).await;
    assert_eq!(asked(&browser).await, Acquaintance::FirstLogin);
    write(&store, user, &entry(1, None)).await;
    assert_eq!(asked(&browser).await, Acquaintance::Familiar);
    assert_eq!(asked(&device_name(Some("Firefox/129.0"))).await, Acquaintance::Familiar);
    assert_eq!(asked("curl/").await, Acquaintance::NewDevice);
    assert_eq!(asked("").await, Acquaintance::NewDevice);
}

pub(crate) async fn alerts_are_kept_and_listed_latest_first<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let users = [newcomer(&store).await, newcomer(&store).await];
    let context = RequestContext {
        request_id: "r-1".into(),
        address: Some("192.0.2.7".parse().unwrap()),
        user_agent: Some(BROWSER.into()),
    };
    for minute in 0..5_usize {
        let alert = Alert::many_failures(10, Duration::from_hours(1), &context);
        let at = later(SystemClock.now(), Duration::from_mins(minute as u64));
        let report = Report::new(at, &context).tell(Event::UserUnlocked).tell(Event::SecurityAlert(alert));
        store.failed(Some(users[minute % 2]), &report).await.unwrap();
    }
    let all = store.raised(None, 9).await.unwrap();
    assert_eq!(all.len(), 5, "and nothing that is none");
    assert!(all.is_sorted_by(|newer, older| newer.at > older.at));
    let alert = &all[0];
    assert_eq!(
        (alert.user, alert.request_id.as_str(), alert.kind.as_str()),
        (users[0], "r-1", "many_failures")
    );
    let details =
        json!({"failures": 10, "within_seconds": 3600, "address": "192.0.2.7", "user_agent": BROWSER});
    assert_eq!(json!(alert.details), details);
    // It is the event itself.
    let events = store.of_user(users[0]).await.unwrap();
    let ids: BTreeSet<_> = events.iter().map(|event| event.id).collect();
    assert!(ids.contains(&alert.id));

    let place = Place { at: all[1].at, id: all[1].id };
    assert_eq!(store.raised(Some(place), 2).await.unwrap(), all[2..4]);
}

async fn newcomer(store: &impl Store) -> UserId {
    let account = account();
    store.insert(&account, &quiet()).await.unwrap();
    account.user.id
}

fn entry(minute: u64, failure: Option<LoginFailure>) -> LoginEntry {
    let context = RequestContext {
        address: Some("2001:db8::7".parse().unwrap()),
        user_agent: Some(BROWSER.into()),
        ..RequestContext::default()
    };
    LoginEntry::new(later(SystemClock.now(), Duration::from_mins(minute)), &context, failure, &SystemRandom)
}

fn failed_report(entry: &LoginEntry) -> Report {
    let event = Event::LoginFailed { reason: "wrong_password", address: None, user_agent: None };
    quiet().tell(event).remember(entry.clone())
}

/// A success is written with its session, a failure by itself.
async fn write(store: &impl Store, user: UserId, entry: &LoginEntry) {
    if entry.failure.is_some() {
        return store.failed(Some(user), &failed_report(entry)).await.unwrap();
    }
    let limits = SessionLimits { idle: Duration::from_hours(1), whole: Duration::from_hours(2) };
    let id = SessionId::random(&SystemRandom);
    let fingerprint = TokenFingerprint([7; 32]);
    let context = RequestContext::default();
    let session = Session::open(id, (user, 0), fingerprint, limits, entry.at, &context);
    let login = Event::UserLogin { session: id, address: None, user_agent: None };
    let report = quiet().tell(login).remember(entry.clone());
    assert_eq!(store.open(&session, &report).await.unwrap(), Opened::Yes);
}
