use doorward_issuer::domain::clock::SystemRandom;
use doorward_issuer::domain::email::Email;
use doorward_issuer::domain::ids::UserId;
use doorward_issuer::domain::password::PasswordHash;
use doorward_issuer::domain::ports::{Users as _, WriteUserError};
use doorward_issuer::domain::user::{Account, User, UserStatus};
use doorward_issuer::domain::username::LoginName;
use futures_util::future::join_all;

use crate::fixture::{Fixture, account, hash, quiet, role_name, username};

pub(crate) async fn what_was_inserted_is_found_by_every_name<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let name = username();
    let plain = account();
    let rich = Account {
        user: User {
            email: Email::parse("JOSÉ+tag@Bücher.example").unwrap(),
            email_verified: true,
            username: Some(name.clone()),
            roles: vec![role_name("zebra"), role_name("admin"), role_name("PROVIDER")],
            status: UserStatus::Suspended,
            epoch: 1 << 40,
            ..account().user
        },
        password: PasswordHash::Plain { bcrypt: "$2y$10$imported".into() },
    };
    for account in [&plain, &rich] {
        store.insert(account, &quiet()).await.unwrap();
        // Another replica sees at once what this one wrote.
        let other = fixture.open().await;
        assert_eq!(
            other.by_login(&LoginName::Email(account.user.email.clone())).await.unwrap().as_ref(),
            Some(account)
        );
        assert_eq!(find(&other, account.user.id).await.as_ref(), Some(&account.user));
    }
    assert_eq!(store.by_login(&LoginName::Username(name)).await.unwrap(), Some(rich));
    assert_eq!(store.by_login(&LoginName::Username(username())).await.unwrap(), None);
    assert_eq!(store.by_login(&LoginName::Email(account().user.email)).await.unwrap(), None);
    assert_eq!(find(&store, UserId::random(&SystemRandom)).await, None);
}

pub(crate) async fn an_email_address_belongs_to_one_user<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let first = Account { user: User { username: Some(username()), ..account().user }, password: hash() };
    store.insert(&first, &quiet()).await.unwrap();
    let second = Account {
        user: User { email: first.user.email.clone(), username: Some(username()), ..account().user },
        password: hash(),
    };
    let refused = store.insert(&second, &quiet()).await;
    assert!(matches!(refused, Err(WriteUserError::EmailTaken)), "{refused:?}");
    let found = store.by_login(&LoginName::Email(first.user.email.clone())).await.unwrap();
    assert_eq!(found, Some(first), "nothing was overwritten");
    assert_eq!(find(&store, second.user.id).await, None, "nothing of the second was kept");
    let name = LoginName::Username(second.user.username.clone().unwrap());
    assert_eq!(store.by_login(&name).await.unwrap(), None);
}

pub(crate) async fn a_user_name_belongs_to_one_user<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let first = Account { user: User { username: Some(username()), ..account().user }, password: hash() };
    store.insert(&first, &quiet()).await.unwrap();
    let second =
        Account { user: User { username: first.user.username.clone(), ..account().user }, password: hash() };
    let refused = store.insert(&second, &quiet()).await;
    assert!(matches!(refused, Err(WriteUserError::UsernameTaken)), "{refused:?}");
    let name = LoginName::Username(first.user.username.clone().unwrap());
    assert_eq!(store.by_login(&name).await.unwrap(), Some(first));
    assert_eq!(find(&store, second.user.id).await, None);
}

pub(crate) async fn many_users_have_no_name<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    for _ in 0..3 {
        store.insert(&account(), &quiet()).await.unwrap();
    }
}

pub(crate) async fn of_many_at_once_one_gets_the_address<F: Fixture>() {
    let fixture = F::start().await;
    let email = account().user.email;
    let attempts = join_all((0..16).map(async |_| {
        let store = fixture.open().await;
        let account = Account { user: User { email: email.clone(), ..account().user }, password: hash() };
        (store.insert(&account, &quiet()).await, account)
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = attempts.into_iter().partition(|(inserted, _)| inserted.is_ok());
    assert_eq!(won.len(), 1);
    for (refused, _) in lost {
        assert!(matches!(refused, Err(WriteUserError::EmailTaken)), "{refused:?}");
    }
    let found = fixture.open().await.by_login(&LoginName::Email(email)).await.unwrap();
    assert_eq!(found.as_ref(), won.first().map(|(_, account)| account));
}

pub(crate) async fn a_hash_is_replaced_only_if_it_has_not_changed<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let account = account();
    store.insert(&account, &quiet()).await.unwrap();
    let (id, login) = (account.user.id, LoginName::Email(account.user.email.clone()));
    let (new, newer) = (hash(), PasswordHash::Plain { bcrypt: "$2b$04$plain".into() });
    assert!(store.replace_hash(id, &account.password, &new).await.unwrap());
    assert!(!store.replace_hash(id, &account.password, &newer).await.unwrap(), "it has changed since");
    let found = store.by_login(&login).await.unwrap();
    assert_eq!(found, Some(Account { password: new.clone(), ..account.clone() }), "nothing else moved");
    assert!(store.replace_hash(id, &new, &newer).await.unwrap());
    assert_eq!(store.by_login(&login).await.unwrap().unwrap().password, newer, "the pepper is gone as well");
    assert!(!store.replace_hash(UserId::random(&SystemRandom), &newer, &new).await.unwrap());
}

/// Both [`doorward_issuer::domain::ports::Users`] and `Sessions` have a `by_id`.
async fn find(users: &impl doorward_issuer::domain::ports::Users, id: UserId) -> Option<User> {
    users.by_id(id).await.unwrap()
}

pub(crate) async fn all_accounts_come_page_by_page<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    assert_eq!(store.accounts(None, 3).await.unwrap(), []);
    let mut expected = Vec::new();
    for number in 0..7 {
        let mut account = account();
        account.user.roles = ["admin", "user"].map(role_name)[..number % 3].to_vec();
        store.insert(&account, &quiet()).await.unwrap();
        expected.push(account);
    }
    expected.sort_by_key(|account| account.user.id);
    let mut found = Vec::new();
    loop {
        let page = store.accounts(found.last().map(|account: &Account| account.user.id), 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, expected);
}
