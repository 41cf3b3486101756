//! What becomes of a session after the login: refreshed, listed, ended; and the change of a password.

use std::net::IpAddr;

use doorward_tests::http::Reply;
use serde_json::{Value, json};

use crate::support::problem::refusal;
use crate::support::whole::{PASSWORD, Whole, text};

const NEW_PASSWORD: &str = "n3wer-P@ssword!";
const DEAD: (u16, &str, Option<&str>) = (
    401,
    "invalid_token",
    Some(r#"Bearer realm="doorward", error="invalid_token", error_description="The token is not valid""#),
);

#[test]
fn a_session_goes_on_and_comes_to_its_end() {
    lives_and_ends(&Whole::start());
}

#[test]
fn a_session_on_mongodb_goes_on_and_comes_to_its_end() {
    lives_and_ends(&Whole::start_on_mongodb());
}

fn lives_and_ends(whole: &Whole) {
    let id = text(&whole.register("ada@example.test"), "id");
    let login = whole.log_in("ada@example.test", PASSWORD);
    let path = format!("/users/{id}");

    // Two tabs at once, and both go on.
    let (tab, other_tab) = (refreshed(whole, &login), refreshed(whole, &login));
    assert_eq!(tab["refresh_token"], other_tab["refresh_token"]);
    for tokens in [&tab, &other_tab] {
        assert_eq!(whole.gate.get_as(&text(tokens, "access_token"), &path).unwrap().status, 200);
    }
    let arrived = whole.echo().received(&path);
    assert_eq!(arrived.len(), 2);
    assert_eq!(arrived[0].header("x-session-id"), arrived[1].header("x-session-id"));
    assert_eq!(arrived[0].header("x-user-id"), [id.as_bytes()]);

    // Somebody has kept a token that was used up: nobody has the session any more.
    let next = refreshed(whole, &tab);
    assert_dead(whole, &login);
    for tokens in [&tab, &next] {
        assert_dead(whole, tokens);
    }
    assert_revoked(whole, &next);

    // Logging out ends one session of two.
    let (here, there) = (log_in(whole), log_in(whole));
    let out = whole.gate.post("/auth/logout", &json!({ "refresh_token": here["refresh_token"] })).unwrap();
    assert_eq!((out.status, out.body.len()), (204, 0), "{out:?}");
    assert_dead(whole, &here);
    assert_revoked(whole, &here);
    let there = refreshed(whole, &there);

    // Logging out everywhere ends the other one too.
    assert_eq!(ask(whole, &there, "POST", "/auth/logout-all", &Value::Null).status, 204);
    assert_dead(whole, &there);
    assert_revoked(whole, &there);
}

#[test]
fn users_see_and_end_their_own_sessions() {
    let whole = Whole::start();
    whole.register("ada@example.test");
    whole.register("bob@example.test");
    let bob = whole.log_in("bob@example.test", PASSWORD);
    let body = json!({ "email": "ada@example.test", "password": PASSWORD }).to_string();
    let headers = [("content-type", "application/json"), ("user-agent", "a phone"), SPOOF];
    let phone = whole.gate.send("POST", "/auth/login", &headers, body.into_bytes()).unwrap().json().unwrap();
    let here = log_in(&whole);

    let list = ask(&whole, &here, "GET", "/auth/sessions", &Value::Null).json().unwrap();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "bob's is not among them: {list}");
    let other = items.iter().find(|item| item["current"] == false).unwrap();
    assert_eq!(other["device"], "a phone");
    // Envoy calls a client on its own host by the host's address.
    assert!(text(other, "address").parse::<IpAddr>().is_ok(), "{other}");
    assert_ne!(other["address"], SPOOF.1, "as Envoy saw it, whatever the client says");

    let path = format!("/auth/sessions/{}", text(other, "id"));
    let reply = ask(&whole, &bob, "DELETE", &path, &Value::Null);
    assert_eq!(refusal(&reply), (404, "not_found".to_owned(), None));
    assert_eq!(ask(&whole, &here, "DELETE", &path, &Value::Null).status, 204);
    assert_dead(&whole, &phone);
    refreshed(&whole, &here);
}

const SPOOF: (&str, &str) = ("x-forwarded-for", "192.0.2.66");

#[test]
fn a_new_password_ends_what_the_old_one_opened() {
    let whole = Whole::start();
    whole.register("ada@example.test");
    let (here, there) = (log_in(&whole), log_in(&whole));
    let wrong = json!({ "current_password": "not the password", "new_password": NEW_PASSWORD });
    let reply = ask(&whole, &here, "POST", "/auth/change-password", &wrong);
    assert_eq!(refusal(&reply), (401, "invalid_credentials".to_owned(), None));

    let change = json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD });
    let reply = ask(&whole, &here, "POST", "/auth/change-password", &change);
    assert_eq!(reply.status, 200, "{reply:?}");
    let changed = reply.json().unwrap();
    assert_eq!((&changed["success"], &changed["requires_reauth"]), (&json!(true), &json!(true)));
    assert!(text(&changed, "password_changed_at").ends_with('Z'));
    for tokens in [&here, &there] {
        assert_dead(&whole, tokens);
        assert_revoked(&whole, tokens);
    }

    let old = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(whole.gate.post("/auth/login", &old).unwrap().status, 401);
    let new = whole.log_in("ada@example.test", NEW_PASSWORD);
    assert_eq!(whole.gate.get_as(&text(&new, "access_token"), "/auth/me").unwrap().status, 200);
    refreshed(&whole, &new);
}

fn log_in(whole: &Whole) -> Value {
    whole.log_in("ada@example.test", PASSWORD)
}

fn refresh(whole: &Whole, tokens: &Value) -> Reply {
    whole.gate.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).unwrap()
}

fn refreshed(whole: &Whole, tokens: &Value) -> Value {
    let reply = refresh(whole, tokens);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json().unwrap()
}

/// The refresh token is good for nothing.
fn assert_dead(whole: &Whole, tokens: &Value) {
    let reply = refresh(whole, tokens);
    let (status, reason, challenge) = refusal(&reply);
    assert_eq!((status, reason.as_str(), challenge), DEAD);
}

/// The access token is no good to the issuer.
fn assert_revoked(whole: &Whole, tokens: &Value) {
    let reply = whole.gate.get_as(&text(tokens, "access_token"), "/auth/me").unwrap();
    let (status, reason, _) = refusal(&reply);
    assert_eq!((status, reason.as_str()), (401, "revoked"));
}

fn ask(whole: &Whole, tokens: &Value, method: &str, path: &str, body: &Value) -> Reply {
    let bearer = format!("Bearer {}", text(tokens, "access_token"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    whole.gate.send(method, path, &headers, body).unwrap()
}
