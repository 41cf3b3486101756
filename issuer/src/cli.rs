//! The command line.

use std::ffi::OsString;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use zeroize::Zeroizing;

use crate::app::{self, App, StartError};
use crate::config::Config;
use crate::domain::context::RequestContext;
use crate::domain::password::Password;
use crate::domain::register::{NewUserRequest, RegisterError};
use crate::domain::role::RoleName;
use crate::domain::user::User;
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
    /// Administer users.
    #[command(subcommand)]
    Users(UsersCommand),
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
}

#[derive(Debug, Args)]
struct CreateUser {
    /// The e-mail address.
    #[arg(long)]
    email: String,
    /// A user name.
    #[arg(long)]
    username: Option<String>,
    /// A role that exists; may be given more than once. `user`, if none is given.
    #[arg(long = "role", value_name = "ROLE", default_value = "user")]
    roles: Vec<String>,
    /// A file with the password; its last line break does not count.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Why a command ended early; one sentence that says what to do next.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the runtime cannot start ({0}); free some memory or threads")]
    Runtime(std::io::Error),
    #[error(
        "the password cannot be read from {place} ({reason}); give it on standard input or with --password-file"
    )]
    Password { place: String, reason: std::io::Error },
    #[error("the account was not made: {0}")]
    Create(String),
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
            Command::Users(UsersCommand::Create(user)) => create_user(&config, user),
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
    telemetry::install(&config.telemetry);
    block_on(async { Ok(app::serve(config).await?) })
}

fn create_user(config: &Config, user: CreateUser) -> Result<(), Failure> {
    telemetry::install(&config.telemetry);
    let password = read_password(user.password_file.as_deref())?;
    block_on(async {
        let app = App::open(config).await?;
        let request = NewUserRequest { email: user.email, password, username: user.username };
        let context = RequestContext { request_id: "users-create".to_owned(), ..RequestContext::default() };
        let user = app.register.prepare_with(request, &user.roles, &context).await?;
        let user = app.register.add(user, &context).await?;
        println!("{}", as_json(&user));
        Ok(())
    })
}

fn as_json(user: &User) -> serde_json::Value {
    let mut json = serde_json::json!({
        "id": user.id.to_string(),
        "email": user.email.as_str(),
        "roles": user.roles.iter().map(RoleName::as_str).collect::<Vec<_>>(),
        "created_at": user.created_at.to_string(),
    });
    if let Some(username) = &user.username {
        json["username"] = username.as_str().into();
    }
    json
}

fn read_password(file: Option<&Path>) -> Result<Password, Failure> {
    let place = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let text = match file {
        Some(path) => std::fs::read_to_string(path),
        None => read_line(),
    };
    let text = Zeroizing::new(text.map_err(|reason| Failure::Password { place, reason })?);
    Ok(Password::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_line() -> std::io::Result<String> {
    if std::io::stdin().is_terminal() {
        eprint!("Password: ");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    let done = runtime.block_on(work);
    // Nothing of ours is left to wait for: what is still blocked belongs to a store that does not answer.
    runtime.shutdown_background();
    done
}

impl From<RegisterError> for Failure {
    fn from(error: RegisterError) -> Self {
        Self::Create(match error {
            RegisterError::Invalid(errors) => {
                let clauses: Vec<_> =
                    errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect();
                clauses.join("; ")
            }
            other => telemetry::with_causes(&other),
        })
    }
}
