use std::path::{Path, PathBuf};
use std::process::Command;

use doorward_tests::build::programs::{self, Measured};
use doorward_tests::parts::issuer::{Events, Setup};
use doorward_tests::parts::{Issuer, Mongod, Store};
use doorward_tests::ports::Port;
use doorward_tests::process::Workdir;
use doorward_tests::progress::Progress;
use doorward_tests::{random, tools};

use super::super::Error;

/// The programs that are measured, and the MongoDB beneath.
pub(super) struct World {
    pub(super) mongod_program: PathBuf,
    programs: Measured,
    mongod: Mongod,
    workdir: Workdir,
}

/// The issuer's default.
pub(super) const USUAL_COST: u8 = 12;
/// For what has nothing to do with passwords, and needs many logins.
pub(super) const CHEAP_COST: u8 = 4;

impl World {
    pub(super) fn begin(programs: Option<&Path>, progress: Progress) -> Result<Self, Error> {
        let mongod_program = tools::mongod::find(progress)?;
        let programs = match programs {
            None => programs::build_measured(progress)?,
            Some(dir) => {
                let find = |name: &str| {
                    let program = dir.join(name);
                    program.canonicalize().map_err(Error::io(format!("find {}", program.display())))
                };
                Measured { issuer: find("doorward-issuer")?, ceiling: find("examples/ceiling")? }
            }
        };
        let workdir = Workdir::new()?;
        let _step = progress.step("starting MongoDB");
        let log = workdir.path().join("mongodb.log");
        let mongod = Mongod::start(&mongod_program, &workdir.sub("mongodb")?, log)?;
        Ok(Self { mongod_program, programs, mongod, workdir })
    }

    /// An issuer on the MongoDB, with a database of its own.
    pub(super) fn on_mongodb(&self, cost: u8) -> Result<Issuer, Error> {
        let url = self.mongod.url(&random::name());
        self.issuer(Store::Mongodb { url, master_key: random::master_key() }, cost)
    }

    /// An issuer on SQLite, with a file of its own.
    pub(super) fn on_sqlite(&self, cost: u8) -> Result<Issuer, Error> {
        self.issuer(Store::Sqlite, cost)
    }

    /// An issuer on the MongoDB that tells what happens.
    pub(super) fn telling(&self, cost: u8, events: Events) -> Result<Issuer, Error> {
        let url = self.mongod.url(&random::name());
        self.start(Store::Mongodb { url, master_key: random::master_key() }, cost, Some(events))
    }

    fn issuer(&self, store: Store, cost: u8) -> Result<Issuer, Error> {
        self.start(store, cost, None)
    }

    fn start(&self, store: Store, cost: u8, events: Option<Events>) -> Result<Issuer, Error> {
        let dir = self.workdir.sub(&random::name())?;
        Ok(Issuer::start(Setup {
            binary: &self.programs.issuer,
            dir: &dir,
            log: dir.join("issuer.log"),
            public: Port::any()?,
            store,
            password_cost: Some(cost),
            events,
            settings: &[],
        })?)
    }

    /// The issuer's program, to be started by hand.
    pub(super) fn program(&self) -> &Path {
        &self.programs.issuer
    }

    /// A directory of its own.
    pub(super) fn dir(&self) -> Result<PathBuf, Error> {
        Ok(self.workdir.sub(&random::name())?)
    }

    /// How many hashes bcrypt alone makes in a second.
    pub(super) fn bcrypt_ceiling(&self, seconds: u64) -> Result<f64, Error> {
        self.ceiling(&["bcrypt", "--cost", &USUAL_COST.to_string(), "--seconds", &seconds.to_string()])
    }

    /// How many exchanges the driver alone makes in a second.
    pub(super) fn driver_ceiling(&self, at_once: usize, seconds: u64) -> Result<f64, Error> {
        let (url, at_once, seconds) = (self.mongod.url("ceiling"), at_once.to_string(), seconds.to_string());
        self.ceiling(&["mongodb", "--url", &url, "--at-once", &at_once, "--seconds", &seconds])
    }

    /// How many messages a second the client alone has confirmed by the broker.
    pub(super) fn broker_ceiling(&self, url: &str, seconds: u64) -> Result<f64, Error> {
        self.ceiling(&["rabbitmq", "--url", url, "--seconds", &seconds.to_string()])
    }

    fn ceiling(&self, args: &[&str]) -> Result<f64, Error> {
        let output = Command::new(&self.programs.ceiling).args(args).output();
        let output = output.map_err(Error::io("run the ceiling"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.trim().parse().map_err(|_| Error::Unreadable(format!("the ceiling: {output:?}")))
    }
}
