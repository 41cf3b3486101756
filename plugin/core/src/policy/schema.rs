//! The configuration's own shape, field by field as in `docs/configuration.md`. Nothing in here is trusted until
//! [`super::Policy::compile`] has gone through it.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A gateway configuration as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub(super) providers: Vec<ProviderConfig>,
    #[serde(default = "default_token_sources")]
    pub(super) token_sources: Vec<TokenSourceConfig>,
    #[serde(default)]
    pub(super) allowed_origins: Vec<String>,
    pub(super) headers: Option<BTreeMap<String, String>>,
    pub(super) rules: Vec<RuleConfig>,
    #[serde(default)]
    pub(super) cors_preflight: CorsPreflight,
    #[serde(default)]
    pub(super) cache: CacheConfig,
    #[serde(default)]
    pub(super) access_log: bool,
    #[serde(default)]
    pub(super) mode: Mode,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderConfig {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    #[serde(default = "default_algorithms")]
    pub(super) algorithms: Vec<String>,
    #[serde(default = "default_token_type")]
    pub(super) token_type: String,
    pub(super) keys: KeysConfig,
    #[serde(default = "seconds::<30>", deserialize_with = "duration")]
    pub(super) clock_skew: Duration,
    #[serde(default = "seconds::<3600>", deserialize_with = "duration")]
    pub(super) max_lifetime: Duration,
    #[serde(default)]
    pub(super) claims: BTreeMap<String, ClaimPaths>,
    pub(super) revocation: Option<RevocationConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysConfig {
    pub(super) remote: Option<RemoteKeys>,
    pub(super) inline: Option<String>,
    pub(super) secret_env: Option<Vec<String>>,
}

/// Where and when a provider's keys are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteKeys {
    /// The Envoy cluster to ask.
    pub cluster: String,
    /// The path of the JWKS document.
    pub path: String,
    /// The `:authority` sent with the request.
    pub authority: String,
    /// How long fetched keys are used before they are fetched again.
    #[serde(default = "seconds::<300>", deserialize_with = "duration")]
    pub refresh: Duration,
    /// How long one fetch may take.
    #[serde(default = "seconds::<2>", deserialize_with = "duration")]
    pub timeout: Duration,
    /// How long keys stay in use while they cannot be fetched again.
    #[serde(default = "seconds::<86400>", deserialize_with = "duration")]
    pub stale_for: Duration,
}

/// Where a provider says which of its tokens are dead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevocationConfig {
    pub(super) cluster: String,
    pub(super) path: String,
    pub(super) token_env: Option<String>,
    #[serde(default = "seconds::<60>", deserialize_with = "duration")]
    pub(super) max_stale: Duration,
    #[serde(default)]
    pub(super) when_stale: WhenStale,
}

/// What happens to tokens while nobody can say whether they are dead.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenStale {
    /// They are refused.
    #[default]
    Deny,
    /// They count, unless they are known to be dead.
    Allow,
}

/// Where a claim is found: one path, or several of which the first that exists counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a claim path, or a list of claim paths")]
pub(super) enum ClaimPaths {
    One(String),
    Several(Vec<WrittenPath>),
}

/// `a.b` for a claim in a claim; a list of names where a name itself has dots.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a claim path or a list of names")]
pub(super) enum WrittenPath {
    Dotted(String),
    Names(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokenSourceConfig {
    Header(String),
    Cookie(String),
    Query(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleConfig {
    pub(super) path: String,
    pub(super) methods: Option<Vec<String>>,
    pub(super) allow: Allow,
    pub(super) providers: Option<Vec<String>>,
    #[serde(default)]
    pub(super) forward_token: bool,
}

#[derive(Debug)]
pub(super) enum Allow {
    Public,
    Optional,
    Authenticated,
    Deny,
    Expression(Expression),
}

impl<'de> Deserialize<'de> for Allow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AllowVisitor)
    }
}

/// A word or an expression. By hand, because serde's untagged enums would swallow where the mistake is.
struct AllowVisitor;

impl<'de> Visitor<'de> for AllowVisitor {
    type Value = Allow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("public, optional, authenticated, deny or an expression such as {role: admin}")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Allow, E> {
        match word {
            "public" => Ok(Allow::Public),
            "optional" => Ok(Allow::Optional),
            "authenticated" => Ok(Allow::Authenticated),
            "deny" => Ok(Allow::Deny),
            _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Allow, A::Error> {
        Expression::deserialize(MapAccessDeserializer::new(map)).map(Allow::Expression)
    }
}

/// What a rule demands of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expression {
    Role(String),
    Permission(String),
    Owner(String),
    Provider(String),
    AnyOf(Vec<Expression>),
    AllOf(Vec<Expression>),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CorsPreflight {
    Allow,
    #[default]
    Deny,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CacheConfig {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { entries: 10_000, bytes: 8 * 1024 * 1024 }
    }
}

/// Whether refusals are carried out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A refused request gets its answer from the gateway.
    #[default]
    Enforce,
    /// A refused request is counted and logged, and goes on without an identity.
    Shadow,
}

fn default_token_sources() -> Vec<TokenSourceConfig> {
    vec![TokenSourceConfig::Header("authorization".to_owned())]
}

fn default_algorithms() -> Vec<String> {
    vec!["ES256".to_owned()]
}

fn default_token_type() -> String {
    "at+jwt".to_owned()
}

fn seconds<const N: u64>() -> Duration {
    Duration::from_secs(N)
}

/// `250ms`, `30s`, `5m`, `24h`: one whole number and one unit, so that nothing is left to read into it.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text)
        .ok_or_else(|| de::Error::custom(format!("{text:?} is not a duration such as 250ms, 30s, 5m or 24h")))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let number: u64 = number.parse().ok()?;
    let in_seconds = |factor| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => in_seconds(1),
        "m" => in_seconds(60),
        "h" => in_seconds(3600),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, want) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(want)), "{text}");
        }
        for text in
            ["", "5", "s", "1.5s", "-1s", "1h30m", "5 m", "99999999999999999999s", "6000000000000000h", "1d"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
