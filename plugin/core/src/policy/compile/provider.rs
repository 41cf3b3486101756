use std::collections::BTreeMap;
use std::time::Duration;

use crate::keys::{Algorithm, KeySet};
use crate::policy::config::{ConfigError, KeySource, Provider, RevocationSource, Secret, TokenType};
use crate::policy::schema::{
    ClaimPaths, KeysConfig, ProviderConfig, RemoteKeys, RevocationConfig, WrittenPath,
};
use crate::token::{ClaimMap, ClaimPath};

pub(super) fn compile(
    index: usize,
    at: &str,
    config: ProviderConfig,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Provider, ConfigError> {
    let fail = |key: &str, message: &str| Err(ConfigError::new(format!("{at}.{key}"), message));
    if config.name.is_empty() || !config.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    {
        return fail("name", "a name is made of letters, digits, - and _");
    }
    if config.issuer.is_empty() {
        return fail("issuer", "must not be empty");
    }
    if config.audiences.is_empty() || config.audiences.iter().any(String::is_empty) {
        return fail("audiences", "at least one audience is needed, and none may be empty");
    }
    if config.clock_skew > Duration::from_secs(300) {
        return fail("clock_skew", "at most 5m");
    }
    if config.max_lifetime.is_zero() {
        return fail("max_lifetime", "must be longer than 0s");
    }
    let algorithms = compile_algorithms(at, &config.algorithms)?;
    let token_type = match config.token_type.to_ascii_lowercase().as_str() {
        "at+jwt" => TokenType::Exactly("at+jwt"),
        "jwt" => TokenType::Exactly("jwt"),
        "any" => TokenType::Any,
        _ => return fail("token_type", "expected at+jwt, JWT or any"),
    };
    Ok(Provider {
        name: config.name.into(),
        index,
        issuer: config.issuer.into(),
        audiences: config.audiences.into_iter().map(Into::into).collect(),
        keys: compile_keys(&format!("{at}.keys"), config.keys, &algorithms, variable)?,
        algorithms,
        token_type,
        clock_skew: config.clock_skew,
        max_lifetime: config.max_lifetime,
        claims: ClaimMap::new(compile_claims(at, config.claims)?),
        revocation: config.revocation.map(|feed| compile_revocation(at, feed, variable)).transpose()?,
    })
}

fn compile_algorithms(at: &str, names: &[String]) -> Result<Vec<Algorithm>, ConfigError> {
    let mut algorithms = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let fail = |message| ConfigError::new(format!("{at}.algorithms[{index}]"), message);
        let known = || Algorithm::ALL.map(Algorithm::name).join(", ");
        let algorithm = Algorithm::parse(name).ok_or_else(|| fail(format!("expected one of {}", known())))?;
        if algorithms.contains(&algorithm) {
            return Err(fail("stands twice".to_owned()));
        }
        algorithms.push(algorithm);
    }
    let shared = algorithms.iter().filter(|a| a.is_shared_secret()).count();
    if algorithms.is_empty() || (shared != 0 && shared != algorithms.len()) {
        let message = "either HS algorithms or others, and at least one";
        return Err(ConfigError::new(format!("{at}.algorithms"), message));
    }
    Ok(algorithms)
}

fn compile_keys(
    at: &str,
    config: KeysConfig,
    algorithms: &[Algorithm],
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<KeySource, ConfigError> {
    let shared = algorithms.iter().any(|a| a.is_shared_secret());
    match (config.remote, config.inline, config.secret_env) {
        (Some(_), None, None) | (None, Some(_), None) if shared => {
            Err(ConfigError::new(at, "HS algorithms need secret_env"))
        }
        (Some(remote), None, None) => check_remote(at, remote).map(KeySource::Remote),
        (None, Some(jwks), None) => {
            let keys = KeySet::from_jwks(jwks.as_bytes(), algorithms)
                .map_err(|error| ConfigError::new(format!("{at}.inline"), error.to_string()))?;
            match keys.refused() {
                0 => Ok(KeySource::Fixed(Some(keys))),
                n => Err(ConfigError::new(format!("{at}.inline"), format!("{n} of the keys cannot be used"))),
            }
        }
        (None, None, Some(_)) if !shared => {
            Err(ConfigError::new(format!("{at}.secret_env"), "is for HS algorithms"))
        }
        (None, None, Some(names)) => compile_secrets(at, &names, algorithms, variable),
        _ => Err(ConfigError::new(at, "exactly one of remote, inline and secret_env is needed")),
    }
}

fn check_remote(at: &str, remote: RemoteKeys) -> Result<RemoteKeys, ConfigError> {
    let fail = |key: &str, message: &str| Err(ConfigError::new(format!("{at}.remote.{key}"), message));
    if remote.cluster.is_empty() {
        return fail("cluster", "must not be empty");
    }
    if remote.authority.is_empty() {
        return fail("authority", "must not be empty");
    }
    if !remote.path.starts_with('/') {
        return fail("path", "must start with /");
    }
    if remote.refresh < Duration::from_secs(1) {
        return fail("refresh", "at least 1s");
    }
    if remote.timeout.is_zero() || remote.timeout > Duration::from_secs(60) {
        return fail("timeout", "more than 0s and at most 60s");
    }
    if remote.stale_for < remote.refresh {
        return fail("stale_for", "must not be shorter than refresh");
    }
    Ok(remote)
}

fn compile_revocation(
    at: &str,
    config: RevocationConfig,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<RevocationSource, ConfigError> {
    let fail = |key: &str, message: &str| ConfigError::new(format!("{at}.revocation.{key}"), message);
    if config.cluster.is_empty() {
        return Err(fail("cluster", "must not be empty"));
    }
    if !config.path.starts_with('/') || config.path.contains(['?', '#']) {
        return Err(fail("path", "must start with /, and have no query"));
    }
    if config.max_stale < Duration::from_secs(4) {
        return Err(fail("max_stale", "at least 4s"));
    }
    let token = |name: String| {
        let token = variable(&name).ok_or_else(|| fail("token_env", &is_not_set(&name)))?;
        // It becomes a header's value.
        let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let problem = || fail("token_env", &format!("{name} is empty, or holds more than visible ASCII"));
        fits.then_some(Secret(token)).ok_or_else(problem)
    };
    Ok(RevocationSource {
        token: config.token_env.map(token).transpose()?,
        cluster: config.cluster,
        path: config.path,
        max_stale: config.max_stale,
        when_stale: config.when_stale,
    })
}

fn is_not_set(variable: &str) -> String {
    format!("the environment variable {variable} is not set for this VM; see vm_config.environment_variables")
}

fn compile_secrets(
    at: &str,
    names: &[String],
    algorithms: &[Algorithm],
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<KeySource, ConfigError> {
    if names.is_empty() || names.len() > 2 {
        return Err(ConfigError::new(format!("{at}.secret_env"), "one or two environment variables"));
    }
    let mut secrets = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let fail = |message| ConfigError::new(format!("{at}.secret_env[{index}]"), message);
        let secret = variable(name).ok_or_else(|| fail(is_not_set(name)))?;
        if KeySet::from_secrets(&[secret.clone().into_bytes()], algorithms).is_none() {
            return Err(fail(format!("the secret in {name} is shorter than 32 bytes")));
        }
        secrets.push(secret.into_bytes());
    }
    Ok(KeySource::Fixed(KeySet::from_secrets(&secrets, algorithms)))
}

fn compile_claims(
    at: &str,
    claims: BTreeMap<String, ClaimPaths>,
) -> Result<Vec<(String, Vec<ClaimPath>)>, ConfigError> {
    let mut compiled = Vec::new();
    for (name, paths) in claims {
        let paths = match paths {
            ClaimPaths::One(path) => vec![WrittenPath::Dotted(path)],
            ClaimPaths::Several(paths) => paths,
        };
        let paths: Vec<ClaimPath> = paths
            .into_iter()
            .map(|path| match path {
                WrittenPath::Dotted(path) => path.split('.').map(str::to_owned).collect(),
                WrittenPath::Names(names) => names,
            })
            .collect();
        if paths.is_empty() || paths.iter().any(|p| p.is_empty() || p.iter().any(String::is_empty)) {
            return Err(ConfigError::new(format!("{at}.claims.{name}"), "a claim path must not be empty"));
        }
        if name == "provider" {
            return Err(ConfigError::new(
                format!("{at}.claims.{name}"),
                "is not a claim: the gateway says it itself",
            ));
        }
        compiled.push((name, paths));
    }
    Ok(compiled)
}
