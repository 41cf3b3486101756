//! What operators see of it: counters, log lines, the access log, shadow mode; and what special clients get.

use std::time::Duration;

use doorward_tests::http::Client;
use doorward_tests::parts::Answer;
use doorward_tests::wait;
use serde_json::{Value, json};

use crate::support::bare::Bare;
use crate::support::gateway::{Gateway, Listener, Plan, bearer, head};
use crate::support::keyed::{Keyed, PATH};
use crate::support::settings::{claims, claims_with, inline, provider, remote, settings, settings_for};
use crate::support::signer::{Signer, jwks};

const LIMIT: Duration = Duration::from_secs(20);
const PREFIX: &str = "wasmcustom.doorward";

#[test]
fn every_counter_counts_what_happened() {
    let (key, rsa) = (Signer::es256("k1"), Signer::rs256("r1"));
    let mut provider = provider(remote(PATH, "5m"));
    provider["algorithms"] = json!(["ES256", "RS256"]);
    let answers = [(PATH, Answer::Document(jwks(&[&key, &rsa])))];
    let keyed = Keyed::start_with(&[provider], 1, &answers);
    let gateway = &keyed.gateway;

    // This one may have to wait for the keys, and counts once all the same.
    assert_eq!(gateway.get("/users/ada", &rsa.token(&claims("ada"))).status, 200);
    let stat = |name: &str| gateway.stat(&format!("{PREFIX}_{name}"));

    let token = key.token(&claims("ada"));
    for _ in 0..5 {
        assert_eq!(gateway.get("/users/ada", &token).status, 200);
    }
    assert_eq!(gateway.get("/users/bob", &token).status, 403);
    let expired = claims_with("ada", json!({"iat": 1000, "exp": 2000}));
    for _ in 0..2 {
        assert_eq!(gateway.get("/users/ada", &key.token(&expired)).status, 401);
    }
    for _ in 0..3 {
        assert_eq!(gateway.send("GET /admin", &[]).status, 401);
        assert_eq!(gateway.send("GET /public", &[]).status, 200);
        assert_eq!(gateway.send("GET //admin", &[]).status, 400);
    }

    let expected = [
        ("requests.decision.forward.reason.none.rule.1", 6),
        ("requests.decision.forward.reason.none.rule.6", 3),
        ("requests.decision.refuse.reason.rule_denied.rule.1", 1),
        ("requests.decision.refuse.reason.expired.rule.1", 2),
        ("requests.decision.refuse.reason.missing_credential.rule.0", 3),
        ("requests.decision.refuse.reason.ambiguous_path.rule.none", 3),
        // A refused token is not remembered, so it is looked at each time.
        ("token_cache.result.hit", 5),
        ("token_cache.result.miss", 4),
        ("signatures.where.host", 4),
        ("fetches.result.answered", 1),
        ("fetches.result.failed", 0),
    ];
    let seen = || expected.map(|(name, _)| stat(name));
    let all = wait::until(LIMIT, || (seen() == expected.map(|(_, count)| count)).then_some(()));
    assert!(all.is_some(), "{:?}", expected.iter().zip(seen()).collect::<Vec<_>>());
    gateway.wait_for_stat("wasmcustom.doorward_keys_age_seconds.provider.doorward", 1);
}

#[test]
fn what_the_host_cannot_verify_is_counted_apart() {
    let (failing, secret) = (Signer::es256("k1"), jwt_simple::prelude::Ed25519KeyPair::generate());
    let mut eddsa = provider(inline(&format!(r#"{{"keys":[{}]}}"#, secret.public_key().to_jwk())));
    eddsa["algorithms"] = json!(["EdDSA"]);
    let mut remote = provider(remote(PATH, "5m"));
    remote["name"] = json!("remote");
    remote["issuer"] = json!("https://remote.example.test");
    let mut settings = settings(&[eddsa, remote]);
    settings["rules"] = json!([{"path": "/**", "allow": "authenticated"}]);
    let keyed = Keyed::start_plan(&[(PATH, Answer::Status(500))], |clusters| Plan {
        clusters,
        ..Plan::plugin(settings)
    });
    let header = json!({"alg": "EdDSA", "typ": "at+jwt"}).to_string();
    let forged = failing.sign_text(&header, &claims("ada").to_string());
    assert_eq!(keyed.gateway.get("/x", &forged).status, 401);
    keyed.gateway.wait_for_stat(&format!("{PREFIX}_signatures.where.wasm"), 1);
    keyed.gateway.wait_for_stat(&format!("{PREFIX}_fetches.result.failed"), 1);
    assert_eq!(keyed.gateway.stat(&format!("{PREFIX}_signatures.where.host")), 0);
}

#[test]
fn the_shipped_file_gives_prometheus_labels() {
    let bare = Bare::start();
    let token = bare.token("ada");
    assert_eq!(bare.client().get_as(&token, "/users/ada").unwrap().status, 200);
    assert_eq!(bare.client().get_as(&token, "/users/ada").unwrap().status, 200);
    assert_eq!(bare.client().get("/users/ada").unwrap().status, 401);
    let admin = Client::new(&bare.envoy.admin_url());
    let read = || String::from_utf8(admin.get("/stats/prometheus").unwrap().body).unwrap();
    let lines = [
        r#"doorward_requests{decision="forward",reason="none",rule="9"} 2"#,
        r#"doorward_requests{decision="refuse",reason="missing_credential",rule="9"} 1"#,
        r#"doorward_token_cache{result="hit"} 1"#,
        r#"doorward_token_cache{result="miss"} "#,
        r#"doorward_signatures{where="host"} 1"#,
        r#"doorward_fetches{result="answered"} 1"#,
        r#"doorward_keys_age_seconds{provider="doorward"} "#,
        // Also what never happened.
        "doorward_failures{} 0",
        "doorward_held_now{} 0",
    ];
    for line in lines {
        let found = wait::until(LIMIT, || read().contains(line).then_some(()));
        let ours: Vec<String> =
            read().lines().filter(|l| l.contains("doorward")).map(str::to_owned).collect();
        assert!(found.is_some(), "{line} is not among {ours:#?}");
    }
}

#[test]
fn a_refusal_is_one_log_line_without_the_token() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    let expired = key.token(&claims_with("ada", json!({"iat": 1000, "exp": 2000})));
    let stranger = Signer::es256("another-kid").token(&claims("ada"));
    let answers = [
        (gateway.get("/users/ada", &expired), "expired", json!(1), json!("doorward"), json!(null)),
        (
            gateway.get("/users/ada", &stranger),
            "unknown_key",
            json!(1),
            json!("doorward"),
            json!("another-kid"),
        ),
        (
            gateway.get("/users/bob", &key.token(&claims("ada"))),
            "rule_denied",
            json!(1),
            json!(null),
            json!(null),
        ),
        (gateway.send("GET /admin", &[]), "missing_credential", json!(0), json!(null), json!(null)),
        (gateway.send("GET //", &[]), "ambiguous_path", json!(null), json!(null), json!(null)),
    ];
    for (answer, reason, rule, provider, kid) in answers {
        let id = answer.header("x-request-id").unwrap().to_owned();
        let line = wait::until(LIMIT, || log_line(&gateway, &id)).unwrap();
        assert_eq!(line["event"], "refused");
        assert_eq!(line["reason"], reason);
        assert_eq!(line["rule"], rule, "{reason}");
        assert_eq!(line["kid"], kid, "{reason}");
        if !provider.is_null() {
            assert_eq!(line["provider"], provider, "{reason}");
        }
    }
    let log = gateway.process.log_text();
    for token in [&expired, &stranger] {
        assert!(token.split('.').all(|segment| !log.contains(segment)), "a piece of a token is in the log");
    }
    assert!(!log.contains("ada@example.test") && !log.contains("Bearer"));
}

#[test]
fn a_flood_of_refusals_does_not_flood_the_log() {
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&Signer::es256("k1")]))));
    let mut connection = gateway.connect();
    for _ in 0..2_000 {
        assert_eq!(connection.send(&head("GET /admin", &[])).unwrap().status, 401);
    }
    gateway
        .wait_for_stat(&format!("{PREFIX}_requests.decision.refuse.reason.missing_credential.rule.0"), 2_000);
    let withheld = wait::until(LIMIT, || gateway.process.log_text().contains("lines_withheld").then_some(()));
    assert!(withheld.is_some());
    let lines = gateway.process.log_text().matches(r#""reason":"missing_credential""#).count();
    assert!(lines < 1_000, "{lines} lines");
}

#[test]
fn the_access_log_can_say_who_it_was() {
    let key = Signer::es256("k1");
    for (told, expected) in [(true, "who=ada status=200"), (false, "who=- status=200")] {
        let mut settings = settings_for(&jwks(&[&key]));
        settings["access_log"] = json!(told);
        let format = "who=%FILTER_STATE(wasm.doorward_user_id:PLAIN)% status=%RESPONSE_CODE%";
        let listeners = vec![Listener::plugin(settings).logging(format)];
        let gateway = Gateway::start(Plan { listeners, ..Plan::plugin(Value::Null) });
        assert_eq!(gateway.send("GET /admin", &["x-user-id: eve"]).status, 401);
        assert_eq!(gateway.get("/users/ada", &key.token(&claims("ada"))).status, 200);
        let log = || gateway.process.log_text();
        let written = wait::until(LIMIT, || log().contains(expected).then_some(()));
        assert!(written.is_some(), "{expected} is not in {}", log());
        assert!(log().contains("who=- status=401") && !log().contains("who=eve"));
    }
}

#[test]
fn shadow_mode_lets_through_what_it_would_refuse_but_never_an_identity() {
    let key = Signer::es256("k1");
    let mut settings = settings_for(&jwks(&[&key]));
    settings["mode"] = json!("shadow");
    let gateway = Gateway::start(Plan::plugin(settings));
    let expired = bearer(&key.token(&claims_with("ada", json!({"iat": 1000, "exp": 2000}))));
    let evil = ["x-user-id: evil", "X_User_Roles: admin", "x-auth-provider: evil"];
    for (line, more) in [("GET /admin", None), ("GET /users/ada", Some(&expired)), ("GET /denied/x", None)] {
        let headers: Vec<&str> = evil.into_iter().chain(more.map(String::as_str)).collect();
        let answer = gateway.send(line, &headers);
        assert_eq!(answer.status, 200, "{line}");
    }
    let arrived = gateway.echo.all();
    assert_eq!(arrived.len(), 3);
    for request in arrived {
        assert!(
            request
                .folded_names()
                .iter()
                .all(|name| !name.starts_with("x-user") && name != "x-auth-provider")
        );
    }
    // Who is let in rightly is told apart from who is not.
    assert_eq!(gateway.get("/users/ada", &key.token(&claims("ada"))).status, 200);
    assert_eq!(gateway.echo.received("/users/ada")[1].header("x-user-id"), [b"ada"]);
    for count in ["missing_credential.rule.0", "expired.rule.1", "no_rule.rule.5"] {
        gateway.wait_for_stat(&format!("{PREFIX}_requests.decision.shadow.reason.{count}"), 1);
    }
    assert!(gateway.process.log_text().contains(r#""event":"would_refuse""#));
}

#[test]
fn a_grpc_call_is_refused_with_a_grpc_status() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    let denied = bearer(&key.token(&claims("ada")));
    // UNAUTHENTICATED, and PERMISSION_DENIED.
    let cases = [(vec![], "16"), (vec![denied.as_str()], "7")];
    for (more, status) in cases {
        let headers =
            [vec!["content-type: application/grpc", "te: trailers", "content-length: 0"], more].concat();
        let answer = gateway.send("POST /admin/svc.Users/List", &headers);
        assert_eq!(answer.status, 200, "gRPC carries its status apart: {answer:?}");
        assert_eq!(answer.header("grpc-status"), Some(status), "{answer:?}");
        assert!(answer.header("x-request-id").is_some());
    }
    assert!(gateway.echo.all().is_empty());
}

#[test]
fn a_cors_preflight_passes_stripped_and_only_if_it_is_one() {
    let key = Signer::es256("k1");
    let preflight =
        ["origin: https://app.example.test", "access-control-request-method: PUT", "x-user-id: evil"];
    let mut open = settings_for(&jwks(&[&key]));
    open["cors_preflight"] = json!("allow");
    let gateway = Gateway::start(Plan::plugin(open));
    assert_eq!(gateway.send("OPTIONS /admin", &preflight).status, 200);
    assert!(gateway.echo.all()[0].header("x-user-id").is_empty());
    for headers in [&preflight[..1], &preflight[1..]] {
        assert_eq!(gateway.send("OPTIONS /admin", headers).status, 401, "{headers:?}");
    }
    for line in ["GET /admin", "PUT /admin"] {
        assert_eq!(gateway.send(line, &preflight).status, 401, "{line}");
    }
    assert_eq!(gateway.send("OPTIONS //admin", &preflight).status, 400);
    assert_eq!(gateway.arrived(), ["/admin"]);

    let closed = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    assert_eq!(closed.send("OPTIONS /admin", &preflight).status, 401, "rules decide unless told otherwise");
}

/// The line about the request with this id.
fn log_line(gateway: &Gateway, id: &str) -> Option<Value> {
    let log = gateway.process.log_text();
    let line = log.lines().find(|line| line.contains(id) && line.contains(r#""event""#))?;
    let (start, end) = (line.find('{')?, line.rfind('}')?);
    serde_json::from_str(&line[start..=end]).ok()
}
