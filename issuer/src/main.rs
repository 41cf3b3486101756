//! The issuer's program; see the library for everything it does.

use std::process::ExitCode;

use clap::Parser as _;
use doorward_issuer::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run(std::env::vars_os())
}
