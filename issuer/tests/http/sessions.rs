use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::issuer::{Issuer, PASSWORD, eventually, logged};
use super::wire::{Answer, send};

const NEW_PASSWORD: &str = "n3wer-P@ssword!";
const CHALLENGE: &str =
    r#"Bearer realm="doorward", error="invalid_token", error_description="The token is not valid""#;

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

/// What the access token says.
fn claims_of(tokens: &Value) -> Value {
    let payload = text(tokens, "access_token").split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn refresh(issuer: &Issuer, tokens: &Value) -> Answer {
    issuer.post("/auth/refresh", &json!({"refresh_token": tokens["refresh_token"]}))
}

#[track_caller]
fn refreshed(issuer: &Issuer, tokens: &Value) -> Value {
    let answer = refresh(issuer, tokens);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[track_caller]
fn assert_dead(issuer: &Issuer, tokens: &Value) {
    let answer = refresh(issuer, tokens);
    assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid_token"), "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE));
    assert_eq!(answer.json()["detail"], "The token is not valid.");
}

fn log_out(issuer: &Issuer, token: &Value) -> Answer {
    issuer.post("/auth/logout", &json!({"refresh_token": token}))
}

fn ask(issuer: &Issuer, tokens: &Value, line: &str) -> Answer {
    ask_with(issuer, tokens, line, "")
}

fn ask_with(issuer: &Issuer, tokens: &Value, line: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {}", text(tokens, "access_token"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    send(issuer.public, line, &headers, body.as_bytes())
}

fn change_password(issuer: &Issuer, tokens: &Value, current: &str, new: &str) -> Answer {
    let body = json!({"current_password": current, "new_password": new}).to_string();
    ask_with(issuer, tokens, "POST /auth/change-password", &body)
}

fn wrong_fields(answer: &Answer) -> Vec<String> {
    assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"), "{answer:?}");
    answer.json()["errors"].as_array().unwrap().iter().map(|error| text(error, "field").to_owned()).collect()
}

#[test]
fn a_refresh_answers_like_a_login() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let login = issuer.login("a@b.com");
    let next = refreshed(&issuer, &login);
    let names = |tokens: &Value| tokens.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&next), names(&login));
    for same in ["token_type", "expires_in", "refresh_expires_in"] {
        assert_eq!(next[same], login[same]);
    }
    assert_ne!(next["refresh_token"], login["refresh_token"]);
    assert_eq!(issuer.me(text(&next, "access_token")).status, 200);
    assert_eq!(issuer.me(text(&login, "access_token")).status, 200, "the older one is good until it expires");
}

#[test]
fn two_tabs_get_the_same_token_and_a_thief_ends_the_session() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let (login, elsewhere) = (issuer.login("a@b.com"), issuer.login("a@b.com"));
    let (tab, other_tab) = (refreshed(&issuer, &login), refreshed(&issuer, &login));
    assert_eq!(tab["refresh_token"], other_tab["refresh_token"]);
    issuer.clock.advance(Duration::from_secs(31));
    assert_dead(&issuer, &login);
    assert_dead(&issuer, &tab);
    let revoked = issuer.me(text(&tab, "access_token"));
    assert_eq!((revoked.status, revoked.problem().as_str()), (401, "revoked"));
    refreshed(&issuer, &elsewhere);

    let session = text(&claims_of(&login), "sid").to_owned();
    let told = |line: &&str| line.contains(&session) && line.contains("used twice") && line.contains("WARN");
    eventually("a line about the theft", || logged().lines().find(told).map(drop));
}

#[test]
fn what_is_no_refresh_token_is_refused_alike() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    let good = text(&tokens, "refresh_token");
    let (head, tail) = good.split_at(80);
    let changed = format!("{head}{}", tail.chars().rev().collect::<String>());
    for token in ["", "x", &changed, &format!("{good}A"), text(&tokens, "access_token")] {
        assert_dead(&issuer, &json!({ "refresh_token": token }));
    }
    refreshed(&issuer, &tokens);
}

#[test]
fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
    let issuer = Issuer::start_with(&[("token.refresh_ttl", "1h"), ("token.session_ttl", "90m")]);
    issuer.register("a@b.com");
    let (idle, busy) = (issuer.login("a@b.com"), issuer.login("a@b.com"));
    issuer.clock.advance(Duration::from_secs(3540));
    let busy = refreshed(&issuer, &busy);
    assert!(busy["refresh_expires_in"].as_u64().unwrap() <= 1860, "not beyond the session: {busy}");
    issuer.clock.advance(Duration::from_secs(61));
    assert_dead(&issuer, &idle);
    issuer.clock.advance(Duration::from_secs(1200));
    let last = refreshed(&issuer, &busy);
    assert!(last["expires_in"].as_u64().unwrap() <= 600, "not beyond the session: {last}");
    issuer.clock.advance(Duration::from_secs(600));
    assert_dead(&issuer, &last);
}

#[test]
fn logging_out_ends_one_session_and_always_says_so() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let (here, there) = (issuer.login("a@b.com"), issuer.login("a@b.com"));
    let next = refreshed(&issuer, &here);
    let gone = json!("gone");
    // An older token will do as well; then the current one, one that never was, and one of another kind.
    for token in [&here["refresh_token"], &next["refresh_token"], &gone, &next["access_token"]] {
        let answer = log_out(&issuer, token);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{answer:?}");
        assert_dead(&issuer, &next);
    }
    assert_eq!(issuer.me(text(&next, "access_token")).problem(), "revoked");
    refreshed(&issuer, &there);
}

#[test]
fn logging_out_everywhere_ends_all_sessions_of_one_user() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    issuer.register("c@d.com");
    let (here, there, other) = (issuer.login("a@b.com"), issuer.login("a@b.com"), issuer.login("c@d.com"));
    let answer = ask(&issuer, &here, "POST /auth/logout-all");
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    for tokens in [&here, &there] {
        assert_dead(&issuer, tokens);
        assert_eq!(issuer.me(text(tokens, "access_token")).problem(), "revoked");
    }
    refreshed(&issuer, &other);
    issuer.login("a@b.com");
}

#[test]
fn sessions_are_listed_with_what_the_user_knows_them_by() {
    let issuer = Issuer::start_with(&[("server.trusted_hops", "1")]);
    issuer.register("a@b.com");
    issuer.register("c@d.com");
    issuer.login("c@d.com");
    let body = json!({"email": "a@b.com", "password": PASSWORD}).to_string();
    let mut headers = vec![("content-type", "application/json"), ("x-forwarded-for", "2001:db8::1")];
    headers.push(("user-agent", "a phone"));
    let phone = send(issuer.public, "POST /auth/login", &headers, body.as_bytes()).json();
    issuer.clock.advance(Duration::from_secs(60));
    let browser = issuer.login("a@b.com");
    issuer.clock.advance(Duration::from_secs(60));
    let phone = refreshed(&issuer, &phone);

    let answer = ask(&issuer, &phone, "GET /auth/sessions");
    assert_eq!(answer.status, 200, "{answer:?}");
    let list = answer.json();
    assert_eq!(list.as_object().unwrap().keys().collect::<Vec<_>>(), ["items"]);
    let [newer, older] = list["items"].as_array().unwrap().as_slice() else { panic!("two of them: {list}") };
    assert_eq!(newer["id"], claims_of(&browser)["sid"]);
    assert_eq!((newer.get("device"), &newer["current"]), (None, &json!(false)), "{newer}");
    assert_eq!(older["id"], claims_of(&phone)["sid"]);
    assert_eq!((&older["device"], &older["address"]), (&json!("a phone"), &json!("2001:db8::1")));
    assert_eq!(older["current"], true);
    let time = |member: &str| text(older, member).parse::<jiff::Timestamp>().unwrap();
    let used_for = time("last_used_at").duration_since(time("created_at")).as_secs();
    assert!((120..180).contains(&used_for), "{used_for}");
    assert_eq!(time("expires_at").duration_since(time("last_used_at")).as_secs(), 86_400);
}

#[test]
fn a_long_list_comes_in_pages() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let tokens: Vec<_> = (0..52).map(|_| issuer.login("a@b.com")).collect();
    let tokens = &tokens[0];
    let first = ask(&issuer, tokens, "GET /auth/sessions").json();
    let cursor = text(&first, "next_cursor");
    let second = ask(&issuer, tokens, &format!("GET /auth/sessions?cursor={cursor}")).json();
    let ids = |page: &Value| {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| text(item, "id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((ids(&first).len(), ids(&second).len(), second.get("next_cursor")), (50, 2, None));
    assert!(ids(&second).iter().all(|id| !ids(&first).contains(id)));
    for cursor in ["", "x", "AAAA", &cursor[1..], &format!("{cursor}A"), "%F0%9F%A6%80"] {
        let refused = ask(&issuer, tokens, &format!("GET /auth/sessions?cursor={cursor}"));
        assert_eq!(wrong_fields(&refused), ["cursor"], "{cursor}");
    }
}

#[test]
fn users_end_their_own_sessions_and_nobody_elses() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    issuer.register("c@d.com");
    let (here, there, other) = (issuer.login("a@b.com"), issuer.login("a@b.com"), issuer.login("c@d.com"));
    let delete = |tokens: &Value, id: &str| ask(&issuer, tokens, &format!("DELETE /auth/sessions/{id}"));
    let sid = |tokens: &Value| text(&claims_of(tokens), "sid").to_owned();
    assert_eq!(delete(&here, &sid(&there)).status, 204);
    assert_dead(&issuer, &there);
    let unknown = uuid::Uuid::nil().to_string();
    for id in [sid(&there), sid(&other), unknown, "x".into(), "%00".into(), "' OR 1=1".replace(' ', "+")] {
        let answer = delete(&here, &id);
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"), "{id}");
    }
    refreshed(&issuer, &other);
    assert_eq!(delete(&here, &sid(&here)).status, 204, "this one too");
    assert_eq!(issuer.me(text(&here, "access_token")).problem(), "revoked");
}

#[test]
fn a_new_password_ends_every_session() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let (here, there) = (issuer.login("a@b.com"), issuer.login("a@b.com"));
    let answer = change_password(&issuer, &here, PASSWORD, NEW_PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let mut names: Vec<_> = body.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["message", "password_changed_at", "requires_reauth", "success"]);
    assert_eq!((&body["success"], &body["requires_reauth"]), (&json!(true), &json!(true)));
    assert!(text(&body, "password_changed_at").parse::<jiff::Timestamp>().is_ok(), "{body}");
    for tokens in [&here, &there] {
        assert_dead(&issuer, tokens);
        assert_eq!(issuer.me(text(tokens, "access_token")).problem(), "revoked");
    }
    let old = issuer.post("/auth/login", &json!({"email": "a@b.com", "password": PASSWORD}));
    assert_eq!(old.problem(), "invalid_credentials");
    let new = issuer.post("/auth/login", &json!({"email": "a@b.com", "password": NEW_PASSWORD})).json();
    assert_eq!(claims_of(&new)["epoch"], 1);
}

#[test]
fn a_password_is_not_changed_by_mistake() {
    let issuer = Issuer::start();
    issuer.register("josephine.miller@firm.example");
    let tokens = issuer.login("josephine.miller@firm.example");
    let wrong = change_password(&issuer, &tokens, "not the password", NEW_PASSWORD);
    assert_eq!((wrong.status, wrong.problem().as_str()), (401, "invalid_credentials"));
    assert_eq!(wrong.header("www-authenticate"), None, "the token is good");
    for new in ["short", "password123", "josephine.miller", PASSWORD] {
        let refused = change_password(&issuer, &tokens, PASSWORD, new);
        assert_eq!(wrong_fields(&refused), ["new_password"], "{new}");
    }
    refreshed(&issuer, &tokens);
    issuer.login("josephine.miller@firm.example");
}

#[test]
fn bodies_are_read_as_everywhere() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    for (path, field) in [
        ("/auth/refresh", "refresh_token"),
        ("/auth/logout", "refresh_token"),
        ("/auth/change-password", "current_password"),
    ] {
        let post = |body: &str| ask_with(&issuer, &tokens, &format!("POST {path}"), body);
        assert_eq!(post("{").problem(), "malformed_body", "{path}");
        for body in ["{}".to_owned(), json!({ field: {"$ne": "hush"} }).to_string()] {
            let refused = post(&body);
            assert_eq!(wrong_fields(&refused), [field], "{path}");
            assert!(!refused.body.contains("hush"));
        }
    }
}

#[test]
fn bearer_routes_want_a_bearer() {
    let issuer = Issuer::start();
    let id = uuid::Uuid::nil();
    for line in [
        "POST /auth/logout-all".to_owned(),
        "GET /auth/sessions".to_owned(),
        format!("DELETE /auth/sessions/{id}"),
        "POST /auth/change-password".to_owned(),
    ] {
        let headers = [("content-type", "application/json")];
        let missing = send(issuer.public, &line, &headers, b"{}");
        assert_eq!((missing.status, missing.problem().as_str()), (401, "missing_credential"), "{line}");
    }
    for (line, methods) in [
        ("GET /auth/refresh", "POST"),
        ("POST /auth/sessions", "GET, HEAD"),
        (&format!("GET /auth/sessions/{id}"), "DELETE"),
    ] {
        let refused = send(issuer.public, line, &[], b"");
        assert_eq!((refused.status, refused.header("allow")), (405, Some(methods)), "{line}");
    }
}

#[test]
fn a_store_that_does_not_answer_costs_nobody_his_session() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    // Somebody else holds the database and does not let go.
    let mut other = rusqlite::Connection::open(issuer.database()).unwrap();
    let held = other.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive).unwrap();
    for answer in [refresh(&issuer, &tokens), log_out(&issuer, &tokens["refresh_token"])] {
        assert_eq!((answer.status, answer.problem().as_str()), (503, "store_unavailable"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    drop(held);
    refreshed(&issuer, &tokens);
}

#[test]
fn a_restart_in_between_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("kept.db").display());
    let settings = [("store.url", url.as_str())];
    let issuer = Issuer::start_with(&settings);
    issuer.register("a@b.com");
    let parent = issuer.login("a@b.com");
    let child = refreshed(&issuer, &parent);
    drop(issuer);
    let issuer = Issuer::start_with(&settings);
    assert_eq!(refreshed(&issuer, &parent)["refresh_token"], child["refresh_token"]);
    refreshed(&issuer, &child);
    assert_dead(&issuer, &parent);
}
