use doorward_issuer::domain::permit::ADMINISTRATION;
use doorward_issuer::domain::ports::{
    Changed, Roles as _, Store, StoreError, Users, WriteRoleError, WriteUserError,
};
use doorward_issuer::domain::role::Role;
use doorward_issuer::domain::user::{User, UserChange, UserQuery, UserStatus};
use futures_util::future::join_all;

use crate::fixture::{Fixture, account_with, quiet, role, role_name};

pub(crate) async fn the_last_one_stays<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let admin = role("admin", "", ADMINISTRATION);
    let [last, closed] = two(&store, &admin).await;
    let left = store.change(closed.id, 0, &suspended(), &quiet()).await.unwrap();
    assert_eq!(left, Changed::Yes, "one of two may go");

    for change in [suspended(), only("user"), UserChange { roles: Some(vec![]), ..UserChange::default() }] {
        let refused = store.change(last.id, 0, &change, &quiet()).await;
        assert!(matches!(refused, Err(WriteUserError::LastAdministrator)), "{refused:?}");
    }
    let refused = store.delete(last.id, 0, &quiet()).await;
    assert!(matches!(refused, Err(WriteUserError::LastAdministrator)), "{refused:?}");
    for missing in ADMINISTRATION {
        let rest: Vec<_> = ADMINISTRATION.iter().filter(|name| *name != missing).copied().collect();
        let refused = store.put(Some(&admin), &role("admin", "", &rest), last.id, &quiet()).await;
        assert!(matches!(refused, Err(WriteRoleError::LastAdministrator)), "{missing}: {refused:?}");
    }
    assert_eq!(find(&store, &last).await, Some(last.clone()), "nothing was written");
    assert_eq!(store.every().await.unwrap()[0], admin);

    // What takes nothing from him is not in his way.
    let both =
        UserChange { roles: Some(vec![role_name("user"), role_name("admin")]), ..UserChange::default() };
    assert_eq!(store.change(last.id, 0, &both, &quiet()).await.unwrap(), Changed::Yes);
    let opened = UserChange { status: Some(UserStatus::Active), ..UserChange::default() };
    assert_eq!(store.change(closed.id, 1, &opened, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(store.delete(last.id, 1, &quiet()).await.unwrap(), Changed::Yes, "there is another one again");
}

pub(crate) async fn several_roles_together_make_one<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (some, others) = ADMINISTRATION.split_at(2);
    for role in [role("some", "", some), role("others", "", others), role("user", "", &["x"])] {
        store.ensure(&role).await.unwrap();
    }
    let halves = [account_with(&["some", "user"]), account_with(&["others", "user"])];
    let whole = account_with(&["some", "user", "others"]);
    for account in halves.iter().chain([&whole]) {
        store.insert(account, &quiet()).await.unwrap();
    }
    let refused = store.change(whole.user.id, 0, &only("some"), &quiet()).await;
    assert!(matches!(refused, Err(WriteUserError::LastAdministrator)), "two halves are none: {refused:?}");
    let refused = store
        .put(Some(&role("some", "", some)), &role("some", "", &some[1..]), whole.user.id, &quiet())
        .await;
    assert!(matches!(refused, Err(WriteRoleError::LastAdministrator)), "{refused:?}");
    let both =
        UserChange { roles: Some(vec![role_name("some"), role_name("others")]), ..UserChange::default() };
    assert_eq!(store.change(halves[0].user.id, 0, &both, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(store.change(whole.user.id, 0, &only("some"), &quiet()).await.unwrap(), Changed::Yes);
}

pub(crate) async fn where_there_is_none_there_is_nobody_to_keep<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (first, second) = (account_with(&["user"]), account_with(&["user"]));
    for account in [&first, &second] {
        store.insert(account, &quiet()).await.unwrap();
    }
    assert_eq!(store.change(first.user.id, 0, &suspended(), &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(store.delete(second.user.id, 0, &quiet()).await.unwrap(), Changed::Yes);
}

pub(crate) async fn those_who_remove_each_other_leave_one<F: Fixture>() {
    let fixture = F::start().await;
    let stores = [fixture.open().await, fixture.open().await];
    let admin = role("admin", "", ADMINISTRATION);
    for _ in 0..F::GREAT_RACES / 4 {
        let admins = two(&stores[0], &admin).await;
        let attempts = (0..64_usize).map(async |n| {
            let (store, user) = (&stores[n / 2 % 2], &admins[n % 2]);
            match n % 3 {
                0 => store.change(user.id, 0, &suspended(), &quiet()).await,
                1 => store.change(user.id, 0, &only("user"), &quiet()).await,
                _ => store.delete(user.id, 0, &quiet()).await,
            }
        });
        let done = join_all(attempts).await;
        let removed = done.iter().filter(|done| matches!(done, Ok(Changed::Yes))).count();
        let left = left(&stores[0]).await;
        // Who was told to come again may have removed one, or not.
        let busy = done.iter().any(is_busy);
        assert!((removed, left) == (1, 1) || busy && removed == 0 && left >= 1, "{left} left: {done:?}");
        // The next two are the only ones.
        let query = UserQuery { role: Some(role_name("admin")), ..UserQuery::default() };
        for user in stores[0].list(&query, None, 10).await.unwrap() {
            fixture.edit(user.id, crate::fixture::Edit::Delete).await;
        }
    }
}

pub(crate) async fn a_role_and_its_owner_do_not_go_together<F: Fixture>() {
    let fixture = F::start().await;
    let stores = [fixture.open().await, fixture.open().await];
    let (one, other) = (role("one", "", ADMINISTRATION), role("other", "", ADMINISTRATION));
    for role in [&one, &other] {
        stores[0].ensure(role).await.unwrap();
    }
    let (first, second) = (account_with(&["one"]), account_with(&["other"]));
    for account in [&first, &second] {
        stores[0].insert(account, &quiet()).await.unwrap();
    }
    let (weaker, actor) = (role("one", "", &ADMINISTRATION[1..]), first.user.id);
    let report = quiet();
    let (change, suspended) = (stores[0].put(Some(&one), &weaker, actor, &report), suspended());
    let (by_role, by_user) = tokio::join!(change, stores[1].change(second.user.id, 0, &suspended, &report));
    assert!(by_role.is_ok() != by_user.is_ok(), "{by_role:?} {by_user:?}");
}

/// Two administrators, and nobody else.
async fn two(store: &impl Store, admin: &Role) -> [User; 2] {
    store.ensure(admin).await.unwrap();
    let accounts = [account_with(&["admin"]), account_with(&["admin"])];
    for account in &accounts {
        store.insert(account, &quiet()).await.unwrap();
    }
    accounts.map(|account| account.user)
}

async fn find(users: &impl Users, user: &User) -> Option<User> {
    users.by_id(user.id).await.unwrap()
}

/// How many administrators there are.
async fn left(users: &impl Users) -> usize {
    let active = Some(UserStatus::Active);
    let query = UserQuery { role: Some(role_name("admin")), status: active, ..UserQuery::default() };
    users.list(&query, None, 100).await.unwrap().len()
}

/// Of so many at once, some may have to wait for too long. Nothing is said then about what they did; that there is one
/// administrator left holds all the same.
fn is_busy(done: &Result<Changed, WriteUserError>) -> bool {
    matches!(done, Err(WriteUserError::Store(StoreError::Unavailable(_))))
}

fn suspended() -> UserChange {
    UserChange { status: Some(UserStatus::Suspended), ..UserChange::default() }
}

fn only(role: &str) -> UserChange {
    UserChange { roles: Some(vec![role_name(role)]), ..UserChange::default() }
}
