use doorward_issuer::domain::clock::SystemRandom;
use doorward_issuer::domain::ids::UserId;
use doorward_issuer::domain::ports::{Changed, Revocations as _, Roles as _, Users, WriteRoleError};
use doorward_issuer::domain::revocation::Revoked;
use doorward_issuer::domain::role::{CUT_AT_ONCE, Role};
use doorward_issuer::domain::user::{Account, UserChange, UserQuery};
use futures_util::future::join_all;

use crate::fixture::{Fixture, account, account_with, quiet, role, role_name};

pub(crate) async fn a_role_that_exists_stays_as_it_is<F: Fixture>() {
    let fixture = F::start().await;
    let first = role("admin", "the first", &["users:read", "orders:read"]);
    let store = fixture.open().await;
    store.ensure(&first).await.unwrap();
    let again = join_all(
        (0..8).map(async |_| fixture.open().await.ensure(&role("admin", "another", &["everything"])).await),
    )
    .await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
    assert_eq!(store.named(&[role_name("admin")]).await.unwrap(), [first]);
}

pub(crate) async fn only_existing_roles_are_found<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (user, provider) = (role("user", "", &[]), role("PROVIDER", "cares", &["records:write"]));
    for role in [&user, &provider] {
        store.ensure(role).await.unwrap();
    }
    let names = ["user", "PROVIDER", "provider", "nobody"].map(role_name);
    let mut found = store.named(&names).await.unwrap();
    found.sort_by(|a, b| b.name.cmp(&a.name));
    assert_eq!(found, [user, provider], "upper and lower case differ");
    assert_eq!(store.named(&[]).await.unwrap(), []);
}

pub(crate) async fn a_role_changes_only_as_it_was_seen<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let actor = UserId::random(&SystemRandom);
    let (first, second, third) =
        (role("x", "the first", &["a"]), role("x", "the second", &["a", "b"]), role("x", "", &[]));
    assert_eq!(store.put(Some(&first), &second, actor, &quiet()).await.unwrap(), Changed::Superseded);
    assert_eq!(store.put(None, &first, actor, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(store.put(None, &second, actor, &quiet()).await.unwrap(), Changed::Superseded);
    assert_eq!(store.put(Some(&first), &second, actor, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(store.put(Some(&first), &third, actor, &quiet()).await.unwrap(), Changed::Superseded);
    assert_eq!(store.remove(&first, &quiet()).await.unwrap(), Changed::Superseded);
    let another = role("a", "", &[]);
    assert_eq!(store.put(None, &another, actor, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(fixture.open().await.every().await.unwrap(), [another, second.clone()]);

    let (wishes, stores) = ((0..64).map(|n| role("x", &n.to_string(), &[])), [&store, &fixture.open().await]);
    let put = async |(n, wish): (usize, Role)| {
        (stores[n % 2].put(Some(&second), &wish, actor, &quiet()).await.unwrap(), wish)
    };
    let done = join_all(wishes.enumerate().map(put)).await;
    let won: Vec<_> = done.iter().filter(|(changed, _)| *changed == Changed::Yes).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(store.named(&[role_name("x")]).await.unwrap(), [won[0].1.clone()]);
}

pub(crate) async fn a_role_that_somebody_has_is_not_removed<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (provider, owner) = (role("PROVIDER", "", &["records:read"]), account_with(&["user", "PROVIDER"]));
    store.ensure(&provider).await.unwrap();
    store.insert(&owner, &quiet()).await.unwrap();
    let refused = store.remove(&provider, &quiet()).await;
    assert!(matches!(refused, Err(WriteRoleError::Owned)), "{refused:?}");
    assert_eq!(store.every().await.unwrap(), std::slice::from_ref(&provider));
    let without = UserChange { roles: Some(vec![role_name("user")]), ..UserChange::default() };
    assert_eq!(store.change(owner.user.id, 0, &without, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(store.remove(&provider, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(store.every().await.unwrap(), []);
}

pub(crate) async fn owners_of_a_role_that_loses_a_permission_are_cut_off<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (old, new) =
        (role("PROVIDER", "", &["records:read", "x"]), role("PROVIDER", "", &["records:read", "y"]));
    store.ensure(&old).await.unwrap();
    let (owner, other) = (account_with(&["user", "PROVIDER"]), account_with(&["user"]));
    for account in [&owner, &other] {
        store.insert(account, &quiet()).await.unwrap();
    }
    let report = quiet();
    assert_eq!(store.put(Some(&old), &new, other.user.id, &report).await.unwrap(), Changed::Yes);
    assert_eq!(epoch(&store, &owner).await, 1, "his tokens say more than he may");
    assert_eq!(epoch(&store, &other).await, 0);
    let page = store.after(0, 10, report.at).await.unwrap();
    let revoked: Vec<_> = page.items.into_iter().map(|entry| entry.revoked).collect();
    assert_eq!(revoked, [Revoked::User { user: owner.user.id, epoch: 1 }]);
}

pub(crate) async fn owners_of_a_role_that_gains_a_permission_are_not<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (old, new) = (role("PROVIDER", "", &["records:read"]), role("PROVIDER", "!", &["records:read", "y"]));
    store.ensure(&old).await.unwrap();
    let owner = account_with(&["PROVIDER"]);
    store.insert(&owner, &quiet()).await.unwrap();
    assert_eq!(store.put(Some(&old), &new, owner.user.id, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(epoch(&store, &owner).await, 0, "his tokens say less than he may, and that harms nobody");
}

pub(crate) async fn too_many_owners_keep_their_tokens<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (old, new) = (role("user", "", &["a"]), role("user", "", &[]));
    store.ensure(&old).await.unwrap();
    let first = account();
    store.insert(&first, &quiet()).await.unwrap();
    for _ in 0..CUT_AT_ONCE / 20 {
        let accounts: Vec<_> = (0..20).map(|_| account()).collect();
        let report = quiet();
        for inserted in join_all(accounts.iter().map(|account| store.insert(account, &report))).await {
            inserted.unwrap();
        }
    }
    assert_eq!(store.put(Some(&old), &new, first.user.id, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(epoch(&store, &first).await, 0, "there is one more than can be cut off at once");

    let gone = store.delete(first.user.id, 0, &quiet()).await.unwrap();
    assert_eq!(gone, Changed::Yes);
    let last = store.list(&UserQuery::default(), None, 1).await.unwrap().remove(0);
    assert_eq!(store.put(Some(&new), &old, last.id, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(store.put(Some(&old), &new, last.id, &quiet()).await.unwrap(), Changed::Yes);
    assert_eq!(Users::by_id(&store, last.id).await.unwrap().unwrap().epoch, 1, "now all of them can");
}

async fn epoch(store: &impl Users, account: &Account) -> u64 {
    store.by_id(account.user.id).await.unwrap().unwrap().epoch
}
