//! MongoDB fails under the issuer, and comes back.

use std::time::Duration;

use bson::doc;
use doorward_tests::parts::{Mongod, Store};
use doorward_tests::process::Workdir;
use doorward_tests::{random, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::alone::Alone;
use crate::support::crowd::{Crowd, assert_unavailable};
use crate::support::timed::timed;
use crate::support::whole::{DATABASE, PASSWORD, mongod as start, text};

#[test]
fn mongodb_killed_and_started_again() {
    let workdir = Workdir::new().unwrap();
    let mongod = start(&workdir);
    let alone = on(&mongod);
    let (ada, bob) = (alone.user("ada@example.test"), alone.user("bob@example.test"));

    mongod.kill();
    assert_everything_is_refused(&alone, &ada, &bob);
    let _mongod = start(&workdir);
    assert_everything_works_again(&alone, &ada);
    alone.assert_calm();
}

#[test]
fn mongodb_that_hangs() {
    let workdir = Workdir::new().unwrap();
    let mongod = start(&workdir);
    let alone = on(&mongod);
    let (ada, bob) = (alone.user("ada@example.test"), alone.user("bob@example.test"));

    // Connections stay open, and nothing comes.
    mongod.process.signal(Signal::SIGSTOP).unwrap();
    assert_everything_is_refused(&alone, &ada, &bob);
    mongod.process.signal(Signal::SIGCONT).unwrap();
    assert_everything_works_again(&alone, &ada);
    alone.assert_calm();
}

#[test]
fn a_primary_that_steps_down_in_the_middle_of_writes() {
    let workdir = Workdir::new().unwrap();
    let mut mongod = start(&workdir);
    let alone = on(&mongod);
    let mut crowd = Crowd::gather(&alone.url(), 6);
    for _ in 0..3 {
        crowd.wait_for(20);
        mongod.step_down(Duration::from_secs(1)).unwrap();
        mongod.become_primary().unwrap();
    }
    crowd.wait_for(20);
    let memories = crowd.disperse();
    for memory in &memories {
        memory.assert_kept(&alone.door);
        assert!(!memory.cut_off);
    }
    // State and event are one write: there is none without the other, whatever was answered.
    let count = |collection: &str, query| {
        let count = doc! { "count": collection, "query": query, "$db": "doorward" };
        mongod.run(&count).unwrap().get_i32("n").unwrap()
    };
    assert_eq!(count("users", doc! {}), count("outbox", doc! { "kind": "user.created" }));
    assert_eq!(count("sessions", doc! {}), count("outbox", doc! { "kind": "user.login" }));
    alone.assert_calm();
}

fn on(mongod: &Mongod) -> Alone {
    Alone::start_on(Store::Mongodb { url: mongod.url(DATABASE), master_key: random::master_key() }, &[])
}

/// Every route that needs the store, and soon. A logout that MongoDB has heard of before it hung may happen once it goes
/// on, so it is somebody else's.
fn assert_everything_is_refused(alone: &Alone, tokens: &Value, leaving: &Value) {
    let credentials = json!({ "email": "ada@example.test", "password": PASSWORD });
    let change = json!({ "current_password": PASSWORD, "new_password": "n3wer-P@ssword!" });
    let access = text(tokens, "access_token");
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let leave = json!({ "refresh_token": leaving["refresh_token"] });
    for (method, path, body) in [
        ("POST", "/auth/login", &credentials),
        ("POST", "/auth/register", &credentials),
        ("POST", "/auth/refresh", &refresh),
        ("POST", "/auth/logout", &leave),
        ("POST", "/auth/validate", &json!({ "token": access })),
        ("GET", "/auth/me", &Value::Null),
        ("GET", "/auth/sessions", &Value::Null),
        ("DELETE", "/auth/sessions/6f2c1c39-95f7-44c8-9e4b-9f7a58a4f6ea", &Value::Null),
        ("POST", "/auth/logout-all", &Value::Null),
        ("POST", "/auth/change-password", &change),
    ] {
        let (reply, took) = timed(|| alone.ask_as(&access, method, path, body));
        assert_unavailable(&reply);
        assert!(took < Duration::from_secs(8), "{method} {path} took {took:?}");
    }
    let health = alone.door.get("/health").unwrap();
    assert_eq!((health.status, &health.json().unwrap()["store"]), (503, &json!("unavailable")));
    // What needs no store goes on.
    assert_eq!(alone.door.get("/.well-known/jwks.json").unwrap().status, 200);
}

/// By itself, with nothing lost.
fn assert_everything_works_again(alone: &Alone, tokens: &Value) {
    let healthy = || (alone.door.get("/health").unwrap().status == 200).then_some(());
    wait::until(Duration::from_secs(30), healthy).expect("the issuer is healthy again");
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let refreshed = alone.door.post("/auth/refresh", &refresh).unwrap();
    assert_eq!(refreshed.status, 200, "the refused exchange took nothing away: {refreshed:?}");
    assert_eq!(alone.log_in("ada@example.test").status, 200, "the password is what it was");
    assert_eq!(alone.register("carol@example.test").status, 201);
}
