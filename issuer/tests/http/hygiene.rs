use std::time::Duration;

use doorward_issuer::app::App;
use poem::http::{Method, StatusCode};
use poem::{Endpoint as _, Request};
use serde_json::json;

use super::issuer::{Issuer, PASSWORD, config, log_line, logged};
use super::wire::send;

#[test]
fn a_sane_request_id_is_taken_over_and_any_other_is_replaced() {
    let issuer = Issuer::start();
    let answer = issuer.get_with("/health", &[("x-request-id", "from-the-gateway_1")]);
    assert_eq!(answer.header("x-request-id"), Some("from-the-gateway_1"));
    for id in ["", "with space", "h\u{e9}llo", &"x".repeat(129)] {
        let answer = issuer.get_with("/health", &[("x-request-id", id)]);
        let made = answer.header("x-request-id").unwrap();
        assert!(made.parse::<uuid::Uuid>().is_ok(), "{id:?} became {made:?}");
    }
    let longest = "x".repeat(128);
    assert_eq!(
        issuer.get_with("/health", &[("x-request-id", &longest)]).header("x-request-id"),
        Some(&*longest)
    );
}

#[test]
fn every_answer_forbids_guessing_its_type_and_keeping_it() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let login = issuer.post("/auth/login", &json!({"email": "a@b.com", "password": PASSWORD}));
    let refused = issuer.post("/auth/login", &json!({"email": "a@b.com", "password": "wrong"}));
    for answer in [login, refused, issuer.get("/auth/me"), issuer.get("/nothing"), issuer.get("/health")] {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    }
    assert_eq!(issuer.get("/.well-known/jwks.json").header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn one_line_per_request_says_what_happened() {
    let issuer = Issuer::start();
    let account = issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    issuer.get_with("/auth/me", &[("authorization", &bearer), ("x-request-id", "line-me")]);
    let line = log_line("line-me");
    assert_eq!((&line["method"], &line["route"]), (&json!("GET"), &json!("/auth/me")));
    assert_eq!((&line["status"], &line["user_id"]), (&json!(200), &account["id"]));
    let [latency, store] = ["latency_ms", "store_ms"].map(|name| line[name].as_f64().unwrap());
    assert!(0.0 < store && store < latency, "{line}");

    let login = json!({"email": "a@b.com", "password": PASSWORD}).to_string();
    let headers = [("content-type", "application/json"), ("x-request-id", "line-login")];
    send(issuer.public, "POST /auth/login", &headers, login.as_bytes());
    let line = log_line("line-login");
    // Also what is written in a task of its own.
    let [latency, store] = ["latency_ms", "store_ms"].map(|name| line[name].as_f64().unwrap());
    assert!(0.0 < store && store < latency, "{line}");
    assert_eq!((&line["status"], &line["user_id"]), (&json!(200), &account["id"]));

    issuer.get_with("/auth/me", &[("x-request-id", "line-refused")]);
    let line = log_line("line-refused");
    assert_eq!((&line["status"], &line["reason"]), (&json!(401), &json!("missing_credential")));
    assert_eq!(line.get("user_id"), None);

    issuer.get_with("/someone@example.test", &[("x-request-id", "line-unknown")]);
    assert_eq!(log_line("line-unknown")["route"], "-");
    assert!(!logged().contains("someone@example.test"), "a path was logged");
}

#[test]
fn the_clients_address_is_where_the_proxy_says() {
    let issuer = Issuer::start_with(&[("server.trusted_hops", "1")]);
    let body = json!({"email": "a@b.com", "password": PASSWORD}).to_string();
    let headers = [("content-type", "application/json"), ("x-forwarded-for", "6.6.6.6, 192.0.2.7")];
    assert_eq!(send(issuer.public, "POST /auth/register", &headers, body.as_bytes()).status, 201);
    assert_eq!(send(issuer.public, "POST /auth/login", &headers, body.as_bytes()).status, 200);
    let database = rusqlite::Connection::open(issuer.database()).unwrap();
    let address: String = database.query_row("SELECT address FROM sessions", [], |row| row.get(0)).unwrap();
    assert_eq!(address, "192.0.2.7");
}

#[tokio::test]
async fn who_hangs_up_half_way_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::open(&config(&folder.path().join("issuer.db"), &[])).await.unwrap();
    let body = json!({"email": "a@b.com", "password": PASSWORD}).to_string();
    let post = |path: &str| {
        let request = Request::builder().method(Method::POST).uri(path.parse().unwrap());
        request.content_type("application/json").body(body.clone())
    };
    let endpoint = app.parts.public();
    let mut registering = Box::pin(endpoint.get_response(post("/auth/register")));
    let begins_to_write = async {
        loop {
            assert!(futures_util::poll!(&mut registering).is_pending());
            if !app.parts.flows.is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), begins_to_write).await.unwrap();
    // The server drops what nobody waits for any more.
    drop(registering);
    app.parts.flows.close();
    app.parts.flows.wait().await;
    assert_eq!(endpoint.get_response(post("/auth/login")).await.status(), StatusCode::OK);
}
