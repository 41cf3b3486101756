//! A policy: a configuration that can be acted on. Only `compile` makes one.

use serde_json::Value;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::headers::HeaderPlan;
use super::rule::Rules;
use super::schema::{Config, Mode, RemoteKeys, WhenStale};
use crate::keys::{Algorithm, KeySet};
use crate::token::{ClaimMap, TokenSource};

/// A mistake in the configuration, and the path of the key where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// For example `providers[0].keys.remote.cluster`.
    pub path: String,
    /// What is wrong, for the operator.
    pub message: String,
}

impl ConfigError {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for ConfigError {}

/// A configuration that can be acted on.
#[derive(Debug)]
pub struct Policy {
    pub(crate) providers: Vec<Provider>,
    pub(crate) sources: Vec<TokenSource>,
    pub(crate) allowed_origins: Vec<Box<str>>,
    pub(crate) headers: HeaderPlan,
    pub(crate) rules: Rules,
    pub(crate) preflight_passes: bool,
    pub(crate) cache: (usize, usize),
    pub(crate) mode: Mode,
    pub(super) access_log: bool,
}

/// Somebody whose tokens are accepted.
#[derive(Debug)]
pub struct Provider {
    pub(super) name: Rc<str>,
    pub(super) index: usize,
    pub(super) issuer: Box<str>,
    pub(super) audiences: Vec<Box<str>>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) token_type: TokenType,
    pub(super) keys: KeySource,
    pub(super) clock_skew: Duration,
    pub(super) max_lifetime: Duration,
    pub(super) claims: ClaimMap,
    pub(super) revocation: Option<RevocationSource>,
}

/// Where a provider's keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// Fetched, and fetched again.
    Remote(RemoteKeys),
    /// Given once and for all; taken out when the gate is built.
    Fixed(Option<KeySet>),
}

/// Where a provider says which of its tokens are dead, and what that is worth.
#[derive(Debug)]
pub struct RevocationSource {
    /// The Envoy cluster to ask.
    pub cluster: String,
    /// The path of the feed, without a query.
    pub path: String,
    /// What to show the feed.
    pub token: Option<Secret>,
    /// How old the knowledge may get.
    pub max_stale: Duration,
    /// What happens when it is older.
    pub when_stale: WhenStale,
}

/// Something that must not be shown.
pub struct Secret(pub(super) String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The media type that a provider's tokens carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenType {
    /// This one, in lower case.
    Exactly(&'static str),
    /// Any JWT, or none said.
    Any,
}

impl TokenType {
    /// Whether a token's `typ`, in lower case, will do.
    pub(crate) fn accepts(&self, typ: Option<&str>) -> bool {
        match self {
            Self::Exactly(want) => typ == Some(want),
            Self::Any => typ.is_none_or(|typ| typ == "jwt" || typ.ends_with("+jwt")),
        }
    }
}

#[expect(missing_docs, reason = "each returns the configuration key of its name")]
impl Provider {
    pub fn name(&self) -> &Rc<str> {
        &self.name
    }

    pub fn index(&self) -> usize {
        self.index
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn audiences(&self) -> &[Box<str>] {
        &self.audiences
    }

    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    pub fn token_type(&self) -> &TokenType {
        &self.token_type
    }

    pub fn clock_skew(&self) -> Duration {
        self.clock_skew
    }

    pub fn max_lifetime(&self) -> Duration {
        self.max_lifetime
    }

    pub fn claims(&self) -> &ClaimMap {
        &self.claims
    }

    pub fn revocation(&self) -> Option<&RevocationSource> {
        self.revocation.as_ref()
    }

    pub fn remote_keys(&self) -> Option<&RemoteKeys> {
        match &self.keys {
            KeySource::Remote(remote) => Some(remote),
            KeySource::Fixed(_) => None,
        }
    }

    pub(crate) fn take_fixed_keys(&mut self) -> Option<KeySet> {
        match &mut self.keys {
            KeySource::Remote(_) => None,
            KeySource::Fixed(keys) => keys.take(),
        }
    }
}

impl Config {
    /// Reads a configuration's shape.
    ///
    /// # Errors
    /// A [`ConfigError`] for an unknown key, a missing one, or a value of the wrong type.
    pub fn read(value: Value) -> Result<Self, ConfigError> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = match error.path().to_string() {
                path if path == "." => String::new(),
                path => path,
            };
            let message = error.into_inner().to_string();
            // serde knows the name of what is missing or unknown, but counts it to the object around it.
            let quoted = |prefix| message.strip_prefix(prefix)?.split('`').next().map(str::to_owned);
            let inner = |name: &str| {
                [path.as_str(), name].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(".")
            };
            match (quoted("missing field `"), quoted("unknown field `")) {
                (Some(name), _) => ConfigError::new(inner(&name), "missing"),
                (_, Some(name)) if !path.ends_with(&name) => ConfigError::new(inner(&name), "unknown key"),
                (_, Some(_)) => ConfigError::new(path, "unknown key"),
                _ => ConfigError::new(path, message),
            }
        })
    }
}

impl Policy {
    /// The providers, in the order of the configuration.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The rules, in the order of the configuration.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Which headers are injected, and which are protected.
    pub fn headers(&self) -> &HeaderPlan {
        &self.headers
    }

    /// Whether the user id is to be put where access logs can read it.
    pub fn access_log(&self) -> bool {
        self.access_log
    }

    /// Whether refusals are carried out.
    pub fn mode(&self) -> Mode {
        self.mode
    }
}
