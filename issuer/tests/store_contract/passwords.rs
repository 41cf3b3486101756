use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_issuer::domain::authenticate::AuthError;
use doorward_issuer::domain::change_password::ChangePasswordError;
use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom, later};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::event::Report;
use doorward_issuer::domain::ids::{SessionId, UserId};
use doorward_issuer::domain::page::Place;
use doorward_issuer::domain::password::PasswordHash;
use doorward_issuer::domain::ports::{
    Changed, Exchanged, Opened, Sessions, StoreError, Users, WriteUserError,
};
use doorward_issuer::domain::refresh::{Refresh, RefreshError, RefreshRefusal};
use doorward_issuer::domain::session::{Session, Standing};
use doorward_issuer::domain::user::{Account, User, UserChange};
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::fixture::{Fixture, account, hash, quiet};
use crate::issuer::{Issuer, PASSWORD};

const NEW_PASSWORD: &str = "n3wer-P@ssword!";
const RACES: usize = 20;

pub(crate) async fn a_new_password_ends_all_sessions_of_its_user_in_one_write<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let (here, other) = (issuer.newcomer("a@b.com").await, issuer.newcomer("c@d.com").await);
    let there = issuer.log_in("a@b.com", PASSWORD).await.unwrap();
    let caller = issuer.caller(&here).await.unwrap();
    issuer.clock.advance(Duration::from_secs(5));
    let changed_at = issuer.change_password(&caller, PASSWORD, NEW_PASSWORD).await.unwrap();

    for tokens in [&here, &there] {
        assert_eq!(issuer.refusal(tokens).await, RefreshRefusal::Ended);
        let revoked = issuer.caller(tokens).await;
        assert!(matches!(revoked, Err(AuthError::Revoked)), "{revoked:?}");
    }
    issuer.log_in("a@b.com", PASSWORD).await.unwrap_err();
    let again = issuer.log_in("a@b.com", NEW_PASSWORD).await.unwrap();
    let now = issuer.caller(&again).await.unwrap();
    let before = caller.user();
    let expected = User { epoch: before.epoch + 1, updated_at: changed_at, ..before.clone() };
    assert_eq!(now.user(), &expected, "nothing else moved");
    issuer.refresh(&other).await.unwrap();
}

pub(crate) async fn a_change_of_an_older_epoch_is_superseded<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let active = Account { user: User { epoch: 7, ..account().user }, password: hash() };
    store.insert(&active, &quiet()).await.unwrap();
    let new = hash();
    let report = Report { at: later(SystemClock.now(), Duration::from_secs(1)), ..quiet() };
    for (user, epoch) in [(active.user.id, 6), (active.user.id, 8), (UserId::random(&SystemRandom), 0)] {
        let superseded = store.change(user, epoch, &to(&new), &report).await.unwrap();
        assert_eq!(superseded, Changed::Superseded);
    }
    assert_eq!(store.account(active.user.id).await.unwrap().as_ref(), Some(&active), "nothing was written");
    assert_eq!(store.change(active.user.id, 7, &to(&new), &report).await.unwrap(), Changed::Yes);
    let changed = Account { user: User { epoch: 8, updated_at: report.at, ..active.user }, password: new };
    assert_eq!(store.account(changed.user.id).await.unwrap(), Some(changed));
}

pub(crate) async fn a_login_that_races_with_a_change_does_not_survive_it<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let store = fixture.open().await;
    for race in 0..RACES {
        let email = format!("a{race}@b.com");
        let tokens = issuer.newcomer(&email).await;
        let caller = issuer.caller(&tokens).await.unwrap();
        let (changed, raced) = tokio::join!(
            issuer.change_password(&caller, PASSWORD, NEW_PASSWORD),
            issuer.log_in(&email, PASSWORD)
        );
        changed.unwrap();
        if let Ok(tokens) = raced {
            assert_eq!(issuer.refusal(&tokens).await, RefreshRefusal::Ended, "race {race}");
        }
        let left = store.page(caller.user().id, None, 10, SystemClock.now()).await.unwrap();
        assert_eq!(left, [], "race {race}");
    }
}

pub(crate) async fn an_exchange_that_races_with_a_change_does_not_survive_it<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let store = fixture.open().await;
    for race in 0..RACES {
        let tokens = issuer.newcomer(&format!("a{race}@b.com")).await;
        let caller = issuer.caller(&tokens).await.unwrap();
        // Straight to the store, so that both come at the same time.
        let (new, report) = (to(&hash()), quiet());
        let change = store.change(caller.user().id, 0, &new, &report);
        let (changed, raced) = tokio::join!(change, issuer.refresh(&tokens));
        assert_eq!(changed.unwrap(), Changed::Yes, "race {race}");
        if let Ok(tokens) = raced {
            assert_eq!(issuer.refusal(&tokens).await, RefreshRefusal::Ended, "race {race}");
        }
        let left = store.page(caller.user().id, None, 10, SystemClock.now()).await.unwrap();
        assert_eq!(left, [], "race {race}");
    }
}

pub(crate) async fn a_repeat_that_races_with_a_change_is_refused<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let parent = issuer.newcomer("a@b.com").await;
    issuer.refresh(&parent).await.unwrap();
    // The same parent once more would get the same child: but between its session and its user comes the change.
    let sessions = Arc::new(ChangedBeforeRead(fixture.open().await));
    let refresh = Refresh { sessions, ..issuer.refresh };
    let refused = refresh.refresh(parent.refresh_token.expose(), &RequestContext::default()).await;
    assert!(matches!(refused, Err(RefreshError::Refused(RefreshRefusal::Ended))), "{refused:?}");
}

pub(crate) async fn of_many_changes_at_once_one_happens<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let tokens = issuer.newcomer("a@b.com").await;
    let caller = issuer.caller(&tokens).await.unwrap();
    let candidates: Vec<_> = (0..5).map(|n| format!("{NEW_PASSWORD}-{n}")).collect();
    let attempts = candidates.iter().map(async |new| issuer.change_password(&caller, PASSWORD, new).await);
    let attempts = join_all(attempts).await;
    let mut winner = None;
    for (attempt, new) in attempts.iter().zip(&candidates) {
        match attempt {
            Ok(_) => assert_eq!(winner.replace(new), None, "two of them happened"),
            Err(ChangePasswordError::Revoked | ChangePasswordError::WrongPassword) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    issuer.log_in("a@b.com", winner.expect("one of them happened")).await.unwrap();
}

pub(crate) async fn the_current_password_has_to_be_right<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let tokens = issuer.newcomer("a@b.com").await;
    let caller = issuer.caller(&tokens).await.unwrap();
    // What the new one is like is nobody's business before that.
    for new in [NEW_PASSWORD, "short"] {
        let refused = issuer.change_password(&caller, "not the password", new).await;
        assert!(matches!(refused, Err(ChangePasswordError::WrongPassword)), "{refused:?}");
    }
    issuer.refresh(&tokens).await.unwrap();
    issuer.log_in("a@b.com", PASSWORD).await.unwrap();
}

pub(crate) async fn the_new_password_has_to_be_good<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let tokens = issuer.newcomer("josephine.miller@firm.example").await;
    let caller = issuer.caller(&tokens).await.unwrap();
    for new in ["short", "password123", "josephine.miller", PASSWORD] {
        match issuer.change_password(&caller, PASSWORD, new).await {
            Err(ChangePasswordError::Refused(error)) => assert_eq!(error.field, "new_password", "{new}"),
            other => panic!("{new}: {other:?}"),
        }
    }
    issuer.refresh(&tokens).await.unwrap();
}

/// A store where users change their passwords between the moment at which a session of theirs is read and that at which
/// they are read themselves.
struct ChangedBeforeRead<S>(S);

#[async_trait]
impl<S: Users + Sessions> Sessions for ChangedBeforeRead<S> {
    async fn standing(&self, id: SessionId) -> Result<Option<Standing>, StoreError> {
        let Some(standing) = self.0.standing(id).await? else { return Ok(None) };
        let User { id, epoch, .. } = standing.user.unwrap();
        let changed =
            self.0.change(id, epoch, &to(&hash()), &quiet()).await.map_err(WriteUserError::unless_taken)?;
        assert_eq!(changed, Changed::Yes);
        Ok(Some(Standing { user: Users::by_id(&self.0, id).await?, ..standing }))
    }

    async fn open(&self, session: &Session, report: &Report) -> Result<Opened, StoreError> {
        self.0.open(session, report).await
    }

    async fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Sessions::by_id(&self.0, id).await
    }

    async fn exchange(&self, old: &Session, new: &Session) -> Result<Exchanged, StoreError> {
        self.0.exchange(old, new).await
    }

    async fn end(&self, id: SessionId, report: &Report) -> Result<bool, StoreError> {
        self.0.end(id, report).await
    }

    async fn end_all(&self, user: UserId, report: &Report) -> Result<bool, StoreError> {
        self.0.end_all(user, report).await
    }

    async fn page(
        &self,
        user: UserId,
        after: Option<Place>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        self.0.page(user, after, limit, now).await
    }
}

/// A change of the password alone.
fn to(password: &PasswordHash) -> UserChange {
    UserChange { password: Some(password.clone()), ..UserChange::default() }
}
