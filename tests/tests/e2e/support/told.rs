//! An issuer that tells a broker of its own, and a program that listens.

use std::time::Duration;

use doorward_tests::http::Client;
use doorward_tests::parts::issuer::{self, Events};
use doorward_tests::parts::{Issuer, Listener, Mongod, Rabbitmq, Store};
use doorward_tests::ports::Port;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use doorward_tests::progress::Progress;
use doorward_tests::{random, tools, wait};
use serde_json::{Value, json};

use super::whole::{DATABASE, PASSWORD, mongod, text};

/// How long anything may take that takes moments.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Both of them, on either store.
pub(crate) struct Told {
    pub(crate) issuer: Issuer,
    pub(crate) client: Client,
    pub(crate) broker: Rabbitmq,
    /// Under the issuer, if it is not on SQLite.
    pub(crate) mongod: Option<Mongod>,
    pub(crate) workdir: Workdir,
}

/// A broker of our own.
pub(crate) fn broker(workdir: &Workdir) -> Rabbitmq {
    let tools = tools::rabbitmq::find(Progress::Silent).unwrap();
    let dir = workdir.sub("rabbitmq").unwrap();
    Rabbitmq::start(&tools, &dir, workdir.path().join("rabbitmq.log")).unwrap()
}

impl Told {
    pub(crate) fn start() -> Self {
        Self::start_with(&[], Rabbitmq::url)
    }

    /// With types that somebody must have a queue for, and another way to the broker.
    pub(crate) fn start_with(required: &[&str], url: impl FnOnce(&Rabbitmq) -> String) -> Self {
        Self::start_set(required, url, &[])
    }

    /// With further settings of the issuer: `section.key` and value.
    pub(crate) fn start_set(
        required: &[&str],
        url: impl FnOnce(&Rabbitmq) -> String,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::start_in(Workdir::new().unwrap(), None, required, url, settings)
    }

    /// With a MongoDB of its own.
    pub(crate) fn start_on_mongodb() -> Self {
        let workdir = Workdir::new().unwrap();
        let mongod = mongod(&workdir);
        Self::start_in(workdir, Some(mongod), &[], Rabbitmq::url, &[])
    }

    fn start_in(
        workdir: Workdir,
        mongod: Option<Mongod>,
        required: &[&str],
        url: impl FnOnce(&Rabbitmq) -> String,
        settings: &[(&str, &str)],
    ) -> Self {
        let broker = broker(&workdir);
        let store = mongod.as_ref().map_or(Store::Sqlite, |mongod| Store::Mongodb {
            url: mongod.url(DATABASE),
            master_key: random::master_key(),
        });
        let required = required.iter().map(ToString::to_string).collect();
        let issuer = Issuer::start(issuer::Setup {
            binary: &Prepared::from_env().unwrap().programs.issuer,
            dir: &workdir.sub("issuer").unwrap(),
            log: workdir.path().join("issuer.log"),
            public: Port::any().unwrap(),
            store,
            password_cost: Some(4),
            settings,
            events: Some(Events { url: url(&broker), required }),
        })
        .unwrap();
        let client = Client::new(&issuer.url());
        let told = Self { issuer, client, broker, mongod, workdir };
        told.until_events_are("ok");
        told
    }

    pub(crate) fn listener(&self) -> Listener {
        Listener::connect(&self.broker.url()).unwrap()
    }

    pub(crate) fn register(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": PASSWORD });
        let reply = self.client.post("/auth/register", &body).unwrap();
        assert_eq!(reply.status, 201, "{reply:?}");
        text(&reply.json().unwrap(), "id")
    }

    pub(crate) fn log_in(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": PASSWORD });
        let reply = self.client.post("/auth/login", &body).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json().unwrap()
    }

    /// What `/health` says about events.
    pub(crate) fn until_events_are(&self, state: &str) {
        let said = wait::until(SOON, || {
            let health = self.client.get("/health").ok()?;
            let said = health.json().ok()?;
            // A store on a busy disk may be late.
            let works = health.status == 200 || said["store"] == "unavailable";
            assert!(works, "whatever becomes of events, the issuer works: {health:?}");
            (said["events"] == state).then_some(())
        });
        assert!(said.is_some(), "events never became {state}");
    }

    /// What `outbox status` says about events, once it is what we wait for.
    pub(crate) fn until_status(&self, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait::until(SOON, || {
            last = self.issuer.ask(&["outbox", "status"]).unwrap()["events"].clone();
            is(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("the outbox stayed {last}"))
    }
}
