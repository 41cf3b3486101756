//! The operator's settings: one TOML file, overridden by `DOORWARD_SECTION__KEY` variables.
//!
//! Nothing is silently ignored: an unknown key, a value of the wrong shape and a key that this version cannot honour are all
//! mistakes, every mistake names its key, and all of them are reported together. The environment is an argument, so that a
//! test can bring its own. `docs/configuration.md` describes every key.

/// `limits.*` and `alerts.*`.
mod limits;
/// `mail.*`, and what needs mails.
mod mail;
/// Section by section: which keys there are, their defaults, and what a value must be.
mod read;
/// The roles that there are from the start.
mod roles;
/// Text that must not be printed.
mod secret;
/// File and environment, before anyone knows what they mean.
mod settings;
/// How one value is read.
mod value;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::secret::Secret;
pub use self::settings::Mistake;

use self::settings::Settings;
use crate::crypto::master_key::MasterKey;
use crate::domain::alert::Hours;
use crate::domain::guard::Limits;
use crate::domain::role::Role;
use crate::events::broker::Broker;
use crate::mail::sender::Letterhead;
use crate::mail::server::SmtpServer;

/// Everything the issuer was told, checked. Without `Debug`; see [`Config::effective`].
pub struct Config {
    /// `server.*`
    pub server: Server,
    /// `store.url`, and `keys.master_key` with it.
    pub store: Store,
    /// `events.*`; none if nobody is to be told.
    pub events: Option<Events>,
    /// `token.*`
    pub token: Token,
    /// `keys.rotate_every`
    pub rotate_keys_every: Duration,
    /// `password.*`
    pub password: Password,
    /// `limits.*`
    pub limits: Limits,
    /// `alerts.hours`
    pub alert_hours: Option<Hours>,
    /// `registration.open`
    pub registration_open: bool,
    /// `registration.confirm_email`
    pub confirm_email: bool,
    /// `login.require_verified_email`
    pub require_verified_email: bool,
    /// `mail.*`; without it no mail goes out.
    pub mail: Option<Mail>,
    /// `roles`: made at start, beside `user` and `admin`.
    pub roles: Vec<Role>,
    /// `telemetry.*`
    pub telemetry: Telemetry,
    effective: Vec<(&'static str, String)>,
}

/// The listeners.
#[derive(Debug)]
pub struct Server {
    /// Where clients and the gateway connect.
    pub public: SocketAddr,
    /// Where the operator's tools connect.
    pub management: SocketAddr,
    /// The bearer the management listener asks for.
    pub management_token: Option<Secret>,
    /// Connections that a listener has at once.
    pub max_connections: usize,
    /// How many proxies in front may be believed about the client's address.
    pub trusted_hops: usize,
}

/// Where users and sessions are kept, and what seals the keys in there.
pub enum Store {
    /// A file, made when missing.
    Sqlite {
        /// Where it is.
        path: PathBuf,
        /// Without one, there is one beside the database.
        master_key: Option<Arc<MasterKey>>,
    },
    /// A replica set.
    MongoDb {
        /// Where it is; may hold a password.
        url: Secret,
        /// Replicas have no file in common, so it has to be given to all of them.
        master_key: Arc<MasterKey>,
    },
}

/// Who is told what happens. Without `Debug`: the broker's URL holds a password.
pub struct Events {
    /// Where the broker is.
    pub broker: Broker,
    /// Types that somebody must have a queue for.
    pub required: BTreeSet<String>,
    /// Whether mail jobs are published there as well, for another service to send.
    pub mail_exchange: bool,
}

/// What goes into tokens, and how long they live.
#[derive(Debug)]
pub struct Token {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim.
    pub audiences: Vec<String>,
    /// The `client_id` claim.
    pub client_id: String,
    /// How tokens are signed.
    pub algorithm: Algorithm,
    /// The HS256 secret; present with that algorithm and only then.
    pub secret: Option<Secret>,
    /// The secret before that one, whose tokens still count.
    pub old_secret: Option<Secret>,
    /// The lifetime of an access token.
    pub access_ttl: Duration,
    /// How long a refresh token may lie unused.
    pub refresh_ttl: Duration,
    /// How long a session lives at most.
    pub session_ttl: Duration,
}

/// How access tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256.
    Es256,
    /// RSA with 2048 bits.
    Rs256,
    /// Ed25519.
    EdDsa,
    /// A secret shared with every verifier.
    Hs256,
}

/// What a password must be, and what hashing one costs.
#[derive(Debug)]
pub struct Password {
    /// The bcrypt cost.
    pub cost: u32,
    /// The least number of characters.
    pub min_length: usize,
    /// The least zxcvbn score, 0 to 4.
    pub min_score: u8,
    /// Passwords that are refused whatever their score.
    pub blocklist: Vec<String>,
    /// Hashing threads; as many as the CPU quota allows when not given.
    pub threads: Option<usize>,
    /// How many hashes may wait.
    pub queue: usize,
}

/// Where mails go, and what they say about us.
pub enum Mail {
    /// To a mail server.
    Smtp {
        /// Takes them.
        server: SmtpServer,
        /// Who writes, and where links lead.
        letterhead: Letterhead,
    },
    /// To the broker, for another service to send.
    Exchange {
        /// Where it is.
        broker: Broker,
        /// Where links lead, if we are to say so.
        base_url: Option<String>,
    },
}

/// What is logged, and how.
#[derive(Debug)]
pub struct Telemetry {
    /// The filter: a level, or `target=level` pairs.
    pub log: String,
    /// The form; JSON off a terminal when not given.
    pub format: Option<LogFormat>,
    /// The OpenTelemetry collector to send spans to, if any.
    pub otlp_endpoint: Option<String>,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has mistakes:\n{}", .mistakes.iter().map(|mistake| format!("  {mistake}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// All of them.
    pub mistakes: Vec<Mistake>,
}

impl Config {
    /// Reads the file, lays the environment over it, and checks every value.
    ///
    /// # Errors
    /// All mistakes at once, each with its key.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::collect(file, environment);
        let server = read::server(&mut settings);
        let store = read::store(&mut settings);
        let events = read::events(&mut settings);
        let token = read::token(&mut settings);
        let rotate_keys_every = read::rotate_keys_every(&mut settings);
        let password = read::password(&mut settings);
        let limits = limits::limits(&mut settings);
        let alert_hours = limits::hours(&mut settings);
        let registration_open = settings.take("registration.open", true);
        let mail = mail::mail(&mut settings, events.as_ref());
        let confirm_email = mail::needs_mail(&mut settings, "registration.confirm_email", mail.as_ref());
        let require_verified_email =
            mail::needs_mail(&mut settings, "login.require_verified_email", mail.as_ref());
        let roles = roles::roles(&mut settings);
        let telemetry = read::telemetry(&mut settings);
        let effective = settings.finish().map_err(|mistakes| ConfigError { mistakes })?;
        Ok(Self {
            server,
            store,
            events,
            token,
            rotate_keys_every,
            password,
            limits,
            alert_hours,
            registration_open,
            confirm_email,
            require_verified_email,
            mail,
            roles,
            telemetry,
            effective,
        })
    }

    /// Every key with the value in force, secrets masked.
    pub fn effective(&self) -> &[(&'static str, String)] {
        &self.effective
    }
}

#[cfg(test)]
mod tests;
