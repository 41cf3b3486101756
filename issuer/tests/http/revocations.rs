use std::io::Read as _;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use doorward_issuer::domain::clock::{Clock as _, SystemClock};
use doorward_issuer::telemetry::Stopwatch;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::issuer::{Issuer, claims, eventually, metrics};
use super::wire::{Answer, begin, send};

#[test]
fn every_logout_is_told_in_its_order() {
    let issuer = Issuer::start();
    let (everything, start) = (feed(&issuer, ""), place(&feed(&issuer, "")));
    assert_eq!(everything, json!({"next": start, "more": false, "reset": true, "items": []}));

    issuer.register("a@b.com");
    let (one, other) = (issuer.login("a@b.com"), issuer.login("a@b.com"));
    assert_eq!(issuer.post("/auth/logout", &json!({"refresh_token": one["refresh_token"]})).status, 204);
    let token = other["access_token"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    assert_eq!(send(issuer.public, "POST /auth/logout-all", &[("authorization", &bearer)], b"").status, 204);

    let page = feed(&issuer, &format!("?after={start}"));
    let [first, second] = page["items"].as_array().unwrap().as_slice() else { panic!("{page}") };
    let dead = claims(one["access_token"].as_str().unwrap());
    assert_eq!(first, &json!({"sid": dead["sid"], "until": first["until"]}));
    assert_eq!(second, &json!({"sub": dead["sub"], "epoch": 1, "until": second["until"]}));
    let until: Timestamp = first["until"].as_str().unwrap().parse().unwrap();
    let expires = Timestamp::from_second(dead["exp"].as_i64().unwrap()).unwrap();
    assert!(until > expires, "{until} {expires}");
    assert_eq!((&page["more"], &page["reset"]), (&json!(false), &json!(false)));
    let end = place(&page);
    let nothing = json!({"next": end, "more": false, "reset": false, "items": []});
    assert_eq!(feed(&issuer, &format!("?after={end}")), nothing);

    // Whoever comes from another life starts again.
    let unknown = feed(&issuer, &format!("?after={}&wait=25", end + 1));
    assert_eq!(unknown, json!({"next": end, "more": false, "reset": true, "items": page["items"]}));
}

#[test]
fn whoever_waits_hears_at_once() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    let start = place(&feed(&issuer, ""));
    let (management, question) = (issuer.management, format!("?after={start}&wait=25"));
    let waiting = thread::spawn(move || {
        let answer = ask(management, &question);
        (answer, SystemClock.now())
    });
    let body = json!({"refresh_token": tokens["refresh_token"]});
    assert_eq!(issuer.post("/auth/logout", &body).status, 204);
    let done = SystemClock.now();
    let (page, heard) = waiting.join().unwrap();
    assert_eq!(page.json()["items"].as_array().unwrap().len(), 1, "{page:?}");
    assert!(heard.duration_since(done).as_secs() < 5, "{done} {heard}");
}

#[test]
fn whoever_waits_in_vain_is_answered() {
    let issuer = Issuer::start();
    let start = place(&feed(&issuer, ""));
    let stopwatch = Stopwatch::start();
    let page = feed(&issuer, &format!("?after={start}&wait=1"));
    assert_eq!(page, json!({"next": start, "more": false, "reset": false, "items": []}));
    assert!(stopwatch.elapsed() >= Duration::from_secs(1));
}

#[test]
fn the_end_of_the_issuer_ends_the_waiting() {
    let issuer = Issuer::start();
    let place = place(&feed(&issuer, ""));
    let asked = looks(&issuer);
    let mut waiting = begin(issuer.management, &format!("GET /revocations?after={place}&wait=25"), b"");
    eventually("the look before the wait", || (looks(&issuer) > asked).then_some(()));
    let stopwatch = Stopwatch::start();
    drop(issuer);
    assert!(stopwatch.elapsed() < Duration::from_secs(10), "{:?}", stopwatch.elapsed());
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// How often the list was read.
fn looks(issuer: &Issuer) -> f64 {
    let name = r#"doorward_issuer_store_seconds_count{operation="revocations.after"} "#;
    let text = metrics(issuer);
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0.0, |count| count.parse().unwrap())
}

#[test]
fn nonsense_is_refused() {
    let issuer = Issuer::start();
    for question in ["?after=x", "?after=-1", "?wait=soon", "?after=1.5", "?after=99999999999999999999999"] {
        let answer = ask(issuer.management, question);
        assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"), "{question}");
    }
    assert_eq!(send(issuer.public, "GET /revocations", &[], b"").status, 404, "not for the public");
}

#[test]
fn the_list_is_behind_the_management_token() {
    let issuer = Issuer::start_with(&[("server.management_token", "a-token-of-thirty-two-characters")]);
    assert_eq!(ask(issuer.management, "").status, 401);
    let bearer = [("authorization", "Bearer a-token-of-thirty-two-characters")];
    assert_eq!(send(issuer.management, "GET /revocations", &bearer, b"").status, 200);
}

fn ask(management: SocketAddr, query: &str) -> Answer {
    send(management, &format!("GET /revocations{query}"), &[], b"")
}

fn feed(issuer: &Issuer, query: &str) -> Value {
    let answer = ask(issuer.management, query);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn place(page: &Value) -> u64 {
    page["next"].as_u64().unwrap()
}
