use doorward_issuer::domain::ports::Roles as _;
use doorward_issuer::domain::role::{Permission, Role};
use futures_util::future::join_all;

use crate::fixture::{Fixture, role_name};

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

fn role(name: &str, description: &str, permissions: &[&str]) -> Role {
    Role {
        name: role_name(name),
        description: description.to_owned(),
        permissions: permissions.iter().map(|name| Permission::parse(name).unwrap()).collect(),
    }
}
