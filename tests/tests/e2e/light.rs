//! Register, log in, pass the gate.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::problem::{reason, refusal};
use crate::support::whole::{PASSWORD, Whole, text};

#[test]
fn a_user_registers_logs_in_and_arrives_with_his_own_headers() {
    let whole = Whole::start();
    let registered = whole.register("a@b.com");
    assert_eq!(registered["email"], "a@b.com");
    assert!(text(&registered, "created_at").ends_with('Z'), "RFC 3339 in UTC");
    let id = text(&registered, "id");

    let tokens = whole.log_in("a@b.com", PASSWORD);
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert!(tokens["refresh_expires_in"].as_u64().unwrap() > 900);
    let token = text(&tokens, "access_token");

    let path = format!("/users/{id}");
    assert_eq!(whole.gate.get_as(&token, &path).unwrap().status, 200);

    let arrived = whole.arrived(&path);
    let claims = claims(&token);
    let sid = text(&claims, "sid");
    let expected: [(&str, Option<&str>); 6] = [
        ("x-user-id", Some(&id)),
        ("x-user-email", Some("a@b.com")),
        ("x-user-email-verified", Some("false")),
        ("x-user-roles", Some("user")),
        ("x-session-id", Some(&sid)),
        ("x-auth-provider", Some("doorward")),
    ];
    for (name, value) in expected {
        let values: Vec<Vec<u8>> = value.map(|value| value.as_bytes().to_vec()).into_iter().collect();
        assert_eq!(arrived.header(name), values, "{name}");
    }
    assert!(arrived.header("authorization").is_empty(), "the service has no use for the token");
}

#[test]
fn the_token_is_signed_by_a_key_that_the_gate_serves() {
    let whole = Whole::start();
    let user = whole.user("ada@example.test");
    let header: Value = decoded(user.token.split('.').next().unwrap());
    assert_eq!((&header["alg"], &header["typ"]), (&"ES256".into(), &"at+jwt".into()));

    let reply = whole.gate.get("/.well-known/jwks.json").unwrap();
    assert_eq!(reply.header("cache-control"), Some("public, max-age=300"));
    let jwks = reply.json().unwrap();
    assert!(jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]));
    assert!(jwks["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()), "public parts alone");
}

#[test]
fn somebody_elses_profile_is_forbidden() {
    let whole = Whole::start();
    let (ada, bob) = (whole.user("ada@example.test"), whole.user("bob@example.test"));
    let path = format!("/users/{}", bob.id);
    let reply = whole.gate.get_as(&ada.token, &path).unwrap();
    let challenge = r#"Bearer realm="doorward", error="insufficient_scope""#;
    assert_eq!(refusal(&reply), (403, "rule_denied".to_owned(), Some(challenge)));
    assert!(whole.echo().received(&path).is_empty());
}

#[test]
fn the_list_of_users_is_for_administrators() {
    let whole = Whole::start();
    let ada = whole.user("ada@example.test");
    assert_eq!(reason(&whole.gate.get_as(&ada.token, "/users").unwrap()), "rule_denied");

    whole.stack.issuer.create_user("root@example.test", "a long and quiet evening", "admin").unwrap();
    let admin = text(&whole.log_in("root@example.test", "a long and quiet evening"), "access_token");
    for path in ["/users".to_owned(), format!("/users/{}", ada.id)] {
        assert_eq!(whole.gate.get_as(&admin, &path).unwrap().status, 200, "{path}");
        let roles = whole.arrived(&path).header("x-user-roles").concat();
        assert!(String::from_utf8(roles).unwrap().split(',').any(|role| role == "admin"));
    }
}

#[test]
fn the_issuer_knows_who_is_asking() {
    let whole = Whole::start();
    let ada = whole.user("ada@example.test");
    let me = whole.gate.get_as(&ada.token, "/auth/me").unwrap();
    assert_eq!(me.status, 200, "{me:?}");
    assert_eq!(me.json().unwrap()["id"], ada.id.as_str());
    assert_eq!(reason(&whole.gate.get("/auth/me").unwrap()), "missing_credential");
}

#[test]
fn what_no_rule_opens_stays_closed() {
    let whole = Whole::start();
    let ada = whole.user("ada@example.test");
    for path in ["/", "/metrics", "/revocations", "/users/a/b", "/auth/validate"] {
        let reply = whole.gate.get_as(&ada.token, path).unwrap();
        assert_eq!(refusal(&reply), (403, "no_rule".to_owned(), None), "{path}");
    }
    let validate = whole.gate.post("/auth/validate", &serde_json::json!({ "token": ada.token })).unwrap();
    assert_eq!((validate.status, reason(&validate)), (403, "no_rule".to_owned()));
}

#[test]
fn public_paths_need_no_token() {
    let whole = Whole::start();
    for path in ["/health", "/openapi.json", "/docs"] {
        assert_eq!(whole.gate.get(path).unwrap().status, 200, "{path}");
    }
}

fn claims(token: &str) -> Value {
    decoded(token.split('.').nth(1).unwrap())
}

fn decoded(segment: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
}
