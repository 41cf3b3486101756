//! The client hangs up: in every writing route, at every step from the first byte to the answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use doorward_tests::parts::Store;
use doorward_tests::process::Workdir;
use doorward_tests::{random, wait};
use serde_json::{Value, json};

use crate::support::alone::Alone;
use crate::support::whole::{DATABASE, PASSWORD, mongod, text};

const NEW_PASSWORD: &str = "n3wer-P@ssword!";

#[test]
fn a_client_that_hangs_up_leaves_nothing_half_done_on_sqlite() {
    let alone = Alone::start(&[]);
    hang_up_everywhere(&alone);
    let count = |table: &str| -> i64 {
        alone.database().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("users"), count("outbox WHERE kind = 'user.created'"));
    let ended = "(SELECT value FROM outbox, json_each(data, '$.session_ids') WHERE kind = 'user.logout')";
    assert_eq!(count("sessions") + count(ended), count("outbox WHERE kind = 'user.login'"));
}

#[test]
fn a_client_that_hangs_up_leaves_nothing_half_done_on_mongodb() {
    let workdir = Workdir::new().unwrap();
    let mongod = mongod(&workdir);
    let store = Store::Mongodb { url: mongod.url(DATABASE), master_key: random::master_key() };
    hang_up_everywhere(&Alone::start_on(store, &[]));
}

fn hang_up_everywhere(alone: &Alone) {
    let routes: [(&str, Prepare, Check); 7] = [
        ("register", |_, email| (Value::Null, "POST /auth/register", credentials(email)), registered_or_not),
        ("login", |alone, email| user(alone, email, "POST /auth/login", |_| credentials(email)), works),
        ("refresh", |alone, email| user(alone, email, "POST /auth/refresh", refresh_token), works),
        ("logout", |alone, email| user(alone, email, "POST /auth/logout", refresh_token), all_or_nothing),
        (
            "logout-all",
            |alone, email| user(alone, email, "POST /auth/logout-all", |_| Value::Null),
            all_or_nothing,
        ),
        ("end", |alone, email| own_session(alone, email), all_or_nothing),
        (
            "change",
            |alone, email| user(alone, email, "POST /auth/change-password", |_| change()),
            changed_or_not,
        ),
    ];
    for (name, prepare, check) in routes {
        let mut answered = false;
        for (number, step) in steps().enumerate() {
            let email = format!("{name}-{number}@example.test");
            let (tokens, route, body) = prepare(alone, &email);
            answered = hang_up(alone, &request(route, &tokens, &body), step);
            check(alone, &email, &tokens);
            if answered {
                break;
            }
        }
        assert!(answered, "{name}: the last step is the answer");
    }
    // Whoever is gone holds no place in the queue for passwords.
    assert_eq!(alone.user("last@example.test")["token_type"], "Bearer");
    alone.assert_calm();
}

/// Where the client hangs up.
#[derive(Clone, Copy)]
enum Step {
    /// After so many hundredths of the request.
    Sent(usize),
    /// After all of it, and so long a wait for the answer.
    Waited(Duration),
}

/// From the first byte on, and then longer and longer until there is an answer.
fn steps() -> impl Iterator<Item = Step> {
    let sent = [1, 30, 60, 99].map(Step::Sent);
    let waits = (0..16).map(|double| Step::Waited(Duration::from_micros(500 << double)));
    sent.into_iter().chain(waits)
}

/// Sends the request and hangs up. Whether there was an answer before that.
fn hang_up(alone: &Alone, request: &[u8], step: Step) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", alone.issuer.port())).unwrap();
    match step {
        Step::Sent(hundredths) => {
            stream.write_all(&request[..request.len() * hundredths / 100]).unwrap();
            false
        }
        Step::Waited(time) => {
            stream.write_all(request).unwrap();
            stream.set_read_timeout(Some(time)).unwrap();
            let mut status = [0; 12];
            let answered = stream.read_exact(&mut status).is_ok();
            assert!(!answered || status.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&status));
            answered
        }
    }
}

type Prepare = fn(&Alone, &str) -> (Value, &'static str, Value);
type Check = fn(&Alone, &str, &Value);

fn user(
    alone: &Alone,
    email: &str,
    route: &'static str,
    body: impl FnOnce(&Value) -> Value,
) -> (Value, &'static str, Value) {
    let tokens = alone.user(email);
    let body = body(&tokens);
    (tokens, route, body)
}

fn own_session(alone: &Alone, email: &str) -> (Value, &'static str, Value) {
    let tokens = alone.user(email);
    (tokens, "DELETE /auth/sessions/", Value::Null)
}

fn credentials(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD })
}

fn refresh_token(tokens: &Value) -> Value {
    json!({ "refresh_token": tokens["refresh_token"] })
}

fn change() -> Value {
    json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD })
}

fn request(route: &str, tokens: &Value, body: &Value) -> Vec<u8> {
    let mut target = route.to_owned();
    if route.ends_with('/') {
        target.push_str(&session(&text(tokens, "access_token")));
    }
    let bearer = match tokens.get("access_token").and_then(Value::as_str) {
        Some(token) => format!("authorization: Bearer {token}\r\n"),
        None => String::new(),
    };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!("{target} HTTP/1.1\r\nhost: issuer\r\n{bearer}content-type: application/json\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The claim `sid`.
fn session(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
    text(&serde_json::from_slice(&payload).unwrap(), "sid")
}

fn registered_or_not(alone: &Alone, email: &str, _: &Value) {
    let again = alone.register(email).status;
    assert!(again == 201 || again == 409, "{again}");
    assert_eq!(alone.log_in(email).status, 200);
}

/// The session goes on, whether its client got the last answer or not.
fn works(alone: &Alone, email: &str, tokens: &Value) {
    assert_eq!(alone.log_in(email).status, 200);
    let next = alone.door.post("/auth/refresh", &refresh_token(tokens)).unwrap();
    assert_eq!(next.status, 200, "{next:?}");
    let next = next.json().unwrap();
    assert_eq!(alone.door.post("/auth/refresh", &refresh_token(&next)).unwrap().status, 200);
}

/// Either both tokens are dead, or neither is. It may not have come to its end yet.
fn all_or_nothing(alone: &Alone, _: &str, tokens: &Value) {
    let agree = || (access_works(alone, tokens) == refresh_works(alone, tokens)).then_some(());
    wait::until(Duration::from_secs(10), agree).expect("both tokens are dead, or neither is");
}

/// Either the new password works, and no session is left; or the old one does, and the session is there.
fn changed_or_not(alone: &Alone, email: &str, tokens: &Value) {
    let log_in = |password: &str| {
        let body = json!({ "email": email, "password": password });
        alone.door.post("/auth/login", &body).unwrap().status == 200
    };
    let agree = || {
        let changed = log_in(NEW_PASSWORD);
        let expected = if changed { (false, false, false) } else { (true, true, true) };
        let found = (log_in(PASSWORD), access_works(alone, tokens), refresh_works(alone, tokens));
        (found == expected).then_some(())
    };
    wait::until(Duration::from_secs(10), agree).expect("the password and the sessions agree");
}

fn access_works(alone: &Alone, tokens: &Value) -> bool {
    alone.door.get_as(&text(tokens, "access_token"), "/auth/me").unwrap().status == 200
}

/// The same token again and again: it gets the same child as long as that was not used.
fn refresh_works(alone: &Alone, tokens: &Value) -> bool {
    alone.door.post("/auth/refresh", &refresh_token(tokens)).unwrap().status == 200
}
