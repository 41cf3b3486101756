use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use doorward_issuer::crypto::master_key::MasterKey;
use doorward_issuer::domain::authenticate::AuthError;
use doorward_issuer::domain::clock::SystemRandom;
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::ids::SessionId;
use doorward_issuer::domain::ports::{RefreshTokens as _, Sessions};
use doorward_issuer::domain::refresh::{RefreshError, RefreshRefusal};
use doorward_issuer::domain::session::Session;
use doorward_issuer::domain::token::Tokens;
use futures_util::future::join_all;

use crate::fixture::{Edit, Fixture, account};
use crate::issuer::{ACCESS, Issuer, LIMITS, PASSWORD};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn a_token_is_exchanged_for_its_one_child<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let mut tokens = issuer.newcomer("a@b.com").await;
    let login = issuer.caller(&tokens).await.unwrap();
    for generation in 1..4 {
        issuer.clock.advance(60 * SECOND);
        let next = issuer.refresh(&tokens).await.unwrap();
        assert_eq!((next.expires_in, next.user), (ACCESS, login.user().id));
        assert_eq!(next.refresh_expires_in, LIMITS.idle);
        let caller = issuer.caller(&next).await.unwrap();
        let (before, after) = (login.claims(), caller.claims());
        assert_eq!(after.session, before.session);
        assert_eq!(after.authenticated_at, before.authenticated_at, "the password was not checked again");
        assert!(after.issued_at > before.issued_at && after.id != before.id);
        assert_eq!(generation_of(&issuer, &next), generation);
        tokens = next;
    }
}

pub(crate) async fn the_next_token_says_who_the_user_is_now<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let tokens = issuer.newcomer("a@b.com").await;
    let before = issuer.caller(&tokens).await.unwrap();
    fixture.edit(before.user().id, Edit::Role("admin")).await;
    let revoked = issuer.caller(&tokens).await;
    assert!(matches!(revoked, Err(AuthError::Revoked)), "the old token says too much: {revoked:?}");
    let next = issuer.caller(&issuer.refresh(&tokens).await.unwrap()).await.unwrap();
    assert_eq!(next.claims().epoch, before.claims().epoch + 1);
    assert_eq!(next.claims().roles.iter().map(ToString::to_string).collect::<Vec<_>>(), ["admin"]);
    assert_eq!(next.claims().permissions.iter().map(ToString::to_string).collect::<Vec<_>>(), ["users:read"]);
}

pub(crate) async fn a_parent_gets_the_same_child_for_a_while<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let parent = issuer.newcomer("a@b.com").await;
    let child = issuer.refresh(&parent).await.unwrap();
    issuer.clock.advance(SECOND);
    let repeated = issuer.refresh(&parent).await.unwrap();
    assert_eq!(text(&repeated), text(&child));
    assert_ne!(repeated.access_token, child.access_token);
    assert!(repeated.refresh_expires_in < child.refresh_expires_in, "asking again buys no time");
    issuer.caller(&repeated).await.unwrap();
    issuer.refresh(&child).await.unwrap();
}

pub(crate) async fn a_second_use_ends_the_family<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let parent = issuer.newcomer("a@b.com").await;
    let elsewhere = issuer.log_in("a@b.com", PASSWORD).await.unwrap();
    let child = issuer.refresh(&parent).await.unwrap();
    issuer.clock.advance(30 * SECOND);
    assert!(
        matches!(issuer.refusal(&parent).await, RefreshRefusal::Reused { user, .. } if user == parent.user)
    );
    assert_eq!(issuer.refusal(&parent).await, RefreshRefusal::Ended);
    assert_eq!(issuer.refusal(&child).await, RefreshRefusal::Ended);
    assert!(matches!(issuer.caller(&child).await, Err(AuthError::Revoked)));
    issuer.refresh(&elsewhere).await.unwrap();
}

pub(crate) async fn a_parent_whose_child_was_used_ends_the_family<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let parent = issuer.newcomer("a@b.com").await;
    let child = issuer.refresh(&parent).await.unwrap();
    let grandchild = issuer.refresh(&child).await.unwrap();
    assert!(matches!(issuer.refusal(&parent).await, RefreshRefusal::Reused { .. }));
    for tokens in [&child, &grandchild] {
        assert_eq!(issuer.refusal(tokens).await, RefreshRefusal::Ended);
    }
}

pub(crate) async fn a_session_runs_out<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let idle = issuer.newcomer("a@b.com").await;
    let mut busy = issuer.log_in("a@b.com", PASSWORD).await.unwrap();
    issuer.clock.advance(LIMITS.idle - 60 * SECOND);
    busy = issuer.refresh(&busy).await.unwrap();
    issuer.clock.advance(60 * SECOND);
    assert_eq!(issuer.refusal(&idle).await, RefreshRefusal::RanOut);
    busy = issuer.refresh(&busy).await.unwrap();

    // Near the end of the whole life nothing outlives it.
    issuer.clock.advance(LIMITS.whole - LIMITS.idle - 60 * SECOND);
    busy = issuer.refresh(&busy).await.unwrap();
    assert!(busy.expires_in <= 60 * SECOND && busy.refresh_expires_in <= 60 * SECOND, "{busy:?}");
    issuer.clock.advance(60 * SECOND);
    assert_eq!(issuer.refusal(&busy).await, RefreshRefusal::RanOut);
}

pub(crate) async fn a_closed_account_gets_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    for (email, edit) in [("a@b.com", Edit::Suspend), ("c@d.com", Edit::Delete)] {
        let parent = issuer.newcomer(email).await;
        let child = issuer.refresh(&parent).await.unwrap();
        fixture.edit(parent.user, edit).await;
        // A repeated parent is no way around it.
        let refusal = issuer.refusal(&parent).await;
        assert!(matches!(refusal, RefreshRefusal::AccountClosed | RefreshRefusal::Ended), "{refusal:?}");
        assert_eq!(issuer.refusal(&child).await, RefreshRefusal::Ended);
    }
    let tokens = issuer.newcomer("e@f.com").await;
    fixture.edit(tokens.user, Edit::Suspend).await;
    assert_eq!(issuer.refusal(&tokens).await, RefreshRefusal::AccountClosed);
}

pub(crate) async fn a_forgery_does_not_touch_the_family<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    let elsewhere = Issuer::on(F::start().await.open().await, 4).await;
    let tokens = issuer.newcomer("a@b.com").await;
    let session = issuer.caller(&tokens).await.unwrap().claims().session;
    // Whoever knows the session's id can neither use it nor end it.
    let forged = elsewhere.refresh_tokens.mint(session).token;
    for text in [forged.expose(), "", "x", &tokens.access_token] {
        let refused = issuer.refresh.refresh(text, &RequestContext::default()).await;
        assert!(matches!(refused, Err(RefreshError::Refused(RefreshRefusal::Forged))), "{refused:?}");
        issuer.own_sessions.log_out(text, &RequestContext::default()).await.unwrap();
    }
    issuer.refresh(&tokens).await.unwrap();
}

pub(crate) async fn a_restart_in_between_changes_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let master = Arc::new(MasterKey::generate(&SystemRandom));
    let before = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
    let parent = before.newcomer("a@b.com").await;
    let child = before.refresh(&parent).await.unwrap();
    drop(before);
    let after = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
    assert_eq!(text(&after.refresh(&parent).await.unwrap()), text(&child));
    let grandchild = after.refresh(&child).await.unwrap();
    drop(after);
    let last = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
    assert!(matches!(last.refusal(&parent).await, RefreshRefusal::Reused { .. }));
    assert_eq!(last.refusal(&grandchild).await, RefreshRefusal::Ended);
}

pub(crate) async fn every_generation_of_a_token_logs_out<F: Fixture>() {
    let fixture = F::start().await;
    let issuer = Issuer::on(fixture.open().await, 4).await;
    issuer.register("a@b.com", PASSWORD, None).await.unwrap();
    let bystander = issuer.log_in("a@b.com", PASSWORD).await.unwrap();
    for back in 0..3 {
        let mut generations = vec![issuer.log_in("a@b.com", PASSWORD).await.unwrap()];
        for n in 0..2 {
            generations.push(issuer.refresh(&generations[n]).await.unwrap());
        }
        let text = generations[back].refresh_token.expose();
        issuer.own_sessions.log_out(text, &RequestContext::default()).await.unwrap();
        assert_eq!(issuer.refusal(&generations[2]).await, RefreshRefusal::Ended);
        issuer.own_sessions.log_out(text, &RequestContext::default()).await.unwrap();
    }
    issuer.refresh(&bystander).await.unwrap();
}

pub(crate) async fn many_at_once_get_one_child<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let issuer = Issuer::on(store.clone(), 4).await;
    race(&[&issuer], &store, F::SMALL_RACES, SMALL_FIELD).await;
    race(&[&issuer], &store, F::GREAT_RACES, GREAT_FIELD).await;
}

pub(crate) async fn two_issuers_give_one_child<F: Fixture>() {
    let fixture = F::start().await;
    let master = Arc::new(MasterKey::generate(&SystemRandom));
    let one = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
    let other = Issuer::with_master(fixture.open().await, 4, master.clone()).await;
    race(&[&one, &other], &fixture.open().await, F::GREAT_RACES, GREAT_FIELD).await;
}

/// How many present one token at the same time.
const SMALL_FIELD: usize = 4;
const GREAT_FIELD: usize = 64;

/// One family, whose token is presented by many in every round; the child is the next round's token.
async fn race(issuers: &[&Issuer], store: &impl Sessions, rounds: u32, field: usize) {
    let email = account().user.email;
    let mut tokens = issuers[0].newcomer(email.as_str()).await;
    let id = issuers[0].caller(&tokens).await.unwrap().claims().session;
    for round in 1..=rounds {
        let tokens_now = &tokens;
        let racers = (0..field).map(async |n| issuers[n % issuers.len()].refresh(tokens_now).await.unwrap());
        let mut answers = join_all(racers).await;
        let children: HashSet<_> = answers.iter().map(text).collect();
        assert_eq!(children.len(), 1, "round {round}");
        assert_eq!(stored(store, id).await.generation, round, "one step in round {round}");
        tokens = answers.pop().unwrap();
    }
    assert_eq!(generation_of(issuers[0], &tokens), rounds);
}

fn text(tokens: &Tokens) -> String {
    tokens.refresh_token.expose().to_owned()
}

fn generation_of(issuer: &Issuer, tokens: &Tokens) -> u32 {
    issuer.refresh_tokens.authenticate(tokens.refresh_token.expose()).unwrap().generation
}

async fn stored(store: &impl Sessions, id: SessionId) -> Session {
    store.by_id(id).await.unwrap().unwrap()
}
