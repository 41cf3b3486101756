//! `cargo xtask bench revocation`: how long a token is still let in once its session has ended, behind the shipped gateway
//! configuration, with real issuers, while others keep the gateway busy.

/// Other people's requests meanwhile.
mod crowd;
/// Sessions that end.
mod sessions;

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::thread;

use clap::Args;
use doorward_tests::build::{programs, wasm};
use doorward_tests::http::Client;
use doorward_tests::parts::{Mongod, Store};
use doorward_tests::prepared::Programs;
use doorward_tests::process::Workdir;
use doorward_tests::progress::Progress;
use doorward_tests::stack::{Plan, Stack};
use doorward_tests::{random, tools};

use self::crowd::Crowd;
use self::sessions::{Session, User};
use super::Error;
use super::clock::now;
use super::conditions::Conditions;
use super::measure::Percentiles;
use super::table::{row, verdict, write_table};
use crate::WasmToolchain;

/// As many as this machine has processors, or one tenant's gateway.
const WORKERS: usize = 2;

/// What to measure.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Fewer sessions: for trying, not for quoting
    #[arg(long)]
    quick: bool,
    /// Print a section for docs/performance.md, with date and machine
    #[arg(long)]
    markdown: bool,
    /// Measure `doorward-issuer` in this directory instead of building it
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Measure this module instead of building one
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    #[command(flatten)]
    toolchain: WasmToolchain,
}

/// Measures on both stores and prints what came out.
pub(crate) fn revocation(options: &Options) -> Result<(), Error> {
    let progress = Progress::detect();
    let (sessions, command) = match options.quick {
        true => (40, "cargo xtask bench revocation --quick"),
        false => (300, "cargo xtask bench revocation"),
    };
    let programs = options.find(progress)?;
    let (mongod, workdir) = (tools::mongod::find(progress)?, Workdir::new()?);
    let conditions = Conditions::now("Envoy", &programs.envoy)?;
    let mongod = Mongod::start(&mongod, &workdir.sub("mongodb")?, workdir.path().join("mongodb.log"))?;
    let mongodb = Store::Mongodb { url: mongod.url(&random::name()), master_key: random::master_key() };
    let mut figures = Vec::new();
    for (name, store) in [("SQLite", Store::Sqlite), ("MongoDB", mongodb)] {
        let dir = workdir.sub(name)?;
        let plan = Plan { store, concurrency: WORKERS, ..Plan::for_test(&dir, &programs)? };
        let stack = Stack::start(plan, progress)?;
        let _step = progress.step(&format!("ending sessions on {name}"));
        figures.push(measure(name, &stack, sessions)?);
    }
    let report = Report(figures);
    conditions.print(&report, command, options.markdown);
    Ok(())
}

impl Options {
    fn find(&self, progress: Progress) -> Result<Programs, Error> {
        let given =
            |file: PathBuf| file.canonicalize().map_err(Error::io(format!("find {}", file.display())));
        let issuer = match &self.programs {
            Some(dir) => given(dir.join("doorward-issuer"))?,
            None => programs::build_measured(progress)?.issuer,
        };
        let plugin_wasm = match &self.module {
            Some(module) => given(module.clone())?,
            None => wasm::plugin(self.toolchain.choice(), progress)?,
        };
        // Behind the gateway stands a recorder.
        let user_service = PathBuf::new();
        Ok(Programs { envoy: tools::envoy::find(progress)?, plugin_wasm, issuer, user_service })
    }
}

/// What came out for one store.
struct Figures {
    store: &'static str,
    /// How many ended, and the milliseconds from the issuer's answer until no connection let the token in any more.
    logouts: usize,
    times: Percentiles,
    /// Requests that passed meanwhile, and questions that the gateway asked the issuer: for keys, and for dead tokens.
    served: u64,
    seconds: f64,
    asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    public: u64,
    list: u64,
}

fn measure(store: &'static str, stack: &Stack, sessions: usize) -> Result<Figures, Error> {
    let user = User::register(stack, "ada@example.test")?;
    let sessions = user.log_in(stack, sessions)?;
    let other = User::register(stack, "grace@example.test")?;
    let crowd = Crowd::of(&other, &other.log_in(stack, 1)?, stack.envoy.address());
    let mut doors = sessions::doors(stack)?;
    // Every worker has its keys by now.
    sessions.iter().take(1).try_for_each(|session| session.passes(&mut doors))?;
    let before = Asked::so_far(stack)?;
    let (stop, begin) = (AtomicBool::new(false), now());
    let (times, served) = thread::scope(|scope| {
        let others = crowd.gather(scope, &stop);
        let end = |(number, session): (usize, &Session)| session.end(stack, &mut doors, number);
        let times: Result<Vec<f64>, Error> = sessions.iter().enumerate().map(end).collect();
        let served = Crowd::dismiss(others, &stop)?;
        Ok::<_, Error>((times?, served))
    })?;
    let (after, seconds) = (Asked::so_far(stack)?, begin.elapsed().as_secs_f64());
    let asked = Asked { public: after.public - before.public, list: after.list - before.list };
    Ok(Figures { store, logouts: times.len(), times: Percentiles::of(times), served, seconds, asked })
}

impl Asked {
    /// By Envoy's own count. Sessions are opened and ended at the issuer itself, so none of that is in it.
    fn so_far(stack: &Stack) -> Result<Self, Error> {
        let stats = Client::new(&stack.envoy.admin_url()).get("/stats?filter=upstream_rq_total")?;
        let stats = String::from_utf8_lossy(&stats.body).into_owned();
        let of = |cluster: &str| {
            let name = format!("cluster.{cluster}.upstream_rq_total: ");
            let count = stats.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok());
            count.ok_or_else(|| Error::Unreadable(format!("Envoy's statistics: no {name}")))
        };
        Ok(Self { public: of("issuer")?, list: of("issuer-management")? })
    }
}

struct Report(Vec<Figures>);

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.0.iter().flat_map(Figures::rows).collect();
        write_table(f, &["", "measured", "target", ""], &rows)
    }
}

impl Figures {
    fn rows(&self) -> [Vec<String>; 2] {
        let Self { store, logouts, times: Percentiles { p50, p99 }, served, seconds, asked } = self;
        // Fewer than were meant to be where the machine is busy with something else.
        let rate = *served as f64 / seconds;
        [
            row(
                &format!(
                    "{logouts} logouts on {store}, at {rate:.0} other requests/s, until no worker lets the token in"
                ),
                format!("median {p50:.0} ms, p99 {p99:.0} ms"),
                "median below 250 ms, p99 below 1000 ms",
                verdict(*p50 < 250.0 && *p99 < 1_000.0),
            ),
            row(
                &format!("requests to the issuer for {served} requests served, {store}"),
                format!("{}, and {} questions for the list", asked.public, asked.list),
                "0 besides those for the list",
                verdict(asked.public == 0),
            ),
        ]
    }
}
