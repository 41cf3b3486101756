use std::collections::BTreeSet;
use std::time::Duration;

use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom, later, random_bytes};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::event::{Event, Report};
use doorward_issuer::domain::ids::{SessionId, UserId};
use doorward_issuer::domain::outbox::OutboxEntry;
use doorward_issuer::domain::ports::{Changed, Opened, Outbox, Revocations as _, Sessions, Store, Users};
use doorward_issuer::domain::revocation::Revoked;
use doorward_issuer::domain::session::{Session, SessionLimits};
use doorward_issuer::domain::token::TokenFingerprint;
use doorward_issuer::domain::user::{Account, User, UserChange, UserStatus};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fixture::{Fixture, account, hash, quiet, role_name};

pub(crate) async fn a_change_and_what_it_tells_are_one_write<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let mut news = Outbox::news(&store);
    let context = RequestContext { request_id: "r-1".into(), ..RequestContext::default() };
    let Account { user, .. } = newcomer(&store, &context).await;
    assert!(news.has_changed().unwrap(), "whoever publishes is woken");
    news.mark_unchanged();

    let waiting = store.of_user(user.id).await.unwrap();
    let [created] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!((created.kind.as_str(), created.sequence), ("user.created", 1));
    assert_eq!((created.user, created.request_id.as_str()), (user.id, "r-1"));
    let data = json!({
        "id": user.id.to_string(), "email": user.email.as_str(), "username": null, "roles": ["user"],
    });
    assert_eq!(serde_json::from_str::<Value>(&created.data).unwrap(), data);

    let report = quiet().tell(Event::UserUnlocked).tell(Event::PasswordChanged);
    let verified = UserChange { email_verified: Some(true), ..UserChange::default() };
    assert_eq!(store.change(user.id, 0, &verified, &report).await.unwrap(), Changed::Yes);
    // Another replica reads the same.
    assert_eq!(
        kinds(&fixture.open().await, user.id).await,
        ["user.created", "user.unlocked", "password.changed"]
    );
    let now = Users::by_id(&store, user.id).await.unwrap().unwrap();
    assert_eq!(now, User { email_verified: true, updated_at: report.at, ..user }, "nothing else moved");
    assert!(store.after(0, 10, report.at).await.unwrap().items.is_empty(), "nothing was cut off");
}

pub(crate) async fn what_did_not_happen_is_not_told<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let first = newcomer(&store, &RequestContext::default()).await;
    let second = newcomer(&store, &RequestContext::default()).await;
    let told = quiet().tell(Event::PasswordChanged);

    let same_address =
        Account { user: User { email: first.user.email.clone(), ..account().user }, password: hash() };
    store.insert(&same_address, &told).await.unwrap_err();
    let taken = UserChange { email: Some(first.user.email.clone()), ..UserChange::default() };
    let session = log_in(&store, second.user.id).await;
    store.change(second.user.id, 0, &taken, &told).await.unwrap_err();
    let password = UserChange { password: Some(hash()), ..UserChange::default() };
    assert_eq!(store.change(second.user.id, 9, &password, &told).await.unwrap(), Changed::Superseded);
    let late = Session { id: SessionId::random(&SystemRandom), epoch: 9, ..session.clone() };
    assert_eq!(store.open(&late, &told).await.unwrap(), Opened::Superseded);
    assert!(!store.end(SessionId::random(&SystemRandom), &told).await.unwrap());
    let nobody = UserId::random(&SystemRandom);
    assert!(!store.end_all(nobody, &told).await.unwrap());
    assert_eq!(store.delete(nobody, 0, &told).await.unwrap(), Changed::Superseded);
    assert_eq!(store.delete(first.user.id, 9, &told).await.unwrap(), Changed::Superseded);

    for user in [same_address.user.id, nobody] {
        assert_eq!(kinds(&store, user).await, [""; 0]);
    }
    assert_eq!(kinds(&store, first.user.id).await, ["user.created"]);
    assert_eq!(kinds(&store, second.user.id).await, ["user.created", "user.login"]);
    assert_eq!(Some(&session), open_session(&store, session.id).await.as_ref(), "and nobody was logged out");
    assert_eq!(store.after(0, 10, told.at).await.unwrap().newest, 0);
}

pub(crate) async fn every_act_that_ends_sessions_revokes<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let user = newcomer(&store, &RequestContext::default()).await.user.id;
    let mut expected = Vec::new();

    let one = log_in(&store, user).await.id;
    assert!(store.end(one, &quiet()).await.unwrap());
    expected.push((Revoked::Session(one), vec![one]));

    let roles = UserChange { roles: Some(vec![role_name("admin")]), ..UserChange::default() };
    let stays = log_in(&store, user).await.id;
    assert_eq!(store.change(user, 0, &roles, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(
        open_session(&store, stays).await.map(|session| session.id),
        Some(stays),
        "the next refresh carries the new roles"
    );
    expected.push((Revoked::User { user, epoch: 1 }, vec![]));

    assert!(store.end_all(user, &quiet()).await.unwrap());
    expected.push((Revoked::User { user, epoch: 2 }, vec![stays]));

    let suspended = UserChange { status: Some(UserStatus::Suspended), ..UserChange::default() };
    let address = UserChange { email: Some(account().user.email), ..UserChange::default() };
    let password = UserChange { password: Some(hash()), ..UserChange::default() };
    for (epoch, change) in [(2, password), (3, address), (4, suspended)] {
        let ended = log_in_at(&store, user, epoch).await.id;
        assert_eq!(store.change(user, epoch, &change, &quiet()).await.unwrap(), Changed::Yes);
        assert_eq!(open_session(&store, ended).await, None);
        expected.push((Revoked::User { user, epoch: epoch + 1 }, vec![ended]));
    }

    let page = store.after(0, 100, SystemClock.now()).await.unwrap();
    let places: Vec<_> = page.items.iter().map(|entry| entry.seq).collect();
    assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
    let revoked: Vec<_> = page.items.into_iter().map(|entry| entry.revoked).collect();
    assert_eq!(revoked, expected.iter().map(|(revoked, _)| revoked.clone()).collect::<Vec<_>>());
    let logouts = store.of_user(user).await.unwrap();
    let logouts =
        logouts.iter().filter(|event| event.kind == "user.logout").map(ended_by).collect::<Vec<_>>();
    let ended = expected.iter().map(|(_, ended)| ended).filter(|ended| !ended.is_empty());
    assert_eq!(
        logouts,
        ended.map(|ids| ids.iter().map(ToString::to_string).collect()).collect::<Vec<Vec<_>>>()
    );

    // From a place on, in pages, and only as long as it matters.
    let page = store.after(places[1], 2, SystemClock.now()).await.unwrap();
    assert_eq!(page.items.iter().map(|entry| entry.seq).collect::<Vec<_>>(), places[2..4]);
    assert_eq!(page.newest, places[5]);
    let past = later(SystemClock.now(), Duration::from_mins(66));
    let page = store.after(0, 100, past).await.unwrap();
    assert_eq!((page.items.len(), page.newest), (0, places[5]));
}

pub(crate) async fn events_of_one_user_are_numbered_without_gaps<F: Fixture>() {
    let fixture = F::start().await;
    let stores = [fixture.open().await, fixture.open().await];
    let user = newcomer(&stores[0], &RequestContext::default()).await.user.id;
    join_all((0..12).map(|n| log_in(&stores[n % 2], user))).await;
    let events = stores[0].of_user(user).await.unwrap();
    let numbers: Vec<_> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=13).collect::<Vec<_>>());
    assert_eq!(events.iter().map(|event| event.id).collect::<BTreeSet<_>>().len(), 13);
}

pub(crate) async fn no_reader_passes_a_revocation_by<F: Fixture>() {
    const EACH: usize = 12;
    let fixture = F::start().await;
    let stores = [fixture.open().await, fixture.open().await, fixture.open().await];
    let mut sessions = Vec::new();
    for _ in 0..stores.len() * EACH {
        let user = newcomer(&stores[0], &RequestContext::default()).await.user.id;
        sessions.push(log_in(&stores[0], user).await.id);
    }
    // Three issuers log people out at the same time, and so commit in any order.
    let writers = join_all(sessions.chunks(EACH).zip(&stores).map(async |(ids, store)| {
        for id in ids {
            assert!(store.end(*id, &quiet()).await.unwrap());
        }
    }));
    let reader = async {
        let (mut seen, mut after) = (Vec::new(), 0);
        while seen.len() < sessions.len() {
            let page = stores[0].after(after, 5, SystemClock.now()).await.unwrap();
            for entry in page.items {
                assert!(entry.seq > after, "in order");
                after = entry.seq;
                assert!(!seen.contains(&entry.revoked), "once");
                seen.push(entry.revoked);
            }
        }
    };
    let both = async { tokio::join!(writers, reader) };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("the reader missed one");
}

pub(crate) async fn what_is_deleted_has_an_end<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let user = newcomer(&store, &RequestContext::default()).await.user;
    let session = log_in(&store, user.id).await.id;
    let deleted = store.delete(user.id, 0, &quiet().tell(Event::UserDeleted)).await.unwrap();
    assert_eq!(deleted, Changed::Yes);
    assert_eq!(Users::by_id(&store, user.id).await.unwrap(), None);
    assert_eq!(open_session(&store, session).await, None);
    assert_eq!(kinds(&store, user.id).await, ["user.created", "user.login", "user.deleted", "user.logout"]);
    let page = store.after(0, 10, SystemClock.now()).await.unwrap();
    assert_eq!(page.items[0].revoked, Revoked::User { user: user.id, epoch: 1 });
    // Address and name are free again.
    let again = Account { user: User { email: user.email, ..account().user }, password: hash() };
    store.insert(&again, &quiet()).await.unwrap();
}

pub(crate) async fn many_log_out_at_once<F: Fixture>() {
    const MANY: usize = 128;
    let fixture = F::start().await;
    let store = fixture.open().await;
    let mut sessions = Vec::new();
    for _ in 0..MANY {
        let user = newcomer(&store, &RequestContext::default()).await.user.id;
        sessions.push(log_in(&store, user).await.id);
    }
    let report = quiet();
    // They all want the next place. None is told to come again.
    for ended in join_all(sessions.iter().map(|id| store.end(*id, &report))).await {
        assert!(ended.unwrap());
    }
    assert_eq!(store.after(0, 1000, report.at).await.unwrap().items.len(), MANY);
}

async fn newcomer(store: &impl Store, context: &RequestContext) -> Account {
    let account = account();
    let created = Event::UserCreated { user: Box::new(account.user.clone()) };
    store.insert(&account, &Report::new(SystemClock.now(), context).tell(created)).await.unwrap();
    account
}

async fn log_in(store: &impl Store, user: UserId) -> Session {
    let epoch = Users::by_id(store, user).await.unwrap().unwrap().epoch;
    log_in_at(store, user, epoch).await
}

async fn log_in_at(store: &impl Store, user: UserId, epoch: u64) -> Session {
    let limits = SessionLimits { idle: Duration::from_hours(1), whole: Duration::from_hours(2) };
    let (id, fingerprint) = (SessionId::random(&SystemRandom), TokenFingerprint(random_bytes(&SystemRandom)));
    let context = RequestContext::default();
    let session = Session::open(id, (user, epoch), fingerprint, limits, SystemClock.now(), &context);
    let login = Event::UserLogin { session: id, address: None, user_agent: None };
    let report = quiet().tell(login);
    assert_eq!(store.open(&session, &report).await.unwrap(), Opened::Yes);
    session
}

async fn open_session(store: &impl Store, id: SessionId) -> Option<Session> {
    Sessions::by_id(store, id).await.unwrap()
}

async fn kinds(store: &impl Store, user: UserId) -> Vec<String> {
    store.of_user(user).await.unwrap().into_iter().map(|event| event.kind).collect()
}

fn ended_by(logout: &OutboxEntry) -> Vec<String> {
    let data: Value = serde_json::from_str(&logout.data).unwrap();
    let ids = data["session_ids"].as_array().unwrap();
    ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}
