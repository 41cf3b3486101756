//! `cargo xtask up`: the whole stack on this machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use doorward_tests::build::programs::{self, Beside, Ours};
use doorward_tests::build::wasm;
use doorward_tests::parts::Store;
use doorward_tests::parts::issuer::Events;
use doorward_tests::ports::Port;
use doorward_tests::prepared::{Prepared, Programs};
use doorward_tests::process::{Guard, Running};
use doorward_tests::progress::Progress;
use doorward_tests::stack::{Behind, Plan, Stack, Upstream};
use doorward_tests::{files, tools};
use serde_json::json;

use crate::admin::Admin;
use crate::beneath::{self, Beneath};
use crate::error::Error;
use crate::report::Report;
use crate::signals::Signals;
use crate::state::StateDir;
use crate::{WasmToolchain, detach};

/// How to start a stack.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Put MongoDB and RabbitMQ under it, instead of SQLite alone
    #[arg(long)]
    pub(crate) full: bool,
    /// Return as soon as everything is ready; `cargo xtask down` ends it
    #[arg(long)]
    pub(crate) detach: bool,
    /// Where to keep everything; a second directory is a second stack
    #[arg(long, default_value = ".stack", value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// The gateway's port [default: 8000, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) gateway_port: Option<u16>,
    /// The issuer's port [default: 8080, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) issuer_port: Option<u16>,
    #[command(flatten)]
    pub(crate) toolchain: WasmToolchain,
    /// Take the programs that `cargo xtask test` has built, instead of building them
    #[arg(long, hide = true)]
    pub(crate) prepared: bool,
    /// This is the process that `--detach` leaves behind
    #[arg(long, hide = true)]
    pub(crate) in_background: bool,
}

/// Starts the stack and keeps it until it is told to stop.
pub(crate) fn up(options: &Options) -> Result<(), Error> {
    let state = StateDir::at(&options.state);
    if options.detach {
        return detach::up(options, &state);
    }
    if options.in_background {
        detach::leave_terminal()?;
    }
    let progress = Progress::detect();
    let _lock = state.lock()?;
    let (programs, servers) = prepare(options, progress)?;
    // Not earlier: a signal during the build ends us and cargo alike.
    let signals = Signals::take_over()?;

    // Declared first, so that the files go last.
    let stack_json = state.stack_json();
    let _guard = Guard::over(&[&stack_json])?;
    let mut beneath = servers.map(|servers| Beneath::start(&servers, &state, progress)).transpose()?;
    let mut stack = start(options, &state, &programs, beneath.as_ref(), progress)?;
    let report = report(&state, &programs, &stack, beneath.as_ref())?;
    files::write_private(&stack_json, format!("{:#}\n", json!(report)).as_bytes())?;

    println!("{}", report.for_people(&stack.envoy.tls_url(), &stack.envoy.certificate.chain));
    println!("Ctrl-C ends it, and so does `cargo xtask down` from elsewhere.");
    signals.expect_orderly_end();
    let outcome = watch(&signals, &mut stack, beneath.as_mut());
    progress.say("stopping");
    // The issuer says good-bye to its store, so that goes last.
    drop(stack);
    drop(beneath);
    outcome
}

/// Fetches what is missing and builds what is ours.
fn prepare(options: &Options, progress: Progress) -> Result<(Programs, Option<beneath::Servers>), Error> {
    if options.prepared {
        let Prepared { programs, mongod, .. } = Prepared::from_env()?;
        let servers = options.full.then(|| beneath::Servers::with(mongod, progress)).transpose()?;
        return Ok((programs, servers));
    }
    tools::prerequisites::check()?;
    let envoy = tools::envoy::find(progress)?;
    // Before the builds: nobody wants to wait for those to learn that a server is missing.
    let servers = options.full.then(|| beneath::Servers::find(progress)).transpose()?;
    let plugin_wasm = wasm::plugin(options.toolchain.choice(), progress)?;
    let Ours { issuer, user_service } = programs::build(Beside::Nothing, progress)?;
    Ok((Programs { envoy, plugin_wasm, issuer, user_service }, servers))
}

fn start(
    options: &Options,
    state: &StateDir,
    programs: &Programs,
    beneath: Option<&Beneath>,
    progress: Progress,
) -> Result<Stack, Error> {
    let port = |asked: Option<u16>, usual| asked.map_or_else(|| Port::rather(usual), Port::exactly);
    let store = match beneath {
        None => Store::Sqlite,
        Some(beneath) => {
            Store::Mongodb { url: beneath.mongod.url("doorward"), master_key: beneath.master_key.clone() }
        }
    };
    let plan = Plan {
        dir: state.path(),
        programs,
        gateway: port(options.gateway_port, 8000)?,
        issuer: port(options.issuer_port, 8080)?,
        store,
        behind: Behind::UserService,
        password_cost: None,
        concurrency: 1,
        settings: &[],
        events: beneath.map(|beneath| Events { url: beneath.rabbitmq.url(), required: Vec::new() }),
    };
    Ok(Stack::start(plan, progress)?)
}

fn report(
    state: &StateDir,
    programs: &Programs,
    stack: &Stack,
    beneath: Option<&Beneath>,
) -> Result<Report, Error> {
    let store_dir = state.sub(if beneath.is_some() { "mongodb" } else { "issuer" })?;
    Ok(Report {
        gateway: stack.envoy.url(),
        issuer: stack.issuer.url(),
        management: stack.issuer.management_url(),
        envoy_admin: stack.envoy.admin_url(),
        upstream: stack.upstream.url(),
        mongodb: beneath.map(|beneath| beneath.mongod.url("doorward")),
        amqp: beneath.map(|beneath| beneath.rabbitmq.url()),
        plugin_wasm: programs.plugin_wasm.clone(),
        envoy_bin: programs.envoy.clone(),
        envoy_config: stack.envoy.config.clone(),
        admin: Admin::ensure(&stack.issuer, &store_dir)?,
        logs: state.logs(),
    })
}

/// Returns when a signal arrives, or when a part is gone: half a stack helps nobody.
fn watch(signals: &Signals, stack: &mut Stack, mut beneath: Option<&mut Beneath>) -> Result<(), Error> {
    while !signals.arrived(Duration::from_millis(300)) {
        let mut parts: Vec<(&'static str, &mut Running)> =
            vec![("Envoy", &mut stack.envoy.process), ("the issuer", &mut stack.issuer.process)];
        if let Upstream::UserService(service) = &mut stack.upstream {
            parts.push(("the example service", &mut service.process));
        }
        if let Some(beneath) = &mut beneath {
            parts.push(("MongoDB", &mut beneath.mongod.process));
            parts.push(("RabbitMQ", &mut beneath.rabbitmq.process));
        }
        if let Some((name, part)) =
            parts.iter_mut().find_map(|(name, part)| (!part.is_running()).then_some((*name, part)))
        {
            return Err(Error::PartEnded { name, tail: files::tail(part.log(), 15) });
        }
    }
    Ok(())
}
