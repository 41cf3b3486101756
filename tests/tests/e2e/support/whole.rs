//! A whole stack, and users who act on it.

use doorward_tests::http::Client;
use doorward_tests::parts::{Echo, Mongod, Received, Store};
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use doorward_tests::progress::Progress;
use doorward_tests::random;
use doorward_tests::stack::{Plan, Stack, Upstream};
use serde_json::{Value, json};

/// What everybody here registers with, and what the README's example uses.
pub(crate) const PASSWORD: &str = "S3cureP@ss";

/// The database of an issuer that has a MongoDB of its own.
pub(crate) const DATABASE: &str = "doorward";

/// A running stack and a client at its gate.
pub(crate) struct Whole {
    pub(crate) stack: Stack,
    pub(crate) gate: Client,
    /// Under the issuer, if it is not on SQLite.
    pub(crate) mongod: Option<Mongod>,
    _workdir: Workdir,
}

/// Somebody who has registered and logged in.
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) token: String,
}

impl Whole {
    /// SQLite under it, a recorder behind it.
    pub(crate) fn start() -> Self {
        Self::start_with(|plan| plan)
    }

    pub(crate) fn start_with(change: impl FnOnce(Plan<'_>) -> Plan<'_>) -> Self {
        Self::start_set(&[], change)
    }

    /// With further settings of the issuer: `section.key` and value.
    pub(crate) fn start_set(settings: &[(&str, &str)], change: impl FnOnce(Plan<'_>) -> Plan<'_>) -> Self {
        Self::start_in(Workdir::new().unwrap(), settings, None, change)
    }

    /// With a MongoDB of its own under it.
    pub(crate) fn start_on_mongodb() -> Self {
        Self::start_set_on_mongodb(&[])
    }

    /// The same with further settings of the issuer.
    pub(crate) fn start_set_on_mongodb(settings: &[(&str, &str)]) -> Self {
        let workdir = Workdir::new().unwrap();
        let mongod = mongod(&workdir);
        let store = Store::Mongodb { url: mongod.url(DATABASE), master_key: random::master_key() };
        Self::start_in(workdir, settings, Some(mongod), |plan| Plan { store, ..plan })
    }

    fn start_in(
        workdir: Workdir,
        settings: &[(&str, &str)],
        mongod: Option<Mongod>,
        change: impl FnOnce(Plan<'_>) -> Plan<'_>,
    ) -> Self {
        let programs = Prepared::from_env().unwrap().programs;
        let plan = change(Plan::for_test(workdir.path(), &programs).unwrap());
        let plan = Plan { settings, ..plan };
        let stack = Stack::start(plan, Progress::Silent).unwrap();
        let gate = Client::new(&stack.envoy.url());
        Self { stack, gate, mongod, _workdir: workdir }
    }

    /// Ends the MongoDB under it at once.
    pub(crate) fn lose_mongodb(&mut self) {
        self.mongod.take().expect("this stack has no MongoDB of its own").process.kill();
    }

    /// The recorder behind the gate.
    pub(crate) fn echo(&self) -> &Echo {
        match &self.stack.upstream {
            Upstream::Echo(echo) => echo,
            Upstream::UserService(_) => panic!("this stack has no recorder"),
        }
    }

    /// The one request that arrived on this path.
    pub(crate) fn arrived(&self, path: &str) -> Received {
        let mut all = self.echo().received(path);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    pub(crate) fn register(&self, email: &str) -> Value {
        let reply =
            self.gate.post("/auth/register", &json!({ "email": email, "password": PASSWORD })).unwrap();
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json().unwrap()
    }

    pub(crate) fn log_in(&self, email: &str, password: &str) -> Value {
        let reply = self.gate.post("/auth/login", &json!({ "email": email, "password": password })).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json().unwrap()
    }

    /// Registers and logs in.
    pub(crate) fn user(&self, email: &str) -> User {
        let id = text(&self.register(email), "id");
        let token = text(&self.log_in(email, PASSWORD), "access_token");
        User { id, token }
    }
}

/// A MongoDB of our own.
pub(crate) fn mongod(workdir: &Workdir) -> Mongod {
    let dir = workdir.sub("mongod").unwrap();
    let binary = Prepared::from_env().unwrap().mongod;
    Mongod::start(&binary, &dir, workdir.path().join("mongod.log")).unwrap()
}

/// A member that must be there and be a string.
pub(crate) fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}")).to_owned()
}
