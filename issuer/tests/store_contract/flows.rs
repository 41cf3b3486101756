use std::sync::Arc;
use std::time::Duration;

use doorward_issuer::crypto::master_key::MasterKey;
use doorward_issuer::domain::authenticate::{AuthError, Authenticate};
use doorward_issuer::domain::clock::SystemRandom;
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::login::LoginError;
use doorward_issuer::domain::password::PasswordHash;
use doorward_issuer::domain::ports::{RefreshTokens as _, StoreHealth as _, Users as _};
use doorward_issuer::domain::register::RegisterError;
use doorward_issuer::domain::role::Permission;
use doorward_issuer::domain::user::{Account, User, UserStatus};
use doorward_issuer::domain::username::LoginName;

use crate::fixture::{Fixture, account, quiet, role_name};
use crate::issuer::{Issuer, PASSWORD, request};

pub(crate) async fn a_registered_user_logs_in_and_is_recognised<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let user = issuer.register("A@b.com", PASSWORD, Some("Alice")).await.unwrap();
    assert_eq!((user.email.as_str(), user.email_verified, user.epoch), ("a@b.com", false, 0));
    for login in ["a@b.com", "A@B.COM", "alice", "ALICE"] {
        let tokens = issuer.log_in(login, PASSWORD).await.unwrap();
        assert_eq!(tokens.expires_in, Duration::from_secs(900));
        let caller = issuer.authenticate.authenticate(&tokens.access_token).await.unwrap();
        assert_eq!(caller.user(), &user);
        assert_eq!(caller.permissions().iter().map(Permission::as_str).collect::<Vec<_>>(), ["profile:read"]);
        assert_eq!(caller.claims().subject, user.id);
        let refresh = issuer.refresh_tokens.authenticate(tokens.refresh_token.expose()).unwrap();
        assert_eq!((refresh.session, refresh.generation), (caller.claims().session, 0));
    }
    let tokens = issuer.log_in("alice", PASSWORD).await.unwrap();
    issuer.clock.advance(Duration::from_secs(900));
    let expired = issuer.authenticate.authenticate(&tokens.access_token).await;
    assert!(matches!(expired, Err(AuthError::Expired)), "{expired:?}");
}

pub(crate) async fn mistakes_are_told_apart_when_registering<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.register("a@b.com", PASSWORD, Some("alice")).await.unwrap();
    let email = issuer.register("A@B.com", PASSWORD, None).await;
    assert!(matches!(email, Err(RegisterError::EmailTaken)), "{email:?}");
    let name = issuer.register("c@b.com", PASSWORD, Some("ALICE")).await;
    assert!(matches!(name, Err(RegisterError::UsernameTaken)), "{name:?}");
    for (email, password, username, fields) in [
        ("nobody", PASSWORD, Some("x"), vec!["email", "username"]),
        ("c@b.com", PASSWORD, Some("a@b.com"), vec!["username"]),
        ("c@b.com", "password123", None, vec!["password"]),
        ("c@b.com", "short", None, vec!["password"]),
    ] {
        match issuer.register(email, password, username).await {
            Err(RegisterError::Invalid(errors)) => {
                assert_eq!(errors.iter().map(|error| error.field).collect::<Vec<_>>(), fields);
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn an_operator_names_roles_that_exist<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let create = async |email: &str, password: &str, roles: &[&str]| {
        let roles: Vec<_> = roles.iter().map(ToString::to_string).collect();
        let request = request(email, password, None);
        let new = issuer.register.prepare_with(request, &roles, &RequestContext::default()).await?;
        issuer.register.add(new, &RequestContext::default()).await
    };
    let admin = create("admin@b.com", PASSWORD, &["admin", "user", "admin"]).await.unwrap();
    assert_eq!(admin.roles, [role_name("admin"), role_name("user")]);
    for (password, roles, field) in [
        (PASSWORD, ["nobody"], "roles"),
        (PASSWORD, ["not a name"], "roles"),
        ("password123", ["admin"], "password"),
    ] {
        match create("other@b.com", password, &roles).await {
            Err(RegisterError::Invalid(errors)) => assert_eq!(errors[0].field, field),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn wrong_credentials_are_all_alike<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.register("a@b.com", PASSWORD, None).await.unwrap();
    for (login, password) in [
        ("a@b.com", "S3cureP@sS"),
        ("a@b.com", ""),
        ("b@b.com", PASSWORD),
        ("nobody", PASSWORD),
        ("not a name at all", PASSWORD),
        ("", ""),
    ] {
        let refused = issuer.log_in(login, password).await;
        assert!(matches!(refused, Err(LoginError::InvalidCredentials)), "{login}: {refused:?}");
    }
}

pub(crate) async fn a_closed_account_is_out_at_once<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let issuer = Issuer::on(store.clone(), 4).await;
    issuer.register("a@b.com", PASSWORD, None).await.unwrap();
    let open = LoginName::parse("a@b.com").unwrap();
    let password = store.by_login(&open).await.unwrap().unwrap().password;
    let closed = Account { user: User { status: UserStatus::Suspended, ..account().user }, password };
    store.insert(&closed, &quiet()).await.unwrap();
    let refused = issuer.log_in(closed.user.email.as_str(), PASSWORD).await;
    assert!(matches!(refused, Err(LoginError::InvalidCredentials)), "{refused:?}");

    let tokens = issuer.log_in("a@b.com", PASSWORD).await.unwrap();
    let elsewhere = F::start().await;
    let stranger = Issuer::on(elsewhere.open().await, 4).await;
    let unknown = stranger.authenticate.authenticate(&tokens.access_token).await;
    assert!(matches!(unknown, Err(AuthError::Invalid(_))), "{unknown:?}");
    let without_session = Authenticate { sessions: Arc::new(elsewhere.open().await), ..issuer.authenticate };
    let ended = without_session.authenticate(&tokens.access_token).await;
    assert!(matches!(ended, Err(AuthError::Revoked)), "no such session: {ended:?}");
}

pub(crate) async fn a_login_renews_a_hash_of_yesterday<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let master = Arc::new(MasterKey::generate(&SystemRandom));
    let yesterday = Issuer::with_master(store.clone(), 4, master.clone()).await;
    yesterday.register("a@b.com", PASSWORD, None).await.unwrap();
    let today = Issuer::with_master(store.clone(), 5, master.clone()).await;
    let login = LoginName::parse("a@b.com").unwrap();
    let before = store.by_login(&login).await.unwrap().unwrap();
    today.log_in("a@b.com", "wrong password").await.unwrap_err();
    assert_eq!(store.by_login(&login).await.unwrap().unwrap(), before);
    today.log_in("a@b.com", PASSWORD).await.unwrap();
    let after = store.by_login(&login).await.unwrap().unwrap();
    assert!(
        matches!(&after.password, PasswordHash::Peppered { bcrypt, .. } if bcrypt.starts_with("$2b$05$"))
    );
    assert_eq!(after.user, before.user);
    today.log_in("a@b.com", PASSWORD).await.unwrap();
    assert_eq!(store.by_login(&login).await.unwrap().unwrap(), after, "renewed once");
}

pub(crate) async fn a_healthy_store_answers<F: Fixture>() {
    let fixture = F::start().await;
    fixture.open().await.ping().await.unwrap();
}
