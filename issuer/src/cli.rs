//! The command line.

/// `users create`.
mod create_user;
/// `users export`.
mod export_users;
/// `users import`.
mod import_users;
/// `keys list`, `keys rotate` and `keys revoke`.
mod keys;
/// `outbox status` and `outbox replay`.
mod outbox;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use opentelemetry_otlp::ExporterBuildError;

use self::create_user::CreateUser;
use self::export_users::ExportUsers;
use self::import_users::ImportUsers;
use self::keys::KeysCommand;
use self::outbox::OutboxCommand;
use crate::app::{self, StartError};
use crate::config::Config;
use crate::domain::ports::StoreError;
use crate::http::routes;
use crate::telemetry;

/// Registers users, logs them in, issues their tokens and publishes the keys that verify them.
#[derive(Debug, Parser)]
#[command(name = "doorward-issuer", version)]
pub struct Cli {
    /// A TOML file with settings; variables named DOORWARD_SECTION__KEY override it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests until SIGTERM or Ctrl-C.
    Serve,
    /// Look at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// See and change the keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// See what waits to be told, and send it again.
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Administer users.
    #[command(subcommand)]
    Users(UsersCommand),
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the settings in force, or what is wrong with them.
    Check,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Make an account; the password comes from standard input or a file. Prints the account as JSON.
    Create(CreateUser),
    /// Take over accounts with the hashes of their passwords, one JSON object a line.
    Import(ImportUsers),
    /// Write all accounts with the hashes of their passwords, one JSON object a line.
    Export(ExportUsers),
}

/// Why a command ended early; one sentence that says what to do next.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("spans cannot be sent: {0}; look at the OTEL_ variables of the environment")]
    Traces(#[from] ExporterBuildError),
    #[error("the runtime cannot start ({0}); free some memory or threads")]
    Runtime(std::io::Error),
    #[error(
        "the password cannot be read from {place} ({reason}); give it on standard input or with --password-file"
    )]
    Password { place: String, reason: std::io::Error },
    #[error("the account was not made: {0}")]
    Create(String),
    #[error(transparent)]
    Import(#[from] import_users::ImportUsersError),
    #[error(transparent)]
    Export(#[from] export_users::ExportError),
    #[error(transparent)]
    Keys(#[from] keys::KeysError),
    #[error("the outbox does not answer: {}", telemetry::with_causes(.0))]
    Outbox(#[from] StoreError),
}

impl Cli {
    /// Does what the command line says.
    pub fn run(self, environment: impl IntoIterator<Item = (OsString, OsString)>) -> ExitCode {
        let config = match Config::read(self.config.as_deref(), environment) {
            Ok(config) => config,
            Err(error) => {
                eprintln!("{error}");
                // `config check` is asked by scripts, which tell "wrong" from "could not look".
                return ExitCode::from(if matches!(self.command, Command::Config(_)) { 2 } else { 1 });
            }
        };
        let done = match self.command {
            Command::Serve => serve(&config),
            Command::Config(ConfigCommand::Check) => {
                print_settings(&config);
                Ok(())
            }
            Command::Keys(command) => keys::run(&config, command),
            Command::Outbox(command) => outbox::run(&config, &command),
            Command::Openapi => {
                println!("{}", routes::openapi());
                Ok(())
            }
            Command::Users(UsersCommand::Create(user)) => create_user::run(&config, user),
            Command::Users(UsersCommand::Import(import)) => import_users::run(&config, import),
            Command::Users(UsersCommand::Export(export)) => export_users::run(&config, export),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("doorward-issuer: {failure}");
                ExitCode::FAILURE
            }
        }
    }
}

fn print_settings(config: &Config) {
    println!("configuration is valid");
    for (key, value) in config.effective() {
        println!("{key} = {value}");
    }
}

fn serve(config: &Config) -> Result<(), Failure> {
    let _traces = telemetry::install_with_traces(&config.telemetry)?;
    block_on(async { Ok(app::serve(config).await?) })
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    let done = runtime.block_on(work);
    // Nothing of ours is left to wait for: what is still blocked belongs to a store that does not answer.
    runtime.shutdown_background();
    done
}
