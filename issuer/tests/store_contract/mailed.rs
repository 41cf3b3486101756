use std::time::Duration;

use doorward_issuer::domain::clock::{Clock as _, SystemRandom, later, random_bytes};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::email::Email;
use doorward_issuer::domain::event::{Event, Report};
use doorward_issuer::domain::ids::UserId;
use doorward_issuer::domain::login::{Login, LoginError};
use doorward_issuer::domain::mail::{Mail, Message};
use doorward_issuer::domain::one_time::{FoundToken, IssuedToken, Purpose, TokenOwner};
use doorward_issuer::domain::password::Password;
use doorward_issuer::domain::password_reset::PasswordResetError;
use doorward_issuer::domain::ports::{Changed, Letters as _, Outbox as _, Store, Users as _};
use doorward_issuer::domain::refresh::RefreshRefusal;
use doorward_issuer::domain::register::{Register, RegisterError};
use doorward_issuer::domain::token::TokenFingerprint;
use doorward_issuer::domain::user::{Account, User, UserChange, UserStatus};
use doorward_issuer::domain::verify_email::VerifyEmailError;
use futures_util::future::join_all;

use crate::fixture::{Edit, Fixture, account, hash, quiet};
use crate::issuer::{Issuer, PASSWORD, request};

const EMAIL: &str = "ada@example.test";
const NEW_PASSWORD: &str = "n3wer-P@ssword!";

pub(crate) async fn a_link_sets_a_new_password_once<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let issuer = Issuer::on(store.clone(), 4).await;
    let tokens = issuer.newcomer(EMAIL).await;
    let user = issuer.caller(&tokens).await.unwrap().user().clone();
    issuer.mails().await;

    let token = reset_token(&issuer).await;
    reset(&issuer, &token, NEW_PASSWORD).await.unwrap();
    assert_eq!(issuer.refusal(&tokens).await, RefreshRefusal::Ended);
    issuer.log_in(EMAIL, PASSWORD).await.unwrap_err();
    let again = issuer.log_in(EMAIL, NEW_PASSWORD).await.unwrap();
    let now = issuer.caller(&again).await.unwrap().user().clone();
    let expected =
        User { epoch: user.epoch + 1, email_verified: true, updated_at: now.updated_at, ..user.clone() };
    assert_eq!(now, expected, "who reads the mail owns the address; nothing else moved");
    let kinds: Vec<_> = store.of_user(user.id).await.unwrap().into_iter().map(|event| event.kind).collect();
    let expected = [
        "user.created",
        "email.verification.requested",
        "user.login",
        "password.reset.requested",
        "password.changed",
        "user.updated",
        "user.logout",
        "user.login.failed",
        "user.login",
    ];
    assert_eq!(kinds, expected);

    let second = reset(&issuer, &token, "an0ther-P@ssword!").await;
    assert!(matches!(second, Err(PasswordResetError::InvalidToken)), "{second:?}");
    issuer.log_in(EMAIL, NEW_PASSWORD).await.unwrap();
}

pub(crate) async fn what_is_no_good_token_changes_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.newcomer(EMAIL).await;
    let good = reset_token(&issuer).await;
    let (first, rest) = good.split_at(1);
    let other = if first == "A" { "B" } else { "A" };
    for text in ["", "token", &good[1..], &format!("{good}A"), &format!("{other}{rest}")] {
        let refused = reset(&issuer, text, NEW_PASSWORD).await;
        assert!(matches!(refused, Err(PasswordResetError::InvalidToken)), "{text:?}: {refused:?}");
        let refused = issuer.verify_email.verify(text, &RequestContext::default()).await;
        assert!(matches!(refused, Err(VerifyEmailError::InvalidToken)), "{text:?}: {refused:?}");
    }
    issuer.log_in(EMAIL, PASSWORD).await.unwrap();
    reset(&issuer, &good, NEW_PASSWORD).await.unwrap();
}

pub(crate) async fn a_token_serves_its_own_purpose<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.newcomer(EMAIL).await;
    let verification = link(&issuer, Purpose::VerifyEmail).await;
    let reset_token = reset_token(&issuer).await;
    let refused = reset(&issuer, &verification, NEW_PASSWORD).await;
    assert!(matches!(refused, Err(PasswordResetError::InvalidToken)), "{refused:?}");
    let refused = issuer.verify_email.verify(&reset_token, &RequestContext::default()).await;
    assert!(matches!(refused, Err(VerifyEmailError::InvalidToken)), "{refused:?}");
    // Both are good still, for what they are for.
    issuer.verify_email.verify(&verification, &RequestContext::default()).await.unwrap();
    reset(&issuer, &reset_token, NEW_PASSWORD).await.unwrap();
}

pub(crate) async fn a_token_dies_with_its_time_and_with_its_owners_epoch<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let issuer = Issuer::on(store.clone(), 4).await;
    let tokens = issuer.newcomer(EMAIL).await;
    let (id, verification) =
        (issuer.caller(&tokens).await.unwrap().user().id, link(&issuer, Purpose::VerifyEmail).await);
    let dead = async |token: &str| {
        let refused = reset(&issuer, token, NEW_PASSWORD).await;
        assert!(matches!(refused, Err(PasswordResetError::InvalidToken)), "{refused:?}");
    };
    let late = reset_token(&issuer).await;
    issuer.clock.advance(Purpose::ResetPassword.lifetime());
    dead(&late).await;

    let before_roles = reset_token(&issuer).await;
    fixture.edit(id, Edit::Role("admin")).await;
    dead(&before_roles).await;
    let refused = issuer.verify_email.verify(&verification, &RequestContext::default()).await;
    assert!(matches!(refused, Err(VerifyEmailError::InvalidToken)), "{refused:?}");

    let before_address = reset_token(&issuer).await;
    let epoch = store.account(id).await.unwrap().unwrap().user.epoch;
    let elsewhere = UserChange { email: Some(account().user.email), ..UserChange::default() };
    assert_eq!(store.change(id, epoch, &elsewhere, &quiet()).await.unwrap(), Changed::Yes);
    dead(&before_address).await;
    let back = UserChange { email: Some(email()), ..UserChange::default() };
    assert_eq!(store.change(id, epoch + 1, &back, &quiet()).await.unwrap(), Changed::Yes);
    dead(&before_address).await;

    let last = reset_token(&issuer).await;
    fixture.edit(id, Edit::Delete).await;
    dead(&last).await;
}

pub(crate) async fn a_refused_password_leaves_the_token_good<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.newcomer(EMAIL).await;
    let token = reset_token(&issuer).await;
    for new in ["short", "password123", "ada@example.test"] {
        match reset(&issuer, &token, new).await {
            Err(PasswordResetError::Refused(error)) => assert_eq!(error.field, "new_password", "{new}"),
            other => panic!("{new}: {other:?}"),
        }
    }
    reset(&issuer, &token, NEW_PASSWORD).await.unwrap();
}

pub(crate) async fn of_many_uses_of_one_token_one_happens<F: Fixture>() {
    const USES: usize = 64;
    let fixture = F::start().await;
    let stores = [fixture.open().await, fixture.open().await];
    for race in 0..4 {
        let (user, token) = with_token(&stores[0]).await;
        let hashes: Vec<_> = (0..USES).map(|_| hash()).collect();
        let uses = hashes.iter().enumerate().map(async |(n, hash)| {
            let change = UserChange { password: Some(hash.clone()), ..UserChange::default() };
            let report = quiet().tell(Event::PasswordChanged);
            stores[n % 2].redeem(&token, &change, &report).await.unwrap()
        });
        let done = join_all(uses).await;
        let winners: Vec<_> = (0..USES).filter(|n| done[*n] == Changed::Yes).collect();
        let [winner] = winners.as_slice() else { panic!("race {race}: {winners:?} happened") };
        let now = stores[1].account(user.id).await.unwrap().unwrap();
        assert_eq!((&now.password, now.user.epoch), (&hashes[*winner], 1), "race {race}");
        let told = stores[1].of_user(user.id).await.unwrap();
        assert_eq!(told.iter().filter(|event| event.kind == "password.changed").count(), 1, "race {race}");
    }
}

pub(crate) async fn a_use_that_races_with_a_change_does_not_survive_it<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    for race in 0..20 {
        let (user, token) = with_token(&store).await;
        let (by_link, by_hand) = (to_password(), to_password());
        let (told, also_told) = (quiet(), quiet());
        let (redeemed, changed) = tokio::join!(
            store.redeem(&token, &by_link, &told),
            store.change(user.id, 0, &by_hand, &also_told)
        );
        let (redeemed, changed) = (redeemed.unwrap(), changed.unwrap());
        let winner = match (redeemed, changed) {
            (Changed::Yes, Changed::Superseded) => by_link,
            (Changed::Superseded, Changed::Yes) => by_hand,
            both => panic!("race {race}: {both:?}"),
        };
        let now = store.account(user.id).await.unwrap().unwrap();
        assert_eq!((Some(now.password), now.user.epoch), (winner.password, 1), "race {race}");
    }
}

pub(crate) async fn an_address_is_proven_once_and_sessions_go_on<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let tokens = issuer.newcomer(EMAIL).await;
    let context = RequestContext::default();
    let from_registration = link(&issuer, Purpose::VerifyEmail).await;
    issuer.verify_email.resend("ADA@example.test", &context).await.unwrap();
    let resent = link(&issuer, Purpose::VerifyEmail).await;
    issuer.verify_email.verify(&resent, &context).await.unwrap();
    let refused = issuer.verify_email.verify(&resent, &context).await;
    assert!(matches!(refused, Err(VerifyEmailError::InvalidToken)), "{refused:?}");
    assert!(issuer.caller(&tokens).await.unwrap().user().email_verified);
    let tokens = issuer.refresh(&tokens).await.unwrap();
    assert!(issuer.caller(&tokens).await.unwrap().claims().email_verified, "the next token says it");
    // The first link does no harm any more, and no good.
    issuer.verify_email.verify(&from_registration, &context).await.unwrap();
}

pub(crate) async fn who_has_no_link_coming_gets_the_same_answer_and_no_mail<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let issuer = Issuer::on(store.clone(), 4).await;
    let tokens = issuer.newcomer(EMAIL).await;
    let user = issuer.caller(&tokens).await.unwrap().user().id;
    let context = RequestContext::default();
    issuer.verify_email.verify(&link(&issuer, Purpose::VerifyEmail).await, &context).await.unwrap();

    issuer.verify_email.resend(EMAIL, &context).await.unwrap();
    issuer.verify_email.resend("nobody@example.test", &context).await.unwrap();
    issuer.password_reset.request("nobody@example.test", &context).await.unwrap();
    issuer.password_reset.request("no address", &context).await.unwrap();
    fixture.edit(user, Edit::Suspend).await;
    issuer.password_reset.request(EMAIL, &context).await.unwrap();
    let mails = issuer.mails().await;
    assert_eq!(mails.len(), 5, "something was written for each");
    assert!(mails.iter().all(Option::is_none), "{mails:?}");
    let told = store.of_user(user).await.unwrap();
    assert!(told.iter().all(|event| event.kind != "password.reset.requested"), "{told:?}");
    assert_eq!(store.account(user).await.unwrap().unwrap().user.status, UserStatus::Suspended);
}

pub(crate) async fn a_link_to_somebody_who_has_changed_is_not_posted<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let user = inserted(&store).await;
    let (owner, token) = (TokenOwner { user: user.id, epoch: 1 }, random_token(user.id, 1));
    let told = quiet().tell(Event::UserUnlocked).issue(token.clone());
    assert_eq!(store.post(Some(owner), &told).await.unwrap(), Changed::Superseded);
    assert_eq!(store.find(token.purpose, token.fingerprint, told.at).await.unwrap(), None);
    assert!(store.of_user(user.id).await.unwrap().is_empty());
    // Nobody's token is never found, whoever asks.
    let nobodys = IssuedToken { owner: None, ..token };
    assert_eq!(store.post(None, &quiet().issue(nobodys.clone())).await.unwrap(), Changed::Yes);
    assert_eq!(store.find(nobodys.purpose, nobodys.fingerprint, told.at).await.unwrap(), None);
}

pub(crate) async fn a_taken_address_is_told_to_its_owner_alone<F: Fixture>() {
    let fixture = F::start().await;
    let mut issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.register = Register { hide_taken: true, ..issuer.register };
    let owner = issuer.register(EMAIL, PASSWORD, Some("ada")).await.unwrap();
    issuer.mails().await;

    let stranger = issuer.register(EMAIL, NEW_PASSWORD, Some("eve")).await.unwrap();
    assert_eq!((&stranger.email, stranger.epoch), (&owner.email, 0));
    assert_ne!(stranger.id, owner.id);
    let mails = issuer.mails().await;
    let [Some(Mail { to, message: Message::AddressTaken })] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(to, &owner.email);
    issuer.log_in(EMAIL, NEW_PASSWORD).await.unwrap_err();
    let tokens = issuer.log_in(EMAIL, PASSWORD).await.unwrap();
    assert_eq!(issuer.caller(&tokens).await.unwrap().user().username, owner.username);

    // Names are not secret; and an operator is told.
    let taken = issuer.register("new@example.test", PASSWORD, Some("ada")).await;
    assert!(matches!(taken, Err(RegisterError::UsernameTaken)), "{taken:?}");
    let (wanted, context) = (request(EMAIL, NEW_PASSWORD, None), RequestContext::default());
    let new = issuer.register.prepare_with(wanted, &["user".into()], &context).await.unwrap();
    let taken = issuer.register.add(new, &context).await;
    assert!(matches!(taken, Err(RegisterError::EmailTaken)), "{taken:?}");
}

pub(crate) async fn an_unproven_address_does_not_log_in_where_it_must_be_proven<F: Fixture>() {
    let fixture = F::start().await;
    let mut issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.login = Login { require_verified_email: true, ..issuer.login };
    issuer.register(EMAIL, PASSWORD, None).await.unwrap();
    let refused = issuer.log_in(EMAIL, PASSWORD).await;
    assert!(matches!(refused, Err(LoginError::InvalidCredentials)), "{refused:?}");
    let token = link(&issuer, Purpose::VerifyEmail).await;
    issuer.verify_email.verify(&token, &RequestContext::default()).await.unwrap();
    issuer.log_in(EMAIL, PASSWORD).await.unwrap();
}

pub(crate) async fn a_link_opens_an_account_that_others_have_locked<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.register(EMAIL, PASSWORD, None).await.unwrap();
    for bot in 0..100 {
        let bot = format!("198.51.100.{bot}").parse().ok();
        let from = RequestContext { address: bot, ..RequestContext::default() };
        issuer.log_in_from(&from, EMAIL, "not the password").await.unwrap_err();
    }
    let locked = issuer.log_in(EMAIL, PASSWORD).await;
    assert!(matches!(locked, Err(LoginError::TooManyAttempts { .. })), "{locked:?}");

    issuer.mails().await;
    let token = reset_token(&issuer).await;
    reset(&issuer, &token, NEW_PASSWORD).await.unwrap();
    issuer.log_in(EMAIL, NEW_PASSWORD).await.unwrap();
}

/// Asks for a new password, and reads the mail.
async fn reset_token(issuer: &Issuer) -> String {
    issuer.password_reset.request(EMAIL, &RequestContext::default()).await.unwrap();
    link(issuer, Purpose::ResetPassword).await
}

/// The token in the one mail of that purpose that waits.
async fn link(issuer: &Issuer, wanted: Purpose) -> String {
    let mails = issuer.mails().await;
    let mut tokens = mails.iter().flatten().filter_map(|mail| match &mail.message {
        Message::Link { purpose, token, expires_at } if *purpose == wanted => {
            assert_eq!(mail.to, email());
            assert!(*expires_at > issuer.clock.now());
            Some(token.expose().to_owned())
        }
        _ => None,
    });
    let token = tokens.next();
    assert_eq!(tokens.next(), None, "{mails:?}");
    token.unwrap_or_else(|| panic!("no such mail in {mails:?}"))
}

async fn reset(issuer: &Issuer, token: &str, new: &str) -> Result<(), PasswordResetError> {
    let context = RequestContext::default();
    let prepared = issuer.password_reset.prepare(token, Password::new(new.to_owned()), &context).await?;
    issuer.password_reset.reset(prepared, &context).await
}

/// Somebody who has been given a token.
async fn with_token(store: &impl Store) -> (User, FoundToken) {
    let user = inserted(store).await;
    let token = random_token(user.id, 0);
    let report = Report { at: user.created_at, ..quiet() }.issue(token.clone());
    assert_eq!(store.post(token.owner, &report).await.unwrap(), Changed::Yes);
    let found = store.find(token.purpose, token.fingerprint, report.at).await.unwrap().unwrap();
    assert_eq!(Some(found.owner), token.owner);
    (user, found)
}

async fn inserted(store: &impl Store) -> User {
    let Account { user, password } = account();
    store.insert(&Account { user: user.clone(), password }, &quiet()).await.unwrap();
    user
}

fn random_token(user: UserId, epoch: u64) -> IssuedToken {
    IssuedToken {
        purpose: Purpose::ResetPassword,
        fingerprint: TokenFingerprint(random_bytes(&SystemRandom)),
        owner: Some(TokenOwner { user, epoch }),
        expires_at: later(quiet().at, Duration::from_secs(60)),
    }
}

fn to_password() -> UserChange {
    UserChange { password: Some(hash()), ..UserChange::default() }
}

fn email() -> Email {
    Email::parse(EMAIL).unwrap()
}
