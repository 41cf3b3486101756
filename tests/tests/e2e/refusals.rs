//! The issuer's refusals, seen through the gate.

use doorward_tests::http::Reply;
use serde_json::json;

use crate::support::problem::reason;
use crate::support::whole::{PASSWORD, Whole};

#[test]
fn a_taken_address_is_a_conflict_in_every_spelling() {
    let whole = Whole::start();
    whole.register("ada@example.test");
    for email in ["ada@example.test", "Ada@Example.Test"] {
        let reply =
            whole.gate.post("/auth/register", &json!({ "email": email, "password": PASSWORD })).unwrap();
        assert_eq!((reply.status, reason(&reply)), (409, "email_taken".to_owned()), "{email}");
    }
}

#[test]
fn bad_bodies_are_told_apart() {
    let whole = Whole::start();
    for path in ["/auth/register", "/auth/login"] {
        let malformed = send(&whole, path, "{\"email\":");
        assert_eq!((malformed.status, reason(&malformed)), (400, "malformed_body".to_owned()), "{path}");

        let injected = send(&whole, path, r#"{"email":{"$ne":1},"password":{"$ne":1}}"#);
        assert_eq!((injected.status, reason(&injected)), (422, "validation_failed".to_owned()), "{path}");
        assert!(
            injected.json().unwrap()["errors"][0]["field"].as_str().is_some_and(|field| field == "email")
        );
    }
}

#[test]
fn weak_passwords_are_refused_with_the_field() {
    let whole = Whole::start();
    for password in ["short", "password123", "ada@example.test"] {
        let reply = whole
            .gate
            .post("/auth/register", &json!({ "email": "ada@example.test", "password": password }))
            .unwrap();
        assert_eq!((reply.status, reason(&reply)), (422, "validation_failed".to_owned()), "{password}");
        assert_eq!(reply.json().unwrap()["errors"][0]["field"], "password");
    }
}

#[test]
fn a_wrong_password_and_an_unknown_address_sound_alike() {
    let whole = Whole::start();
    whole.register("ada@example.test");
    let answers = ["ada@example.test", "nobody@example.test"].map(|email| {
        let reply = whole
            .gate
            .post("/auth/login", &json!({ "email": email, "password": "not his password" }))
            .unwrap();
        assert_eq!((reply.status, reason(&reply)), (401, "invalid_credentials".to_owned()), "{email}");
        let mut body = reply.json().unwrap();
        body["request_id"] = json!(null);
        body
    });
    assert_eq!(answers[0], answers[1]);
}

fn send(whole: &Whole, path: &str, body: &str) -> Reply {
    whole.gate.send("POST", path, &[("content-type", "application/json")], body.as_bytes().to_vec()).unwrap()
}
