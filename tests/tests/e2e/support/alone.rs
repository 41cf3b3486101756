//! An issuer without a gateway.

use std::path::Path;

use doorward_tests::http::{Client, Reply};
use doorward_tests::parts::{Issuer, Store, issuer};
use doorward_tests::ports::Port;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::whole::PASSWORD;

/// A running issuer and a client at its public listener.
pub(crate) struct Alone {
    pub(crate) issuer: Issuer,
    pub(crate) door: Client,
    pub(crate) workdir: Workdir,
}

impl Alone {
    /// On SQLite.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_on(Store::Sqlite, settings)
    }

    pub(crate) fn start_on(store: Store, settings: &[(&str, &str)]) -> Self {
        let workdir = Workdir::new().unwrap();
        let issuer = start(workdir.path(), store, settings);
        let door = Client::new(&url(&issuer));
        Self { issuer, door, workdir }
    }

    pub(crate) fn register(&self, email: &str) -> Reply {
        self.door.post("/auth/register", &json!({ "email": email, "password": PASSWORD })).unwrap()
    }

    pub(crate) fn log_in(&self, email: &str) -> Reply {
        self.door.post("/auth/login", &json!({ "email": email, "password": PASSWORD })).unwrap()
    }

    /// The public listener.
    pub(crate) fn url(&self) -> String {
        url(&self.issuer)
    }

    /// Asks anything with an access token.
    pub(crate) fn ask_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.door.send(method, path, &headers, body).unwrap()
    }

    /// Nothing took the issuer by surprise.
    #[track_caller]
    pub(crate) fn assert_calm(&self) {
        assert_calm(&self.issuer);
    }

    /// What an operator would see in its database.
    pub(crate) fn database(&self) -> Connection {
        Connection::open(self.workdir.path().join("doorward.db")).unwrap()
    }

    /// Somebody who has registered and logged in: his tokens.
    pub(crate) fn user(&self, email: &str) -> Value {
        let reply = self.register(email);
        assert_eq!(reply.status, 201, "{reply:?}");
        let reply = self.log_in(email);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json().unwrap()
    }
}

/// An issuer with its data in that directory: what another left there, if there was one.
pub(crate) fn start(dir: &Path, store: Store, settings: &[(&str, &str)]) -> Issuer {
    let binary = Prepared::from_env().unwrap().programs.issuer;
    Issuer::start(issuer::Setup {
        binary: &binary,
        dir,
        log: dir.join("issuer.log"),
        public: Port::any().unwrap(),
        store,
        password_cost: Some(4),
        events: None,
        settings,
    })
    .unwrap()
}

/// The public listener, by its address.
pub(crate) fn url(issuer: &Issuer) -> String {
    format!("http://127.0.0.1:{}", issuer.port())
}

/// Neither a panic nor a 500 is in the log, answered or not.
#[track_caller]
pub(crate) fn assert_calm(issuer: &Issuer) {
    let log = issuer.process.log_text();
    let surprise = log.lines().find(|line| line.contains("panicked") || line.contains(r#""status":500"#));
    assert_eq!(surprise, None);
}
