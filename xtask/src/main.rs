//! Developer commands: `cargo xtask up | down | test | bench | fuzz | plugin`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use doorward_tests::build::wasm::Toolchain;
use doorward_tests::process::supervisor;
use doorward_tests::progress::Progress;

/// The administrator of a development stack.
mod admin;
/// `cargo xtask bench`.
mod bench;
/// MongoDB and RabbitMQ, for `--full`.
mod beneath;
/// `cargo xtask plugin --check FILE`.
mod check;
/// `cargo xtask up --detach`.
mod detach;
/// `cargo xtask down`.
mod down;
/// Why a command failed.
mod error;
/// `cargo xtask fuzz`.
mod fuzz;
/// What is told when a stack is up: `stack.json`, the table, the curls.
mod report;
/// Ctrl-C and termination.
mod signals;
/// The state directory and its lock.
mod state;
/// `cargo xtask test`.
mod test;
/// `cargo xtask up`.
mod up;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Developer commands of Doorward")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start the issuer, Envoy with the plugin and the example service, until Ctrl-C
    Up(up::Options),
    /// End a stack that was started with `up`
    Down {
        /// The stack's state directory
        #[arg(long, default_value = ".stack")]
        state: PathBuf,
    },
    /// Run every test, with everything they need
    Test(test::Options),
    /// Measure what a request costs
    #[command(subcommand)]
    Bench(Bench),
    /// Fuzz everything that reads what a stranger wrote
    Fuzz(fuzz::Options),
    /// Build the plugin for Envoy and print the module's path
    Plugin {
        #[command(flatten)]
        toolchain: WasmToolchain,
        /// Instead check a plugin configuration, also inside an Envoy file
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
    },
    /// Run a program for as long as standard input stays open
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        log: PathBuf,
        #[arg(long)]
        grace_ms: u64,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Remove paths once standard input closes
    #[command(hide = true)]
    Guard { paths: Vec<PathBuf> },
}

#[derive(Subcommand)]
enum Bench {
    /// The plugin against Envoy's own filters, at the same work in the same Envoy
    Gateway(bench::gateway::Options),
    /// The issuer against what bcrypt and MongoDB alone would do on the same machine
    Issuer(bench::issuer::Options),
    /// From a logout at the issuer to the gateway's refusal of the token
    Revocation(bench::revocation::Options),
}

/// Which compiler builds the plugin.
#[derive(clap::Args, Debug, Clone, Copy)]
struct WasmToolchain {
    /// Use only this way to a wasm compiler; otherwise the first that can be had
    #[arg(long = "wasm-toolchain", value_enum, hide = true)]
    choice: Option<ToolchainChoice>,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum ToolchainChoice {
    Rustup,
    Distribution,
}

impl WasmToolchain {
    fn choice(self) -> Toolchain {
        match self.choice {
            None => Toolchain::Any,
            Some(ToolchainChoice::Rustup) => Toolchain::Rustup,
            Some(ToolchainChoice::Distribution) => Toolchain::Distribution,
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<u8, error::Error> {
    match task {
        Task::Up(options) => up::up(&options).map(|()| 0),
        Task::Down { state } => down::down(&state).map(|()| 0),
        Task::Test(options) => test::test(&options),
        Task::Bench(Bench::Gateway(options)) => Ok(bench::gateway::gateway(&options).map(|()| 0)?),
        Task::Bench(Bench::Issuer(options)) => Ok(bench::issuer::issuer(&options).map(|()| 0)?),
        Task::Bench(Bench::Revocation(options)) => Ok(bench::revocation::revocation(&options).map(|()| 0)?),
        Task::Fuzz(options) => fuzz::fuzz(&options),
        Task::Plugin { check: Some(file), .. } => check::check(&file),
        Task::Plugin { toolchain, check: None } => {
            let module = doorward_tests::build::wasm::plugin(toolchain.choice(), Progress::detect())?;
            println!("{}", module.display());
            Ok(0)
        }
        Task::Supervise { log, grace_ms, command } => {
            let program = PathBuf::from(&command[0]);
            Ok(supervisor::supervise(&program, &command[1..], &log, Duration::from_millis(grace_ms))?)
        }
        Task::Guard { paths } => Ok(supervisor::guard(&paths).map(|()| 0)?),
    }
}
