//! Another version in the place of this one: what an older program left in the store, and issuers that are exchanged one
//! after the other while people use them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use doorward_tests::http::Client;
use doorward_tests::parts::envoy::{Setup, Upstreams};
use doorward_tests::parts::{Echo, Envoy, Issuer, Mongod, Store, issuer};
use doorward_tests::ports::Port;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use doorward_tests::{files, random, wait};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::alone;
use crate::support::whole::{DATABASE, PASSWORD, mongod, text};

/// What the first version wrote: see the file `README.md` there.
const FIXTURE: &str = "tests/fixtures/first-version";
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn what_the_first_version_left_in_sqlite_is_good() {
    let workdir = Workdir::new().unwrap();
    let database = workdir.path().join("doorward.db");
    Connection::open(&database).unwrap().execute_batch(&fixture("sqlite.sql")).unwrap();
    files::write_private(&workdir.path().join("doorward.db.master-key"), fixture("master-key").as_bytes())
        .unwrap();
    assert_good(workdir.path(), Store::Sqlite, &left()["sqlite"]);
}

#[test]
fn what_the_first_version_left_in_mongodb_is_good() {
    let workdir = Workdir::new().unwrap();
    let mongod = mongod(&workdir);
    for collection in ["users", "sessions", "roles", "keys"] {
        let insert = doc! { "insert": collection, "documents": documents(collection), "$db": DATABASE };
        mongod.run(&insert).unwrap();
    }
    // An index that has another form by now would keep the new program from starting.
    for mut create in documents("indexes") {
        create.insert("$db", DATABASE);
        mongod.run(&create).unwrap();
    }
    let master_key = fixture("master-key").trim().to_owned();
    let store = Store::Mongodb { url: mongod.url(DATABASE), master_key };
    assert_good(workdir.path(), store, &left()["mongodb"]);
}

/// Its users log in with the passwords that they have, its sessions go on, its roles count, and all of that again after
/// the new program has written into it.
fn assert_good(dir: &Path, store: Store, left: &Value) {
    let mut issuer = alone::start(dir, store, &[]);
    let door = Client::new(&alone::url(&issuer));
    let mut session = left["refresh_token"].clone();
    for _ in 0..2 {
        let refreshed = door.post("/auth/refresh", &json!({"refresh_token": session})).unwrap();
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        session = refreshed.json().unwrap()["refresh_token"].take();
        for name in ["ada@example.test", "ada"] {
            let login = door.post("/auth/login", &json!({"login": name, "password": PASSWORD})).unwrap();
            assert_eq!(login.status, 200, "{login:?}");
        }
        let admin = json!({"email": "admin@example.test", "password": PASSWORD});
        let admin = door.post("/auth/login", &admin).unwrap().json().unwrap();
        let users = door.get_as(&text(&admin, "access_token"), "/admin/users").unwrap();
        let users = users.json().unwrap();
        let ids: Vec<&Value> = users["items"].as_array().unwrap().iter().map(|user| &user["id"]).collect();
        assert!(ids.contains(&&left["id"]) && ids.len() == 2, "{users}");
        let ada = format!("/admin/users/{}", text(left, "id"));
        let sessions = door.get_as(&text(&admin, "access_token"), &format!("{ada}/sessions")).unwrap();
        assert!(sessions.json().unwrap()["items"].as_array().unwrap().len() >= 3, "{sessions:?}");
        issuer.restart().unwrap();
    }
    alone::assert_calm(&issuer);
}

/// What its users had in their hands.
fn left() -> Value {
    serde_json::from_str(&fixture("left.json")).unwrap()
}

/// The documents of a dump.
fn documents(name: &str) -> Vec<Document> {
    let bytes = fs::read(files::root().join(FIXTURE).join(format!("{name}.bson"))).unwrap();
    let mut rest = bytes.as_slice();
    let mut documents = vec![];
    while !rest.is_empty() {
        documents.push(Document::from_reader(&mut rest).unwrap());
    }
    assert!(!documents.is_empty(), "{name}");
    documents
}

fn fixture(name: &str) -> String {
    fs::read_to_string(files::root().join(FIXTURE).join(name)).unwrap()
}

#[test]
fn issuers_that_restart_one_after_the_other_are_not_noticed() {
    let mut house = TwoIssuers::start();
    let (stop, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Whatever happens here, nobody goes on for ever.
        let end = End(&stop);
        let visitors: Vec<_> = (0..4)
            .map(|number| {
                let (gate, stop, rounds) = (house.envoy.url(), &stop, &rounds);
                scope.spawn(move || visit(number, &gate, stop, rounds))
            })
            .collect();
        let more = |number: usize| {
            let before = rounds.load(Ordering::SeqCst);
            let enough = || {
                let given_up = visitors.iter().any(std::thread::ScopedJoinHandle::is_finished);
                (given_up || rounds.load(Ordering::SeqCst) >= before + number).then_some(())
            };
            assert!(wait::until(LIMIT, enough).is_some(), "{} rounds", rounds.load(Ordering::SeqCst));
        };
        more(20);
        for issuer in &mut house.issuers {
            issuer.restart().unwrap();
            more(20);
        }
        drop(end);
        for visitor in visitors {
            assert_eq!(visitor.join().unwrap(), Ok(()));
        }
    });
    house.issuers.iter().for_each(alone::assert_calm);
}

/// Sends everybody home when dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Registers, logs in, looks at his profile and refreshes, again and again; or says what was not answered as always.
fn visit(number: usize, gate: &str, stop: &AtomicBool, rounds: &AtomicUsize) -> Result<(), String> {
    let gate = Client::new(gate);
    let post = |path: &str, body: &Value, good: u16| {
        let reply = gate.post(path, body).map_err(|failure| format!("{path}: {failure}"))?;
        let told = || format!("{path}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
        if reply.status == good { reply.json().map_err(|failure| failure.to_string()) } else { Err(told()) }
    };
    for round in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let credentials = json!({"email": format!("v{number}-{round}@example.test"), "password": PASSWORD});
        let id = text(&post("/auth/register", &credentials, 201)?, "id");
        let mut tokens = post("/auth/login", &credentials, 200)?;
        for _ in 0..3 {
            let profile = gate.get_as(&text(&tokens, "access_token"), &format!("/users/{id}"));
            let profile = profile.map_err(|failure| failure.to_string())?;
            if profile.status != 200 {
                return Err(format!("profile: {profile:?}"));
            }
            tokens = post("/auth/refresh", &json!({"refresh_token": tokens["refresh_token"]}), 200)?;
        }
        rounds.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// The shipped gateway in front of two issuers that share a MongoDB.
struct TwoIssuers {
    // Stops first, so that nothing arrives at a part that is gone.
    envoy: Envoy,
    issuers: [Issuer; 2],
    _echo: Echo,
    _mongod: Mongod,
    _workdir: Workdir,
}

impl TwoIssuers {
    fn start() -> Self {
        let prepared = Prepared::from_env().unwrap();
        let workdir = Workdir::new().unwrap();
        let mongod = mongod(&workdir);
        let store = Store::Mongodb { url: mongod.url(DATABASE), master_key: random::master_key() };
        let name = "https://auth.example.test";
        // Everybody comes from one address.
        let settings = [("token.issuer", name), ("limits.address", "1000000")];
        let issuers = ["first", "second"].map(|dir| {
            let dir = workdir.sub(dir).unwrap();
            Issuer::start(issuer::Setup {
                binary: &prepared.programs.issuer,
                dir: &dir,
                log: dir.join("issuer.log"),
                public: Port::any().unwrap(),
                store: store.clone(),
                password_cost: Some(4),
                settings: &settings,
                events: None,
            })
            .unwrap()
        });
        let echo = Echo::start(&[]).unwrap();
        let second = [(8080, issuers[1].port()), (9090, issuers[1].management_port())];
        let edits =
            second.map(|(shipped, port)| (endpoint(shipped), endpoint(shipped) + "\n" + &endpoint(port)));
        let edits = [(edits[0].0.as_str(), edits[0].1.as_str()), (edits[1].0.as_str(), edits[1].1.as_str())];
        let upstreams = Upstreams {
            issuer: issuers[0].port(),
            management: issuers[0].management_port(),
            users: echo.port(),
        };
        let dir = workdir.sub("envoy").unwrap();
        let setup = Setup::for_test(&prepared.programs, &dir, name, upstreams).unwrap();
        let envoy = Envoy::start(Setup { concurrency: 2, edits: &edits, ..setup }).unwrap();
        Self { envoy, issuers, _echo: echo, _mongod: mongod, _workdir: workdir }
    }
}

/// A line of the shipped file.
fn endpoint(port: u16) -> String {
    let address = format!("{{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}");
    format!("              - endpoint: {{address: {address}}}")
}
