//! `cargo xtask test`: every test, with everything they need.

use std::process::Command;

use clap::Args;
use doorward_tests::build::programs::{self, Beside, Ours};
use doorward_tests::build::wasm;
use doorward_tests::parts::Mongod;
use doorward_tests::prepared::{Prepared, Programs};
use doorward_tests::process::{Workdir, supervisor};
use doorward_tests::progress::Progress;
use doorward_tests::{files, tools};

use crate::WasmToolchain;
use crate::error::Error;

/// What to test.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    toolchain: WasmToolchain,
    /// Crash the issuer and the broker forty times as often, which takes the better part of an hour
    #[arg(long)]
    soak: bool,
    /// Handed to `cargo test --workspace`: filters, `-p PACKAGE`, or `-- --nocapture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Runs the tests and returns cargo's exit code.
pub(crate) fn test(options: &Options) -> Result<u8, Error> {
    let progress = Progress::detect();
    tools::prerequisites::check()?;
    tools::prerequisites::check_fuzzing()?;
    tools::rabbitmq::find(progress)?;
    tools::schemas::compose(progress)?;
    tools::schemas::kubernetes(progress)?;
    let mongod = tools::mongod::find(progress)?;
    let envoy = tools::envoy::find(progress)?;
    let schemathesis = tools::schemathesis::find(progress)?;
    let plugin_wasm = wasm::plugin(options.toolchain.choice(), progress)?;
    let whole = !options.args.iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    let beside = if whole { Beside::Tests } else { Beside::Nothing };
    let Ours { issuer, user_service } = programs::build(beside, progress)?;
    let programs = Programs { envoy, plugin_wasm, issuer, user_service };

    let workdir = Workdir::new()?;
    let step = progress.step("starting MongoDB");
    let server = Mongod::start(&mongod, &workdir.sub("mongodb")?, workdir.path().join("mongodb.log"))?;
    drop(step);
    let xtask = supervisor::own_program()?;
    let prepared = Prepared { programs, mongod, schemathesis, mongodb_url: server.url(""), xtask };

    progress.say("running the tests");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(files::root())
        .arg("test")
        // A whole run shows everything that is broken, not the first program of tests that is.
        .args(whole.then_some(["--workspace", "--no-fail-fast"]).into_iter().flatten())
        .args(&options.args)
        .envs(prepared.to_env())
        .envs(options.soak.then_some(("DOORWARD_TEST_SOAK", "1")))
        .status()
        .map_err(Error::io("run cargo test"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
