use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::settings::Settings;
use super::{Algorithm, Events, Password, Secret, Server, Store, Telemetry, Token};
use crate::crypto::master_key::MasterKey;
use crate::crypto::password::DEFAULT_COST;
use crate::crypto::signer::MIN_SHARED_SECRET;
use crate::domain::event::Event;
use crate::domain::password::COSTS;
use crate::domain::policy::{DEFAULT_MIN_LENGTH, DEFAULT_MIN_SCORE};
use crate::events::broker::Broker;

pub(super) fn server(settings: &mut Settings) -> Server {
    let public = settings.take("server.public", SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)));
    let management = settings.take("server.management", SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)));
    let management_token = settings.take_secret("server.management_token");
    let trusted_hops = settings.take_if("server.trusted_hops", 0, "must be 16 at most", |hops| *hops <= 16);
    let max_connections =
        settings.take_if("server.max_connections", 2000, "must be between 16 and 1000000", |connections| {
            (16..=1_000_000).contains(connections)
        });
    Server { public, management, management_token, max_connections, trusted_hops }
}

pub(super) fn store(settings: &mut Settings) -> Store {
    const KEY: &str = "store.url";
    let url = settings.take_secret(KEY);
    let master_key = master_key(settings);
    let Some(url) = url else {
        settings.show(KEY, r#""sqlite://data/doorward.db""#);
        return Store::Sqlite { path: "data/doorward.db".into(), master_key };
    };
    if let Some(path) = url.expose().strip_prefix("sqlite://").filter(|path| !path.is_empty()) {
        // A path holds no password, so an operator may see it.
        settings.show(KEY, &format!("{:?}", url.expose()));
        return Store::Sqlite { path: path.into(), master_key };
    }
    match (url.expose().starts_with("mongodb://"), master_key) {
        (true, Some(master_key)) => return Store::MongoDb { url, master_key },
        (true, None) => settings.mistake(
            MASTER_KEY,
            "is required with MongoDB: 32 bytes in base64, as `openssl rand -base64 32` prints them",
        ),
        (false, _) => settings.mistake(KEY, "must be sqlite://PATH or mongodb://HOST:PORT/DATABASE"),
    }
    // Never used: the mistake ends the reading.
    Store::Sqlite { path: PathBuf::new(), master_key: None }
}

const MASTER_KEY: &str = "keys.master_key";

fn master_key(settings: &mut Settings) -> Option<Arc<MasterKey>> {
    let text = settings.take_secret(MASTER_KEY)?;
    let key = MasterKey::parse(text.expose());
    if let Err(error) = &key {
        settings.mistake(MASTER_KEY, &error.to_string());
    }
    key.ok().map(Arc::new)
}

pub(super) fn events(settings: &mut Settings) -> Option<Events> {
    const REQUIRED: &str = "events.required";
    const MAIL_EXCHANGE: &str = "events.mail_exchange";
    let url = settings.take_secret("events.url");
    let required: BTreeSet<String> = settings.take(REQUIRED, Vec::new()).into_iter().collect();
    for unknown in required.iter().filter(|name| !Event::KINDS.contains(&name.as_str())) {
        settings.mistake(REQUIRED, &format!("names {unknown:?}; the types are {}", Event::KINDS.join(", ")));
    }
    let mail_exchange = settings.take(MAIL_EXCHANGE, false);
    for (key, given) in [(REQUIRED, !required.is_empty()), (MAIL_EXCHANGE, mail_exchange)] {
        if url.is_none() && given {
            settings.mistake(key, "needs events.url");
        }
    }
    let broker = Broker::parse(url?.expose());
    let broker = broker.map_err(|error| settings.mistake("events.url", &error.to_string())).ok()?;
    Some(Events { broker, required, mail_exchange })
}

pub(super) fn token(settings: &mut Settings) -> Token {
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let issuer = settings.take_if(
        "token.issuer",
        "http://localhost:8080".to_owned(),
        "must be the URL clients know the issuer by, such as https://auth.example.test",
        |url| is_url(url),
    );
    let audiences = settings.take_if(
        "token.audiences",
        vec!["api".to_owned()],
        "must name one audience at least",
        |audiences| !audiences.is_empty(),
    );
    let client_id = settings.take("token.client_id", "first-party".to_owned());
    let algorithm = settings.take("token.algorithm", Algorithm::Es256);
    let secret = token_secret(settings, algorithm);
    let old_secret = old_token_secret(settings, algorithm);
    let access_ttl = settings.take_if("token.access_ttl", 15 * MINUTE, "must be between 1m and 60m", |ttl| {
        (MINUTE..=HOUR).contains(ttl)
    });
    let refresh_ttl = settings.take("token.refresh_ttl", 24 * HOUR);
    let session_ttl = settings.take("token.session_ttl", 30 * 24 * HOUR);
    if refresh_ttl < access_ttl {
        settings.mistake("token.refresh_ttl", "must not be shorter than token.access_ttl");
    }
    if session_ttl < refresh_ttl || session_ttl > 3650 * 24 * HOUR {
        settings.mistake("token.session_ttl", "must be between token.refresh_ttl and 3650d");
    }
    Token {
        issuer,
        audiences,
        client_id,
        algorithm,
        secret,
        old_secret,
        access_ttl,
        refresh_ttl,
        session_ttl,
    }
}

fn token_secret(settings: &mut Settings, algorithm: Algorithm) -> Option<Secret> {
    const KEY: &str = "token.secret";
    let secret = settings.take_secret(KEY);
    match &secret {
        None if algorithm == Algorithm::Hs256 => {
            settings.mistake(KEY, "is required by token.algorithm = HS256: 32 bytes at least");
        }
        Some(_) if algorithm != Algorithm::Hs256 => {
            settings
                .mistake(KEY, "is used by token.algorithm = HS256 alone; remove it or choose that algorithm");
        }
        Some(secret) if secret.expose().len() < MIN_SHARED_SECRET => {
            settings.mistake(KEY, "must be 32 bytes at least");
        }
        _ => {}
    }
    secret
}

/// The one before, for as long as tokens of it are about.
fn old_token_secret(settings: &mut Settings, algorithm: Algorithm) -> Option<Secret> {
    const KEY: &str = "token.old_secret";
    let secret = settings.take_secret(KEY)?;
    if algorithm != Algorithm::Hs256 {
        settings.mistake(KEY, "is used by token.algorithm = HS256 alone; remove it");
    } else if secret.expose().len() < MIN_SHARED_SECRET {
        settings.mistake(KEY, "must be 32 bytes at least");
    }
    Some(secret)
}

pub(super) fn rotate_keys_every(settings: &mut Settings) -> Duration {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let allowed = HOUR..=3650 * 24 * HOUR;
    settings.take_if("keys.rotate_every", 30 * 24 * HOUR, "must be between 1h and 3650d", |interval| {
        allowed.contains(interval)
    })
}

pub(super) fn password(settings: &mut Settings) -> Password {
    let (cheapest, dearest) = (COSTS.start(), COSTS.end());
    let cost = settings.take_if(
        "password.cost",
        DEFAULT_COST,
        &format!("must be between {cheapest} and {dearest}"),
        |cost| COSTS.contains(cost),
    );
    let min_length =
        settings.take_if("password.min_length", DEFAULT_MIN_LENGTH, "must be between 8 and 256", |length| {
            (8..=256).contains(length)
        });
    let min_score =
        settings
            .take_if("password.min_score", DEFAULT_MIN_SCORE, "must be between 0 and 4", |score| *score <= 4);
    let blocklist = settings.take_optional::<PathBuf>("password.blocklist");
    let blocklist = blocklist.map(|path| lines(settings, "password.blocklist", &path)).unwrap_or_default();
    let threads = settings.take_optional::<usize>("password.threads");
    if threads.is_some_and(|threads| !(1..=256).contains(&threads)) {
        settings.mistake("password.threads", "must be between 1 and 256");
    }
    let queue = settings
        .take_if("password.queue", 64, "must be between 1 and 65536", |queue| (1..=65_536).contains(queue));
    Password { cost, min_length, min_score, blocklist, threads, queue }
}

pub(super) fn telemetry(settings: &mut Settings) -> Telemetry {
    let log = settings.take_if(
        "telemetry.log",
        "info".to_owned(),
        "must be a level (error, warn, info, debug, trace) or target=level pairs separated by commas",
        |filter| EnvFilter::try_new(filter).is_ok(),
    );
    let format = settings.take_optional("telemetry.format");
    Telemetry { log, format, otlp_endpoint: otlp_endpoint(settings) }
}

fn otlp_endpoint(settings: &mut Settings) -> Option<String> {
    const KEY: &str = "telemetry.otlp_endpoint";
    let endpoint = settings.take_optional::<String>(KEY);
    // The settings in force are printed, so there is no place for a password.
    if endpoint.as_ref().is_some_and(|url| !is_url(url) || url.contains('@')) {
        settings
            .mistake(KEY, "must be the collector's URL, such as http://localhost:4318, without a user name");
    }
    endpoint
}

fn lines(settings: &mut Settings, key: &str, path: &Path) -> Vec<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        Err(error) => {
            settings.mistake(key, &format!("names a file that cannot be read ({})", error.kind()));
            Vec::new()
        }
    }
}

pub(super) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(|byte| byte.is_ascii_graphic())
    }) && !text.contains(['?', '#'])
}
