use std::time::Duration;

use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom, random_bytes};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::ids::{SessionId, UserId};
use doorward_issuer::domain::ports::{Opened, Sessions, Users as _};
use doorward_issuer::domain::session::{Session, SessionLimits};
use doorward_issuer::domain::token::TokenFingerprint;
use doorward_issuer::domain::user::{Account, User, UserStatus};
use futures_util::future::join_all;

use crate::fixture::{Fixture, account, hash};

pub(crate) async fn an_open_session_is_found_as_it_was<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let account = Account { user: User { epoch: 7, ..account().user }, password: hash() };
    store.insert(&account).await.unwrap();
    let bare = RequestContext::default();
    let full = RequestContext {
        request_id: "r".into(),
        address: Some("2001:db8::1".parse().unwrap()),
        user_agent: Some("Ünïcödé/1.0 \u{1f980}".into()),
    };
    for context in [bare, full] {
        let session = session(account.user.id, 7, &context);
        assert_eq!(store.open(&session).await.unwrap(), Opened::Yes);
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
    store.insert(&active).await.unwrap();
    store.insert(&suspended).await.unwrap();
    for (name, user, epoch) in [
        ("an older epoch", active.user.id, 6),
        ("a later epoch", active.user.id, 8),
        ("a suspended user", suspended.user.id, 0),
        ("nobody", UserId::random(&SystemRandom), 0),
    ] {
        let session = session(user, epoch, &RequestContext::default());
        assert_eq!(store.open(&session).await.unwrap(), Opened::Superseded, "{name}");
        assert_eq!(find(&store, session.id).await, None, "{name}");
    }
}

pub(crate) async fn one_user_can_log_in_many_times_at_once<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let account = account();
    store.insert(&account).await.unwrap();
    let sessions: Vec<_> = (0..12).map(|_| session(account.user.id, 0, &RequestContext::default())).collect();
    for opened in join_all(sessions.iter().map(|session| store.open(session))).await {
        assert_eq!(opened.unwrap(), Opened::Yes);
    }
    for session in sessions {
        assert_eq!(find(&store, session.id).await, Some(session));
    }
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
