//! The issuer's keys are changed, and the gate follows.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_tests::wait;
use serde_json::{Value, json};

use crate::support::whole::{PASSWORD, Whole, text};

/// The `kid` of a token.
fn signed_by(tokens: &Value) -> String {
    let token = text(tokens, "access_token");
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    text(&serde_json::from_slice(&header).unwrap(), "kid")
}

fn refresh(whole: &Whole, tokens: &Value) -> Value {
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    let reply = whole.gate.post("/auth/refresh", &body).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json().unwrap()
}

fn status(whole: &Whole, tokens: &Value, path: &str) -> u16 {
    whole.gate.get_as(&text(tokens, "access_token"), path).unwrap().status
}

#[test]
fn a_key_that_leaked_is_worth_nothing_and_nobody_has_to_log_in_again() {
    let whole = Whole::start();
    let id = text(&whole.register("ada@example.test"), "id");
    let path = format!("/users/{id}");
    let old = whole.log_in("ada@example.test", PASSWORD);
    assert_eq!(status(&whole, &old, &path), 200);

    let leaked = signed_by(&old);
    whole.stack.issuer.command(&["keys", "revoke", &leaked], "").unwrap();
    // The running issuer follows by itself.
    let new = wait::until(Duration::from_secs(20), || {
        Some(whole.log_in("ada@example.test", PASSWORD)).filter(|tokens| signed_by(tokens) != leaked)
    });
    let new = new.expect("another key signs");
    let passed = wait::until(Duration::from_secs(20), || (status(&whole, &new, &path) == 200).then_some(()));
    passed.expect("the gate fetches the new key");
    assert_eq!(status(&whole, &old, &path), 401, "with the new keys the old one is gone");
    assert_eq!(status(&whole, &refresh(&whole, &old), &path), 200, "a refresh is all it takes");
}
