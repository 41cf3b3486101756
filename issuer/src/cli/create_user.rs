use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use super::{Failure, block_on};
use crate::app::App;
use crate::config::Config;
use crate::domain::context::RequestContext;
use crate::domain::password::Password;
use crate::domain::register::{NewUserRequest, RegisterError};
use crate::domain::role::RoleName;
use crate::domain::user::User;
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct CreateUser {
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

/// Makes an account, by the rules of everybody else's.
pub(super) fn run(config: &Config, user: CreateUser) -> Result<(), Failure> {
    telemetry::install(&config.telemetry);
    let password = read_password(user.password_file.as_deref())?;
    block_on(async {
        let app = App::open(config).await?;
        let request = NewUserRequest { email: user.email, password, username: user.username };
        let context = RequestContext { request_id: "users-create".to_owned(), ..RequestContext::default() };
        let user = app.register.prepare_with(request, &user.roles, &context).await?;
        let user = app.register.add_by_operator(user, &context).await?;
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
