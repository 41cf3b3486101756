use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_issuer::domain::authenticate::AuthError;
use doorward_issuer::domain::change_password::ChangePasswordError;
use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom, later};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::event::Report;
use doorward_issuer::domain::ids::UserId;
use doorward_issuer::domain::page::Place;
use doorward_issuer::domain::password::PasswordHash;
use doorward_issuer::domain::ports::{Changed, Sessions as _, StoreError, Users, WriteUserError};
use doorward_issuer::domain::refresh::{Refresh, RefreshError, RefreshRefusal};
use doorward_issuer::domain::user::{Account, User, UserChange, UserQuery};
use doorward_issuer::domain::username::LoginName;
use futures_util::future::join_all;

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
    let users = Arc::new(ChangedBeforeRead(fixture.open().await));
    let refresh = Refresh { users, ..issuer.refresh };
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

/// A store where users change their passwords just before they are read.
struct ChangedBeforeRead<S>(S);

#[async_trait]
impl<S: Users> Users for ChangedBeforeRead<S> {
    async fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let epoch = self.0.by_id(id).await?.unwrap().epoch;
        let changed =
            self.0.change(id, epoch, &to(&hash()), &quiet()).await.map_err(WriteUserError::unless_taken)?;
        assert_eq!(changed, Changed::Yes);
        self.0.by_id(id).await
    }

    async fn insert(&self, account: &Account, report: &Report) -> Result<(), WriteUserError> {
        self.0.insert(account, report).await
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        self.0.account(id).await
    }

    async fn by_login(&self, login: &LoginName) -> Result<Option<Account>, StoreError> {
        self.0.by_login(login).await
    }

    async fn accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Account>, StoreError> {
        self.0.accounts(after, limit).await
    }

    async fn replace_hash(
        &self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, StoreError> {
        self.0.replace_hash(id, old, new).await
    }

    async fn change(
        &self,
        id: UserId,
        epoch: u64,
        change: &UserChange,
        report: &Report,
    ) -> Result<Changed, WriteUserError> {
        self.0.change(id, epoch, change, report).await
    }

    async fn list(
        &self,
        query: &UserQuery,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        self.0.list(query, after, limit).await
    }

    async fn delete(&self, id: UserId, epoch: u64, report: &Report) -> Result<Changed, WriteUserError> {
        self.0.delete(id, epoch, report).await
    }
}

/// A change of the password alone.
fn to(password: &PasswordHash) -> UserChange {
    UserChange { password: Some(password.clone()), ..UserChange::default() }
}
