//! The example service without a gateway: `--verify locally`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_tests::http::{Client, Reply};
use doorward_tests::parts::UserService;
use doorward_tests::prepared::Prepared;
use doorward_tests::wait;
use serde_json::{Value, json};

use crate::support::alone::Alone;
use crate::support::problem::refusal;
use crate::support::whole::{PASSWORD, text};

const SOON: Duration = Duration::from_secs(30);
const ADA: &str = "ada@example.test";
const BOB: &str = "bob@example.test";

#[test]
fn a_service_without_a_gateway_checks_tokens_itself_and_believes_nobody() {
    let alone = Alone::start(&[]);
    let (_service, client) = service(&alone, &[]);
    let [(ada, token), (bob, _)] = [ADA, BOB].map(|email| user(&alone, email));
    let own = format!("/users/{ada}");

    // Whoever says that he is somebody else is still who he is.
    let bearer = format!("Bearer {token}");
    let forged = [
        ("authorization", bearer.as_str()),
        ("x-user-id", bob.as_str()),
        ("x-user-email", "evil@example.test"),
        ("x_user_id", bob.as_str()),
        ("x-user-roles", "admin"),
    ];
    let profile = client.send("GET", &own, &forged, Vec::new()).unwrap();
    assert_eq!(profile.status, 200, "{profile:?}");
    let profile = profile.json().unwrap();
    assert_eq!((&profile["id"], &profile["email"]), (&json!(ada), &json!(ADA)));
    let denied = Some(r#"Bearer realm="doorward", error="insufficient_scope""#);
    for path in [format!("/users/{bob}"), "/users".to_owned()] {
        let reply = client.send("GET", &path, &forged, Vec::new()).unwrap();
        assert_eq!(refusal(&reply), (403, "rule_denied".to_owned(), denied), "{path}");
    }

    // Without a token, without a good one, and where no rule leads.
    let missing = (401, "missing_credential".to_owned(), Some(r#"Bearer realm="doorward""#));
    assert_eq!(refusal(&client.get(&own).unwrap()), missing);
    let named = [("x-user-id", ada.as_str()), ("x-request-id", "r-1")];
    let named = client.send("GET", &own, &named, Vec::new()).unwrap();
    assert_eq!((named.status, &named.json().unwrap()["request_id"]), (401, &json!("r-1")));
    let (head, signature) = token.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let broken = client.get_as(&format!("{head}.{turned}"), &own).unwrap();
    assert_eq!((broken.status, refusal(&broken).1), (401, "invalid_token".to_owned()));
    assert_eq!(refusal(&client.get_as(&token, "/elsewhere").unwrap()).1, "no_rule");

    alone.issuer.create_user("root@example.test", PASSWORD, "admin").unwrap();
    let admin = text(&alone.log_in("root@example.test").json().unwrap(), "access_token");
    assert_eq!(client.get_as(&admin, "/users").unwrap().json().unwrap()["items"], json!([profile]));
}

#[test]
fn keys_that_change_are_followed_and_keys_that_cannot_be_had_let_nobody_in() {
    let mut alone = Alone::start(&[]);
    let (_service, client) = service(&alone, &[]);
    let (ada, old) = user(&alone, ADA);
    let own = format!("/users/{ada}");
    let passes = |token: &str| client.get_as(token, &own).unwrap().status;
    assert_eq!(passes(&old), 200);

    let leaked = signed_by(&old);
    alone.issuer.command(&["keys", "revoke", &leaked], "").unwrap();
    // The running issuer follows by itself, and the service follows the issuer.
    let log_in = || text(&alone.log_in(ADA).json().unwrap(), "access_token");
    let new = wait::until(SOON, || Some(log_in()).filter(|token| signed_by(token) != leaked));
    let new = new.expect("another key signs");
    let passed = wait::until(SOON, || (passes(&new) == 200).then_some(()));
    passed.expect("the service fetches the new key");
    assert_eq!(passes(&old), 401, "with the new keys the old one is gone");

    // Nobody there who has keys: those who know none let nobody in, those who know them go on.
    alone.issuer.process.stop();
    let (_other, stranger) = service(&alone, &["--jwks", "http://127.0.0.1:1/"]);
    let refused: Reply = stranger.get_as(&new, &own).unwrap();
    assert_eq!(
        (refusal(&refused), refused.header("retry-after")),
        ((503, "keys_unavailable".to_owned(), None), Some("1"))
    );
    assert_eq!(passes(&new), 200);
}

/// The example service, trusting this issuer, and a client of it.
fn service(alone: &Alone, further: &[&str]) -> (UserService, Client) {
    let binary = Prepared::from_env().unwrap().programs.user_service;
    let dir = alone.workdir.sub(&format!("service-{}", further.len())).unwrap();
    let issuer = alone.issuer.url();
    let verifying = UserService::start_with(&binary, &dir, dir.join("service.log"), |launch| {
        launch.args(["--verify", "locally", "--issuer", issuer.as_str()]).args(further)
    });
    let service = verifying.unwrap();
    let client = Client::new(&service.url());
    (service, client)
}

/// Somebody who has registered and logged in: his id, and his token.
fn user(alone: &Alone, email: &str) -> (String, String) {
    let registered: Value = alone.register(email).json().unwrap();
    let tokens = alone.log_in(email).json().unwrap();
    (text(&registered, "id"), text(&tokens, "access_token"))
}

/// The `kid` of a token.
fn signed_by(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    text(&serde_json::from_slice(&header).unwrap(), "kid")
}
