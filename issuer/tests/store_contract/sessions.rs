use std::time::Duration;

use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom, later, random_bytes};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::ids::{SessionId, UserId};
use doorward_issuer::domain::ports::{Exchanged, Opened, Roles as _, Sessions, Users as _};
use doorward_issuer::domain::role::Permissions;
use doorward_issuer::domain::session::{Session, SessionLimits};
use doorward_issuer::domain::token::TokenFingerprint;
use doorward_issuer::domain::user::{Account, User, UserStatus};
use futures_util::future::join_all;

use crate::fixture::{Fixture, account, account_with, hash, quiet, role};

pub(crate) async fn an_open_session_is_found_as_it_was<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let account = Account { user: User { epoch: 7, ..account().user }, password: hash() };
    store.insert(&account, &quiet()).await.unwrap();
    let bare = RequestContext::default();
    let full = RequestContext {
        request_id: "r".into(),
        address: Some("2001:db8::1".parse().unwrap()),
        user_agent: Some("Ünïcödé/1.0 \u{1f980}".into()),
    };
    for context in [bare, full] {
        let session = session(account.user.id, 7, &context);
        assert_eq!(store.open(&session, &quiet()).await.unwrap(), Opened::Yes);
        // Another replica sees it at once, and again.
        assert_eq!(find(&fixture.open().await, session.id).await, Some(session));
    }
    assert_eq!(find(&store, SessionId::random(&SystemRandom)).await, None);
}

pub(crate) async fn a_change_of_the_user_wins<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let active = Account { user: User { epoch: 7, ..account().user }, password: hash() };
    let suspended =
        Account { user: User { status: UserStatus::Suspended, ..account().user }, password: hash() };
    store.insert(&active, &quiet()).await.unwrap();
    store.insert(&suspended, &quiet()).await.unwrap();
    for (name, user, epoch) in [
        ("an older epoch", active.user.id, 6),
        ("a later epoch", active.user.id, 8),
        ("a suspended user", suspended.user.id, 0),
        ("nobody", UserId::random(&SystemRandom), 0),
    ] {
        let session = session(user, epoch, &RequestContext::default());
        assert_eq!(store.open(&session, &quiet()).await.unwrap(), Opened::Superseded, "{name}");
        assert_eq!(find(&store, session.id).await, None, "{name}");
    }
}

pub(crate) async fn one_user_can_log_in_many_times_at_once<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let account = account();
    store.insert(&account, &quiet()).await.unwrap();
    let sessions: Vec<_> = (0..12).map(|_| session(account.user.id, 0, &RequestContext::default())).collect();
    let report = quiet();
    for opened in join_all(sessions.iter().map(|session| store.open(session, &report))).await {
        assert_eq!(opened.unwrap(), Opened::Yes);
    }
    for session in sessions {
        assert_eq!(find(&store, session.id).await, Some(session));
    }
}

pub(crate) async fn who_stands_behind_a_session_is_told_with_it<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    for role in
        [role("user", "", &[]), role("a", "", &["x:read", "y:read"]), role("b", "", &["x:read", "z:write"])]
    {
        store.ensure(&role).await.unwrap();
    }
    let store = fixture.open().await;
    for (roles, expected) in [
        (&["user"][..], &[][..]),
        (&["user", "a", "b"], &["x:read", "y:read", "z:write"]),
        (&["b", "never-made"], &["x:read", "z:write"]),
        (&[], &[]),
    ] {
        let account = account_with(roles);
        store.insert(&account, &quiet()).await.unwrap();
        let session = session(account.user.id, 0, &RequestContext::default());
        assert_eq!(store.open(&session, &quiet()).await.unwrap(), Opened::Yes);
        let standing = store.standing(session.id).await.unwrap().unwrap();
        let names =
            |permissions: &Permissions| permissions.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!((standing.session, standing.user), (session, Some(account.user.clone())));
        assert_eq!(names(&standing.permissions), expected);
    }
    assert!(store.standing(SessionId::random(&SystemRandom)).await.unwrap().is_none());
}

fn session(user: UserId, epoch: u64, context: &RequestContext) -> Session {
    let id = SessionId::random(&SystemRandom);
    let limits = SessionLimits { idle: Duration::from_secs(3600), whole: Duration::from_secs(7200) };
    let fingerprint = TokenFingerprint(random_bytes(&SystemRandom));
    Session::open(id, (user, epoch), fingerprint, limits, SystemClock.now(), context)
}

async fn find(sessions: &impl Sessions, id: SessionId) -> Option<Session> {
    sessions.by_id(id).await.unwrap()
}

pub(crate) async fn an_exchange_moves_the_session_on_and_nothing_else<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let account = account();
    store.insert(&account, &quiet()).await.unwrap();
    let context = RequestContext { user_agent: Some("a browser".into()), ..RequestContext::default() };
    let (old, bystander) = (session(account.user.id, 0, &context), session(account.user.id, 0, &context));
    for session in [&old, &bystander] {
        assert_eq!(store.open(session, &quiet()).await.unwrap(), Opened::Yes);
    }
    let new = exchanged(&old);
    assert_eq!(store.exchange(&old, &new).await.unwrap(), Exchanged::Yes);
    assert_eq!(find(&fixture.open().await, old.id).await.as_ref(), Some(&new));
    assert_eq!(store.exchange(&old, &exchanged(&old)).await.unwrap(), Exchanged::Lost, "not the current one");
    // One of generation and fingerprint is not enough.
    let other_token = Session { refresh_fingerprint: old.refresh_fingerprint, ..new.clone() };
    let other_generation = Session { generation: 0, ..new.clone() };
    for wrong in [other_token, other_generation] {
        assert_eq!(store.exchange(&wrong, &exchanged(&wrong)).await.unwrap(), Exchanged::Lost);
    }
    assert_eq!(find(&store, old.id).await, Some(new), "whoever lost wrote nothing");
    assert_eq!(find(&store, bystander.id).await, Some(bystander));
}

pub(crate) async fn of_many_exchanges_one_happens<F: Fixture>() {
    let fixture = F::start().await;
    let stores = [fixture.open().await, fixture.open().await];
    let account = account();
    stores[0].insert(&account, &quiet()).await.unwrap();
    let old = session(account.user.id, 0, &RequestContext::default());
    assert_eq!(stores[0].open(&old, &quiet()).await.unwrap(), Opened::Yes);
    let attempts = join_all((0..64).map(async |n| {
        let new = exchanged(&old);
        let exchanged = stores[n % 2].exchange(&old, &new).await.unwrap();
        // Whoever lost sees at once what the winner wrote.
        (exchanged, new, find(&stores[n % 2], old.id).await.unwrap())
    }))
    .await;
    let won: Vec<_> = attempts.iter().filter(|(exchanged, ..)| *exchanged == Exchanged::Yes).collect();
    assert_eq!(won.len(), 1);
    assert!(attempts.iter().all(|(_, _, seen)| *seen == won[0].1));
}

pub(crate) async fn a_session_that_has_ended_stays_so<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (owner, other) = (account(), account());
    for account in [&owner, &other] {
        store.insert(account, &quiet()).await.unwrap();
    }
    let sessions: Vec<_> = (0..4).map(|_| session(owner.user.id, 0, &RequestContext::default())).collect();
    let others = session(other.user.id, 0, &RequestContext::default());
    for session in sessions.iter().chain([&others]) {
        assert_eq!(store.open(session, &quiet()).await.unwrap(), Opened::Yes);
    }
    let first = &sessions[0];
    assert!(store.end(first.id, &quiet()).await.unwrap());
    assert!(!store.end(first.id, &quiet()).await.unwrap(), "once");
    assert_eq!(find(&fixture.open().await, first.id).await, None);
    assert_eq!(store.exchange(first, &exchanged(first)).await.unwrap(), Exchanged::Lost);
    assert_eq!(find(&store, first.id).await, None, "an exchange opens nothing");
    assert!(find(&store, sessions[1].id).await.is_some(), "exactly that one");

    store.end_all(owner.user.id, &quiet()).await.unwrap();
    for session in &sessions {
        assert_eq!(find(&store, session.id).await, None);
    }
    assert_eq!(find(&store, others.id).await, Some(others), "somebody else's");
    store.end_all(owner.user.id, &quiet()).await.unwrap();
}

pub(crate) async fn a_page_has_the_latest_logins_of_one_user<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (owner, other) = (account(), account());
    for account in [&owner, &other] {
        store.insert(account, &quiet()).await.unwrap();
    }
    let start = SystemClock.now();
    // Two and two begin in the same millisecond.
    let mut expected = Vec::new();
    for n in 0..9_u64 {
        let created_at = later(start, Duration::from_millis(n / 2));
        let opened = session(owner.user.id, 0, &RequestContext::default());
        expected.push(Session { created_at, ..opened });
    }
    let past = Session { expires_at: start, ..session(owner.user.id, 0, &RequestContext::default()) };
    let others = session(other.user.id, 0, &RequestContext::default());
    for session in expected.iter().chain([&past, &others]) {
        assert_eq!(store.open(session, &quiet()).await.unwrap(), Opened::Yes);
    }
    expected.sort_by_key(|session| (session.created_at, session.id));
    expected.reverse();

    let all = store.page(owner.user.id, None, 100, start).await.unwrap();
    assert_eq!(all, expected);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.page(owner.user.id, after, 2, start).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.place());
        paged.extend(page);
    }
    assert_eq!(paged, expected, "nothing twice, nothing left out");
    assert_eq!(store.page(UserId::random(&SystemRandom), None, 100, start).await.unwrap(), []);
}

/// The session after an exchange for some token.
fn exchanged(old: &Session) -> Session {
    let child = TokenFingerprint(random_bytes(&SystemRandom));
    old.exchanged(child, Duration::from_secs(1800), later(old.last_used_at, Duration::from_secs(60)))
}
