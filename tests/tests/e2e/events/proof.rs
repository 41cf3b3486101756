use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bson::{Bson, Document, doc};
use doorward_tests::http::Client;
use doorward_tests::parts::{Issuer, Mongod, QueueKind, Rabbitmq};
use doorward_tests::wait;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::support::told::Told;
use crate::support::whole::{DATABASE, PASSWORD};

/// How many people register and log in at the same time.
const CROWD: usize = 4;
const QUEUE: &str = "everything";

/// Something that goes wrong.
#[derive(Debug, Clone, Copy)]
enum Blow {
    KillIssuer,
    CutConnection,
    RestartBroker,
}

const ROUND: [Blow; 6] = [
    Blow::KillIssuer,
    Blow::CutConnection,
    Blow::KillIssuer,
    Blow::RestartBroker,
    Blow::CutConnection,
    Blow::KillIssuer,
];

#[test]
fn no_event_is_lost_or_invented_whatever_crashes() {
    survives(Told::start());
}

#[test]
fn on_mongodb_none_is_lost_or_invented_either() {
    survives(Told::start_on_mongodb());
}

fn survives(mut told: Told) {
    let rounds = if std::env::var_os("DOORWARD_TEST_SOAK").is_some() { 40 } else { 1 };
    let listener = told.listener();
    listener.bind(QUEUE, QueueKind::Quorum, &["#"]).unwrap();
    drop(listener);

    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let url = told.issuer.url();
    let Told { issuer, broker, .. } = &mut told;
    thread::scope(|scope| {
        for member in 0..CROWD {
            let (url, stop, answered) = (&url, &stop, &answered);
            scope.spawn(move || come_and_go(url, member, stop, answered));
        }
        for blow in (0..rounds).flat_map(|_| ROUND) {
            // A blow in the middle of work, not into silence.
            let before = answered.load(Ordering::Relaxed);
            let busy = || (answered.load(Ordering::Relaxed) >= before + 40).then_some(());
            let worked = wait::until(Duration::from_secs(60), busy);
            if worked.is_none() {
                stop.store(true, Ordering::Relaxed);
                panic!("nobody gets anything done before {blow:?}");
            }
            strike(blow, issuer, broker);
        }
        stop.store(true, Ordering::Relaxed);
    });
    // Claims of the killed have to end first.
    told.until_events_are("ok");
    let emptied = wait::until(Duration::from_secs(90), || {
        let status = told.issuer.ask(&["outbox", "status"]).ok()?;
        (status["events"]["waiting"] == 0).then_some(status)
    });
    let status = emptied.expect("what waits leaves once all is well");
    assert_eq!((&status["events"]["parked"], &status["events"]["unroutable"]), (&json!(0), &json!(0)));
    compare(&told, answered.load(Ordering::Relaxed), rounds);
}

fn strike(blow: Blow, issuer: &mut Issuer, broker: &mut Rabbitmq) {
    match blow {
        Blow::KillIssuer => issuer.crash().unwrap(),
        Blow::CutConnection => broker.control(&["close_all_connections", "cut by the test"]).unwrap(),
        Blow::RestartBroker => {
            broker.stop();
            broker.start_again().unwrap();
        }
    }
}

/// Registers people and logs them in, one after the other, through every failure.
fn come_and_go(url: &str, member: usize, stop: &AtomicBool, answered: &AtomicUsize) {
    let client = Client::new(url);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let body = json!({ "email": format!("{member}-{number}@example.test"), "password": PASSWORD });
        for path in ["/auth/register", "/auth/login"] {
            if client.post(path, &body).is_ok_and(|reply| reply.status < 300) {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The store and the queue tell the same story.
fn compare(told: &Told, answered: usize, rounds: usize) {
    let heard = told.listener().drain(QUEUE).unwrap();
    let of_kind = |kind: &str, member: fn(&Value) -> &Value| -> BTreeSet<String> {
        let events = heard.values().filter(|heard| heard.routing_key == kind);
        events.map(|heard| member(&heard.event).as_str().unwrap().to_owned()).collect()
    };
    let [users, sessions, entries] = match &told.mongod {
        Some(mongod) => in_mongodb(mongod),
        None => in_sqlite(told),
    };
    println!(
        "{rounds} rounds of {} blows: {answered} requests answered, {} users, {} sessions, {} events heard",
        ROUND.len(),
        users.len(),
        sessions.len(),
        heard.len()
    );
    assert!(users.len() + sessions.len() >= answered, "what was answered is there");
    assert_eq!(of_kind("user.created", |event| &event["subject"]), users);
    assert_eq!(of_kind("user.login", |event| &event["data"]["session_id"]), sessions);
    assert_eq!(heard.keys().cloned().collect::<BTreeSet<_>>(), entries);
}

/// The ids of users, sessions and published events in the store.
fn in_sqlite(told: &Told) -> [BTreeSet<String>; 3] {
    let file = told.workdir.path().join("issuer/doorward.db");
    let store = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let ids = |query: &str| {
        let mut statement = store.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        rows.map(|id| shown(&id.unwrap())).collect()
    };
    ["SELECT id FROM users", "SELECT id FROM sessions", "SELECT id FROM outbox WHERE state = 'done'"].map(ids)
}

/// The same.
fn in_mongodb(mongod: &Mongod) -> [BTreeSet<String>; 3] {
    let ids = |(collection, which): (&str, Document)| {
        let distinct = doc! { "distinct": collection, "key": "_id", "query": which, "$db": DATABASE };
        let found = mongod.run(&distinct).unwrap();
        let id = |id: &Bson| match id {
            Bson::Binary(id) => shown(&id.bytes),
            other => panic!("{other} is no id"),
        };
        found.get_array("values").unwrap().iter().map(id).collect()
    };
    [("users", doc! {}), ("sessions", doc! {}), ("outbox", doc! { "state": "done" })].map(ids)
}

fn shown(id: &[u8]) -> String {
    bson::Uuid::from_bytes(id.try_into().unwrap()).to_string()
}
