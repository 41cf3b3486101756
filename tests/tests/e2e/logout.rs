//! Logged out means logged out: the shipped gateway and the real issuer, whatever ends the session.

use std::time::Duration;

use doorward_tests::http::raw::Connection;
use doorward_tests::parts::Envoy;
use doorward_tests::parts::envoy::{Setup, Upstreams};
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use doorward_tests::stack::Plan;
use doorward_tests::wait;
use serde_json::json;

use crate::support::gateway::{bearer, head};
use crate::support::whole::{PASSWORD, User, Whole, text};

/// Far more than it takes, and far less than a token lives.
const LIMIT: Duration = Duration::from_secs(10);
const WORKERS: usize = 4;

#[test]
fn whoever_logs_out_is_out_on_all_workers_of_all_gateways() {
    let whole = Whole::start_with(|plan| Plan { concurrency: WORKERS, ..plan });
    let second = SecondGateway::before(&whole);
    let ada = whole.user("ada@example.test");
    let again = whole.log_in("ada@example.test", PASSWORD);
    let grace = whole.user("grace@example.test");
    let path = format!("GET /users/{}", ada.id);
    let mut connections: Vec<Connection> = [whole.stack.envoy.address(), second.envoy.address()]
        .iter()
        .flat_map(|address| (0..WORKERS * 4).map(|_| Connection::open(address).unwrap()))
        .collect();
    // Every worker has the token in its cache.
    for connection in &mut connections {
        assert_eq!(ask(connection, &path, &ada.token), (200, String::new()));
    }
    let refresh = json!({"refresh_token": again["refresh_token"]});
    assert_eq!(whole.gate.post("/auth/logout", &refresh).unwrap().status, 204);
    let other_session = text(&again, "access_token");
    for connection in &mut connections {
        assert!(is_out(connection, &path, &other_session));
        // Exactly that session.
        assert_eq!(ask(connection, &path, &ada.token), (200, String::new()));
    }
    assert_eq!(log_out_everywhere(&whole, &ada.token), 204);
    for connection in &mut connections {
        assert!(is_out(connection, &path, &ada.token));
        // Nobody else.
        let others = format!("GET /users/{}", grace.id);
        assert_eq!(ask(connection, &others, &grace.token), (200, String::new()));
    }
    // And in again.
    let back = text(&whole.log_in("ada@example.test", PASSWORD), "access_token");
    assert_eq!(ask(&mut connections[0], &path, &back), (200, String::new()));
}

#[test]
fn another_password_ends_what_the_old_one_opened_at_the_gateway() {
    let whole = Whole::start();
    let User { id, token } = whole.user("ada@example.test");
    let path = format!("GET /users/{id}");
    let mut connection = Connection::open(&whole.stack.envoy.address()).unwrap();
    assert_eq!(ask(&mut connection, &path, &token), (200, String::new()));
    let change = json!({"current_password": PASSWORD, "new_password": "n3wer-P@ssword!"});
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let changed = whole.gate.send("POST", "/auth/change-password", &headers, change.to_string().into_bytes());
    assert_eq!(changed.unwrap().status, 200);
    assert!(is_out(&mut connection, &path, &token));
}

#[test]
fn a_restart_of_the_issuer_forgets_nobody() {
    let mut whole = Whole::start();
    let User { id, token } = whole.user("ada@example.test");
    let grace = whole.user("grace@example.test");
    let path = format!("GET /users/{id}");
    let mut connection = Connection::open(&whole.stack.envoy.address()).unwrap();
    assert_eq!(ask(&mut connection, &path, &token), (200, String::new()));
    assert_eq!(log_out_everywhere(&whole, &token), 204);
    assert!(is_out(&mut connection, &path, &token));
    whole.stack.issuer.crash().unwrap();
    assert_eq!(ask(&mut connection, &path, &token).0, 401, "also while the issuer comes back");
    // What happens after the restart arrives, too.
    let others = format!("GET /users/{}", grace.id);
    assert_eq!(log_out_everywhere(&whole, &grace.token), 204);
    assert!(is_out(&mut connection, &others, &grace.token));
    assert_eq!(ask(&mut connection, &path, &token), (401, "revoked".to_owned()));
}

#[test]
fn a_fail_over_of_mongodb_forgets_nobody() {
    let mut whole = Whole::start_on_mongodb();
    let [ada, grace] = ["ada@example.test", "grace@example.test"].map(|email| whole.user(email));
    let [adas, graces] = [&ada, &grace].map(|user| format!("GET /users/{}", user.id));
    let mut connection = Connection::open(&whole.stack.envoy.address()).unwrap();
    assert_eq!(log_out_everywhere(&whole, &ada.token), 204);
    assert!(is_out(&mut connection, &adas, &ada.token));
    let mongod = whole.mongod.as_mut().unwrap();
    for _ in 0..2 {
        mongod.step_down(Duration::from_secs(1)).unwrap();
        assert_eq!(ask(&mut connection, &adas, &ada.token), (401, "revoked".to_owned()));
        assert_eq!(
            ask(&mut connection, &graces, &grace.token),
            (200, String::new()),
            "nobody else is locked out"
        );
        mongod.become_primary().unwrap();
    }
    // The issuer may need a moment to find the primary; then what happens arrives as before. A logout that was answered
    // with 503 may have happened: then the token is good for no other.
    let logged_out = || [204, 401].contains(&log_out_everywhere(&whole, &grace.token)).then_some(());
    wait::until(LIMIT, logged_out).expect("the issuer finds the primary");
    assert!(is_out(&mut connection, &graces, &grace.token));
    assert_eq!(ask(&mut connection, &adas, &ada.token), (401, "revoked".to_owned()));
}

fn ask(connection: &mut Connection, line: &str, token: &str) -> (u16, String) {
    let answer = connection.send(&head(line, &[&bearer(token)])).unwrap();
    (answer.status, if answer.status == 200 { String::new() } else { answer.reason() })
}

/// Waits until the token is refused, for the right reason.
fn is_out(connection: &mut Connection, line: &str, token: &str) -> bool {
    let refused = || (ask(connection, line, token) == (401, "revoked".to_owned())).then_some(());
    wait::until(LIMIT, refused).is_some()
}

fn log_out_everywhere(whole: &Whole, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    whole.gate.send("POST", "/auth/logout-all", &headers, Vec::new()).unwrap().status
}

/// Another Envoy in front of the same stack.
struct SecondGateway {
    envoy: Envoy,
    _workdir: Workdir,
}

impl SecondGateway {
    fn before(whole: &Whole) -> Self {
        let programs = Prepared::from_env().unwrap().programs;
        let workdir = Workdir::new().unwrap();
        let issuer = &whole.stack.issuer;
        let upstreams = Upstreams {
            issuer: issuer.port(),
            management: issuer.management_port(),
            users: whole.stack.upstream.port(),
        };
        let name = issuer.url();
        let setup = Setup::for_test(&programs, workdir.path(), &name, upstreams).unwrap();
        let envoy = Envoy::start(Setup { concurrency: WORKERS, ..setup }).unwrap();
        Self { envoy, _workdir: workdir }
    }
}
