use std::time::Duration;

use serde_json::json;

use super::issuer::{Issuer, PASSWORD};
use super::wire::{Answer, send};

const JSON: (&str, &str) = ("content-type", "application/json");

fn fields(answer: &Answer) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| (text(&error["field"]), text(&error["message"]))).collect()
}

#[test]
fn what_is_not_json_is_malformed() {
    let issuer = Issuer::start();
    for body in
        ["", "{", "{\"email\": }", "email=a", "{\"a\": 1} x", "\u{feff}{}", "{\"email\": \"\\ud800\"}"]
    {
        let answer = issuer.post_text("/auth/register", body);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed_body"), "{body:?}");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(issuer.post_text("/auth/login", &deep).problem(), "malformed_body");
    let answer = send(issuer.public, "POST /auth/register", &[JSON], b"{\"email\": \"\xff\"}");
    assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed_body"));
}

#[test]
fn json_of_the_wrong_shape_names_the_field_and_repeats_nothing() {
    let issuer = Issuer::start();
    for (path, body, field) in [
        ("/auth/register", json!({"email": {"$ne": "hush"}, "password": PASSWORD}), "email"),
        ("/auth/register", json!({"email": "a@b.com", "password": ["hush"]}), "password"),
        ("/auth/register", json!({"email": "a@b.com"}), "password"),
        (
            "/auth/register",
            json!({"email": "a@b.com", "password": PASSWORD, "username": {"hush": 1}}),
            "username",
        ),
        ("/auth/login", json!({"email": {"$gt": "hush"}, "password": PASSWORD}), "email"),
        ("/auth/login", json!({"email": "a@b.com", "password": {"$ne": "hush"}}), "password"),
        ("/auth/login", json!({"password": PASSWORD}), "login"),
        ("/auth/login", json!({"email": "a@b.com", "username": "hush", "password": PASSWORD}), "login"),
        ("/auth/validate", json!({"token": 4711}), "token"),
        ("/auth/validate", json!(["hush"]), "body"),
    ] {
        let answer = issuer.post(path, &body);
        assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"), "{body}");
        assert_eq!(fields(&answer).len(), 1, "{answer:?}");
        assert_eq!(fields(&answer)[0].0, field, "{answer:?}");
        assert!(!answer.body.contains("hush") && !answer.body.contains("4711"), "{answer:?}");
    }
}

#[test]
fn values_that_will_not_do_are_told_all_at_once() {
    let issuer = Issuer::start();
    let answer = issuer
        .post("/auth/register", &json!({"email": "nobody", "password": "short", "username": "a@b.com"}));
    assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"));
    let names: Vec<_> = fields(&answer).into_iter().map(|(field, _)| field).collect();
    assert!(names.contains(&"email".to_owned()) && names.contains(&"username".to_owned()), "{answer:?}");
    let email = "josephine.miller@firm.example";
    for password in ["short", "password123", email] {
        let answer = issuer.post("/auth/register", &json!({"email": email, "password": password}));
        assert_eq!((answer.status, fields(&answer)[0].0.as_str()), (422, "password"), "{password}");
    }
}

#[test]
fn only_json_is_taken_and_not_too_much_of_it() {
    let issuer = Issuer::start();
    let body = json!({"email": "a@b.com", "password": PASSWORD}).to_string();
    for headers in
        [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-www-form-urlencoded")]]
    {
        let answer = send(issuer.public, "POST /auth/register", headers, body.as_bytes());
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (415, "unsupported_media_type"),
            "{headers:?}"
        );
    }
    let charset = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(send(issuer.public, "POST /auth/register", &charset, body.as_bytes()).status, 201);

    let padded = format!("{body}{}", " ".repeat(64 * 1024 - body.len()));
    assert_eq!(issuer.post_text("/auth/register", &padded).problem(), "email_taken");
    let answer = issuer.post_text("/auth/register", &format!("{padded} "));
    assert_eq!((answer.status, answer.problem().as_str()), (413, "payload_too_large"));
}

#[test]
fn unknown_paths_and_methods_are_problems_too() {
    let issuer = Issuer::start();
    for path in ["/", "/nothing", "/auth", "/auth/register/", "/docs/", "/AUTH/ME"] {
        let answer = issuer.get(path);
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"), "{path}");
    }
    for (line, methods) in [
        ("GET /auth/register", "POST"),
        ("DELETE /auth/me", "GET, HEAD"),
        ("POST /health", "GET, HEAD"),
        ("BREW /openapi.json", "GET, HEAD"),
        ("PUT /docs", "GET, HEAD"),
    ] {
        let answer = send(issuer.public, line, &[], b"");
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method_not_allowed"), "{line}");
        assert_eq!(answer.header("allow"), Some(methods), "{line}");
    }
    let answer = send(issuer.management, "POST /health/ready", &[], b"");
    assert_eq!(
        (answer.problem().as_str(), answer.header("allow")),
        ("method_not_allowed", Some("GET, HEAD"))
    );
}

#[test]
fn an_address_or_a_name_is_taken_once() {
    let issuer = Issuer::start();
    let alice = json!({"email": "a@b.com", "password": PASSWORD, "username": "alice"});
    assert_eq!(issuer.post("/auth/register", &alice).status, 201);
    let answer = issuer.post("/auth/register", &json!({"email": "A@B.com", "password": PASSWORD}));
    assert_eq!((answer.status, answer.problem().as_str()), (409, "email_taken"));
    let again = json!({"email": "c@d.com", "password": PASSWORD, "username": "ALICE"});
    let answer = issuer.post("/auth/register", &again);
    assert_eq!((answer.status, answer.problem().as_str()), (409, "username_taken"));
}

#[test]
fn wrong_and_unknown_are_refused_alike() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let wrong = issuer.post("/auth/login", &json!({"email": "a@b.com", "password": "not the password"}));
    let unknown = issuer.post("/auth/login", &json!({"email": "x@y.com", "password": PASSWORD}));
    let nonsense = issuer.post("/auth/login", &json!({"login": "\u{0}", "password": PASSWORD}));
    for answer in [wrong, unknown, nonsense] {
        assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid_credentials"), "{answer:?}");
        assert_eq!(answer.header("www-authenticate"), None);
        assert_eq!(answer.json()["detail"], "The login name or the password is not right.");
    }
}

#[test]
fn registration_can_be_closed() {
    let issuer = Issuer::start_with(&[("registration.open", "false")]);
    let answer = issuer.post("/auth/register", &json!({"email": "a@b.com", "password": PASSWORD}));
    assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"));
}

#[test]
fn a_bearer_needs_exactly_one_good_credential() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let token = issuer.login("a@b.com")["access_token"].as_str().unwrap().to_owned();
    let good = format!("Bearer {token}");

    let missing = issuer.get("/auth/me");
    assert_eq!((missing.status, missing.problem().as_str()), (401, "missing_credential"));
    assert_eq!(missing.header("www-authenticate"), Some(r#"Bearer realm="doorward""#));

    let several = issuer.get_with("/auth/me", &[("authorization", &good), ("authorization", &good)]);
    assert_eq!((several.status, several.problem().as_str()), (400, "several_credentials"));
    assert_eq!(several.header("www-authenticate"), Some(r#"Bearer error="invalid_request""#));

    let malformed = issuer.get_with("/auth/me", &[("authorization", &format!("Basic {token}"))]);
    assert_eq!((malformed.status, malformed.problem().as_str()), (400, "malformed_credential"));

    let (head, signature) = token.rsplit_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0";
    let payload = token.split('.').nth(1).unwrap();
    for bad in [
        "x".to_owned(),
        head.to_owned(),
        format!("{head}.AAAA{}", &signature[4..]),
        format!("{none}.{payload}."),
    ] {
        let invalid = issuer.me(&bad);
        assert_eq!((invalid.status, invalid.problem().as_str()), (401, "invalid_token"), "{bad}");
        assert_eq!(
            invalid.header("www-authenticate"),
            Some(
                r#"Bearer realm="doorward", error="invalid_token", error_description="The token is not valid""#
            )
        );
        assert!(!invalid.body.contains(payload), "the token is repeated");
    }
}

#[test]
fn a_token_ends_with_its_time_and_with_its_session() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let first = issuer.login("a@b.com")["access_token"].as_str().unwrap().to_owned();
    let database = rusqlite::Connection::open(issuer.database()).unwrap();
    database.execute("DELETE FROM sessions", []).unwrap();
    let revoked = issuer.me(&first);
    assert_eq!((revoked.status, revoked.problem().as_str()), (401, "revoked"));

    let second = issuer.login("a@b.com")["access_token"].as_str().unwrap().to_owned();
    assert_eq!(issuer.me(&second).status, 200);
    issuer.clock.advance(Duration::from_secs(901));
    let expired = issuer.me(&second);
    assert_eq!((expired.status, expired.problem().as_str()), (401, "expired"));
}

#[test]
fn a_flood_from_one_address_is_told_to_wait() {
    let issuer = Issuer::start_with(&[("password.cost", "12"), ("password.threads", "1")]);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let attempt = |number: usize| {
            let issuer = &issuer;
            let body = json!({"email": format!("a{number}@b.com"), "password": PASSWORD});
            scope.spawn(move || issuer.post("/auth/login", &body))
        };
        let attempts: Vec<_> = (0..12).map(attempt).collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    let (overloaded, checked): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 503);
    assert!(!overloaded.is_empty() && !checked.is_empty(), "{answers:?}");
    for answer in overloaded {
        assert_eq!(answer.problem(), "overloaded");
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    }
    for answer in checked {
        assert_eq!(answer.problem(), "invalid_credentials");
    }
}

#[test]
fn a_store_that_does_not_answer_is_a_503_long_before_the_request_has_had_its_time() {
    let issuer = Issuer::start();
    // Somebody else holds the database and does not let go.
    let mut other = rusqlite::Connection::open(issuer.database()).unwrap();
    let held = other.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive).unwrap();
    let stopwatch = doorward_issuer::telemetry::Stopwatch::start();
    let answer = issuer.post("/auth/register", &json!({"email": "a@b.com", "password": PASSWORD}));
    assert!(stopwatch.milliseconds() < 10_000.0, "took {} ms", stopwatch.milliseconds());
    assert_eq!((answer.status, answer.problem().as_str()), (503, "store_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!answer.body.contains("sqlite") && !answer.body.contains("lock"), "{answer:?}");
    let health = issuer.get("/health");
    let unwell = json!({"status": "unavailable", "store": "unavailable", "events": "off"});
    assert_eq!((health.status, health.json()), (503, unwell.clone()));
    let ready = send(issuer.management, "GET /health/ready", &[], b"");
    assert_eq!((ready.status, ready.json()), (503, unwell));
    assert_eq!(send(issuer.management, "GET /health/live", &[], b"").status, 200);
    drop(held);
    issuer.register("a@b.com");
}
