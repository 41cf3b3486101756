//! The issuer on either store.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fmt, io::Write as _};

use nix::sys::signal::Signal;

use crate::http::Client;
use crate::ports::Port;
use crate::process::{Launch, Running};
use crate::{Error, Result, files};

/// Where the issuer keeps its users.
#[derive(Clone)]
pub enum Store {
    /// A file of its own.
    Sqlite,
    /// A database in a replica set.
    Mongodb {
        /// The connection string, with the database's name.
        url: String,
        /// The key that wraps the key ring, in base64.
        master_key: String,
    },
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "Sqlite",
            Self::Mongodb { .. } => "Mongodb",
        })
    }
}

/// How to run an issuer.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The issuer's binary.
    pub binary: &'a Path,
    /// Where its configuration, and with SQLite its data, go.
    pub dir: &'a Path,
    /// Its log.
    pub log: PathBuf,
    /// The port of the public listener.
    pub public: Port,
    /// The store.
    pub store: Store,
    /// A cheap password hash, for tests alone.
    pub password_cost: Option<u8>,
    /// Further settings: `section.key` and value.
    pub settings: &'a [(&'a str, &'a str)],
    /// Who is told what happens.
    pub events: Option<Events>,
}

/// Who is told what happens.
#[derive(Clone)]
pub struct Events {
    /// The broker.
    pub url: String,
    /// Types that somebody must have a queue for.
    pub required: Vec<String>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

/// A running issuer.
#[derive(Debug)]
pub struct Issuer {
    /// The process.
    pub process: Running,
    binary: PathBuf,
    config: PathBuf,
    settings: Vec<(String, String)>,
    public: Port,
    management: Port,
}

impl Issuer {
    /// Starts an issuer and waits until it is healthy.
    ///
    /// # Errors
    /// When it does not start; the error carries the end of its log.
    pub fn start(setup: Setup<'_>) -> Result<Self> {
        let management = Port::any()?;
        let config = setup.dir.join("issuer.toml");
        files::write_private(&config, configuration(&setup, management.number()).as_bytes())?;
        let settings: Vec<_> =
            setup.settings.iter().map(|(key, value)| (variable(key), (*value).into())).collect();
        let process = launch(setup.binary, &config, &settings, setup.log)?;
        let binary = setup.binary.to_owned();
        let mut issuer = Self { process, binary, config, settings, public: setup.public, management };
        issuer.wait_until_healthy()?;
        Ok(issuer)
    }

    /// Kills it, in the middle of whatever it does, and starts it again on the same data and ports.
    ///
    /// # Errors
    /// When it does not start; the error carries the end of its log.
    pub fn crash(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.ended(Duration::from_secs(10))?;
        self.start_again()
    }

    /// Stops it in good order, and starts it again on the same data and ports.
    ///
    /// # Errors
    /// When it does not stop, or does not start; the error carries the end of its log.
    pub fn restart(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        match self.process.ended(Duration::from_secs(15))? {
            Some(0) => self.start_again(),
            code => Err(Error::unexpected("the issuer", format!("it ended with {code:?}"))),
        }
    }

    fn start_again(&mut self) -> Result<()> {
        self.process = launch(&self.binary, &self.config, &self.settings, self.process.log().to_owned())?;
        self.wait_until_healthy()
    }

    fn wait_until_healthy(&mut self) -> Result<()> {
        let client = Client::new(&self.public.url());
        self.process.ready(Duration::from_secs(30), || {
            client.get("/health").ok().filter(|reply| reply.status == 200)
        })?;
        Ok(())
    }

    /// What its command line answers, as JSON.
    ///
    /// # Errors
    /// With the issuer's own words when it refuses.
    pub fn ask(&self, args: &[&str]) -> Result<serde_json::Value> {
        let mut command = Command::new(&self.binary);
        crate::process::without_own_settings(&mut command);
        let output = command.arg("--config").arg(&self.config).args(args).output();
        let output = output.map_err(Error::io("run the issuer's command line"))?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Error::Command { command: format!("doorward-issuer {}", args.join(" ")), reason }
        })
    }

    /// The public listener, which is also the `iss` of its tokens.
    #[must_use]
    pub fn url(&self) -> String {
        token_issuer(self.public.number())
    }

    /// The public listener's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.public.number()
    }

    /// The management listener's port.
    #[must_use]
    pub fn management_port(&self) -> u16 {
        self.management.number()
    }

    /// The management listener.
    #[must_use]
    pub fn management_url(&self) -> String {
        self.management.url()
    }

    /// Makes a user with a role, by the command line.
    ///
    /// # Errors
    /// With the issuer's own words when it refuses.
    pub fn create_user(&self, email: &str, password: &str, role: &str) -> Result<()> {
        self.command(&["users", "create", "--email", email, "--role", role], password).map(drop)
    }

    /// Runs the issuer's command line beside it, and returns what it prints.
    ///
    /// # Errors
    /// With the issuer's own words when it refuses.
    pub fn command(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(&self.binary);
        crate::process::without_own_settings(&mut command);
        let mut child = command
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io("run the issuer's command line"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).map_err(Error::io("write to the issuer's command line"))?;
        }
        let output = child.wait_with_output().map_err(Error::io("run the issuer's command line"))?;
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            return Ok(told(&output.stdout));
        }
        let command = format!("doorward-issuer {}", arguments.join(" "));
        Err(Error::Command { command, reason: told(&output.stderr) })
    }
}

/// The `iss` of the issuer that listens on this port.
#[must_use]
pub fn token_issuer(port: u16) -> String {
    format!("http://localhost:{port}")
}

fn launch(binary: &Path, config: &Path, settings: &[(String, String)], log: PathBuf) -> Result<Running> {
    let launch = Launch::new("the issuer", binary, log);
    let launch = settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
    launch.args(["--config"]).args([config]).args(["serve"]).start()
}

/// The variable that overrides a setting. What is written in capitals is another program's variable, as it is.
fn variable(key: &str) -> String {
    if key.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
        return key.to_owned();
    }
    format!("DOORWARD_{}", key.replace('.', "__").to_uppercase())
}

fn configuration(setup: &Setup<'_>, management: u16) -> String {
    let public = setup.public.number();
    let issuer = token_issuer(public);
    let mut text = format!(
        "[server]\n\
         public = \"127.0.0.1:{public}\"\n\
         management = \"127.0.0.1:{management}\"\n\
         trusted_hops = 1 # Envoy\n\
         \n\
         [token]\n\
         issuer = \"{issuer}\"\n\n"
    );
    text.push_str(&match &setup.store {
        Store::Sqlite => format!("[store]\nurl = \"sqlite://{}\"\n", setup.dir.join("doorward.db").display()),
        Store::Mongodb { url, master_key } => {
            format!("[store]\nurl = \"{url}\"\n\n[keys]\nmaster_key = \"{master_key}\"\n")
        }
    });
    if let Some(cost) = setup.password_cost {
        text.push_str(&format!("\n[password]\ncost = {cost}\n"));
    }
    if let Some(events) = &setup.events {
        text.push_str(&format!("\n[events]\nurl = \"{}\"\nrequired = {:?}\n", events.url, events.required));
    }
    text
}
