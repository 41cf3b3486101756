use std::time::Duration;

use doorward_issuer::domain::clock::{Clock as _, SystemClock, later};
use doorward_issuer::domain::email::Email;
use doorward_issuer::domain::ports::Users as _;
use doorward_issuer::domain::user::{Account, SearchText, User, UserQuery, UserStatus};
use doorward_issuer::domain::username::Username;

use crate::fixture::{Fixture, account, hash, quiet, role_name};
use doorward_issuer::domain::ports::Store;

pub(crate) async fn a_list_has_the_newest_users_page_by_page<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let start = SystemClock.now();
    // Two and two begin in the same millisecond.
    let mut expected = Vec::new();
    for n in 0..9_u64 {
        let created_at = later(start, Duration::from_millis(n / 2));
        let user = User { created_at, roles: vec![role_name("b"), role_name("a")], ..account().user };
        store.insert(&Account { user: user.clone(), password: hash() }, &quiet()).await.unwrap();
        expected.push(user);
    }
    expected.sort_by_key(|user| (user.created_at, user.id));
    expected.reverse();

    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(&UserQuery::default(), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.place());
        paged.extend(page);
    }
    assert_eq!(paged, expected, "nothing twice, nothing left out, and each with his roles in their order");
}

pub(crate) async fn a_list_is_of_those_who_were_asked_for<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let ada = somebody(&store, "ada@one.example", Some("countess"), &["user"], UserStatus::Active).await;
    let bob = somebody(&store, "bob@two.example", None, &["user", "admin"], UserStatus::Suspended).await;
    let eve = somebody(&store, "ève@one.example", Some("bobcat"), &["admin"], UserStatus::Active).await;
    for (text, role, status, expected) in [
        (None, None, None, vec![&ada, &bob, &eve]),
        (Some("ADA@"), None, None, vec![&ada]),
        (Some("one.example"), None, None, vec![&ada, &eve]),
        (Some("Bob"), None, None, vec![&bob, &eve]),
        (Some("count"), None, None, vec![&ada]),
        (Some("E\u{300}ve"), None, None, vec![&eve]),
        (Some("nobody"), None, None, vec![]),
        (None, Some("admin"), None, vec![&bob, &eve]),
        (None, Some("adm"), None, vec![]),
        (None, None, Some(UserStatus::Suspended), vec![&bob]),
        (Some("bob"), Some("admin"), Some(UserStatus::Active), vec![&eve]),
    ] {
        let (text, role) = (text.map(|text| SearchText::parse(text).unwrap()), role.map(role_name));
        let mut found = store.list(&UserQuery { text, role, status }, None, 100).await.unwrap();
        let mut expected: Vec<User> = expected.into_iter().cloned().collect();
        found.sort_by_key(|user| user.id);
        expected.sort_by_key(|user| user.id);
        assert_eq!(found, expected);
    }
}

pub(crate) async fn a_search_text_has_no_meaning_for_the_database<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let odd = somebody(&store, "a.b+c$d%e_f'g*h@one.example", None, &["user"], UserStatus::Active).await;
    somebody(&store, "axbbc@two.example", None, &["user"], UserStatus::Active).await;
    let search = async |text: &str| {
        let text = Some(SearchText::parse(text).unwrap());
        store.list(&UserQuery { text, ..UserQuery::default() }, None, 100).await.unwrap()
    };
    for found in ["a.b", "+c", "$d", "d%", "_f'", "g*", "'g*h@"] {
        assert_eq!(search(found).await, std::slice::from_ref(&odd), "{found}");
    }
    for not_found in [
        ".*",
        "^a",
        "a.b.",
        "%",
        "_",
        "$email",
        "$$ROOT",
        "' OR 1=1 --",
        "[",
        "(",
        "\\",
        "{\"$ne\": 1}",
        "\0",
    ] {
        let found = search(not_found).await;
        let holds = |user: &User| user.email.as_str().contains(not_found);
        assert!(found.iter().all(holds), "{not_found}: {found:?}");
    }
}

async fn somebody(
    store: &impl Store,
    email: &str,
    username: Option<&str>,
    roles: &[&str],
    status: UserStatus,
) -> User {
    let user = User {
        email: Email::parse(email).unwrap(),
        username: username.map(|name| Username::parse(name).unwrap()),
        roles: roles.iter().map(|name| role_name(name)).collect(),
        status,
        ..account().user
    };
    store.insert(&Account { user: user.clone(), password: hash() }, &quiet()).await.unwrap();
    user
}
