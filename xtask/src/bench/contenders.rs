use std::path::Path;

use doorward_tests::ports::Port;
use serde_json::{Value, json};

use super::Error;
use super::tokens::{AUDIENCE, Algorithm, ISSUER, ROLE, Signer};

/// The path of every request that is measured.
pub(super) const PATH: &str = "/orders/17";
/// The same rule and filters, but the answer shows what the service would have been told.
pub(super) const ECHO_PATH: &str = "/orders/echo";
/// What both kinds of filter put into headers: header, and claim.
pub(super) const HEADERS: [(&str, &str); 5] = [
    ("x-user-id", "sub"),
    ("x-user-email", "email"),
    ("x-user-roles", "roles"),
    ("x-user-permissions", "permissions"),
    ("x-session-id", "sid"),
];
/// The variable that hands the plugin its shared secret.
pub(super) const SECRET_ENV: &str = "DOORWARD_BENCH_SECRET";

/// The bound of the plugin's cache, and of the native one where it is on.
pub(super) const CACHE_ENTRIES: usize = 10_000;
const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// How many sessions are dead, none of them that of a token here.
pub(super) const REVOCATIONS: usize = 100_000;

/// What stands between the client and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filters {
    None,
    /// `jwt_authn`, then `rbac`.
    Native {
        cache: bool,
    },
    /// Doorward, where the rule that matches is the last of so many, with or without revocations to look through.
    Plugin {
        rules: usize,
        cache_bytes: usize,
        revocations: bool,
    },
}

impl Filters {
    pub(super) const NATIVE: Self = Self::Native { cache: false };
    pub(super) const NATIVE_CACHED: Self = Self::Native { cache: true };
    pub(super) const PLUGIN: Self = Self::plugin(1);
    /// Following a feed of [`REVOCATIONS`].
    pub(super) const PLUGIN_REVOKED: Self =
        Self::Plugin { rules: 1, cache_bytes: CACHE_BYTES, revocations: true };
    /// The same, with room for all entries, whatever the tokens' length.
    pub(super) const PLUGIN_FULL: Self =
        Self::Plugin { rules: 1, cache_bytes: 8 * CACHE_BYTES, revocations: true };

    pub(super) const fn plugin(rules: usize) -> Self {
        Self::Plugin { rules, cache_bytes: CACHE_BYTES, revocations: false }
    }

    pub(super) fn follows_a_feed(self) -> bool {
        matches!(self, Self::Plugin { revocations: true, .. })
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::None => "no filter".to_owned(),
            Self::NATIVE => "jwt_authn + rbac".to_owned(),
            Self::Native { .. } => "jwt_authn + rbac, token cache on".to_owned(),
            Self::PLUGIN => "Doorward".to_owned(),
            Self::Plugin { revocations: true, .. } => format!("Doorward, {REVOCATIONS} revocations"),
            Self::Plugin { rules, .. } => format!("Doorward, {rules} rules"),
        }
    }
}

/// One listener of the one Envoy.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) filters: Filters,
    pub(super) algorithm: Algorithm,
    pub(super) port: Port,
}

impl Contender {
    pub(super) fn new(filters: Filters, signer: &Signer) -> Result<Self, Error> {
        Ok(Self { filters, algorithm: signer.algorithm, port: Port::any()? })
    }

    pub(super) fn name(&self) -> String {
        format!("{}, {}", self.algorithm.name(), self.filters.name())
    }

    pub(super) fn listener(&self, signer: &Signer, module: &Path) -> Result<Value, Error> {
        let mut filters = match self.filters {
            Filters::None => vec![],
            Filters::Native { cache } => vec![jwt_authn(signer, cache)?, rbac()],
            Filters::Plugin { rules, cache_bytes, revocations } => {
                let mut settings = settings(signer, rules, cache_bytes)?;
                if revocations {
                    settings["providers"][0]["revocation"] =
                        json!({"cluster": "feed", "path": "/revocations", "token_env": SECRET_ENV});
                }
                // A VM of its own, so that nobody's cache or garbage is somebody else's.
                vec![plugin(&self.port.number().to_string(), module, &settings)]
            }
        };
        filters.push(json!({
            "name": "router",
            "typed_config": {"@type": type_url("extensions.filters.http.router.v3.Router")},
        }));
        Ok(listener(self.port.number(), &filters))
    }
}

/// Envoy's whole configuration.
pub(super) fn bootstrap(admin: &Port, listeners: &[Value], feed: u16) -> Value {
    let endpoint = json!({"endpoint": {"address": address(feed)}});
    let feed = json!({
        "name": "feed",
        "load_assignment": {"cluster_name": "feed", "endpoints": [{"lb_endpoints": [endpoint]}]},
    });
    json!({
        "admin": {"address": address(admin.number())},
        "static_resources": {"listeners": listeners, "clusters": [feed]},
    })
}

fn listener(port: u16, filters: &[Value]) -> Value {
    let seen = HEADERS.map(
        |(name, _)| json!({"header": {"key": format!("seen-{name}"), "value": format!("%REQ({name})%")}}),
    );
    let routes = json!([
        {"match": {"path": ECHO_PATH}, "direct_response": {"status": 200}, "response_headers_to_add": seen},
        {"match": {"prefix": "/"}, "direct_response": {"status": 200}},
    ]);
    let manager = json!({
        "@type": type_url("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": format!("port_{port}"),
        "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    });
    json!({
        "name": format!("port_{port}"),
        "address": address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    })
}

fn jwt_authn(signer: &Signer, cache: bool) -> Result<Value, Error> {
    let mut provider = json!({
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": signer.jwks()?},
        "clock_skew_seconds": 30,
        "payload_in_metadata": "claims",
        "claim_to_headers":
            HEADERS.map(|(header, claim)| json!({"header_name": header, "claim_name": claim})),
    });
    if cache {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": CACHE_ENTRIES});
    }
    Ok(json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": type_url("extensions.filters.http.jwt_authn.v3.JwtAuthentication"),
            "providers": {"doorward": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "doorward"}}],
        },
    }))
}

fn rbac() -> Value {
    let role = json!({
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{"key": "claims"}, {"key": "roles"}],
        "value": {"list_match": {"one_of": {"string_match": {"exact": ROLE}}}},
    });
    let orders = json!({
        "permissions": [{"url_path": {"path": {"prefix": "/orders/"}}}],
        "principals": [{"sourced_metadata": {"metadata_matcher": role, "metadata_source": "DYNAMIC"}}],
    });
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": type_url("extensions.filters.http.rbac.v3.RBAC"),
            "rules": {"action": "ALLOW", "policies": {"orders": orders}},
        },
    })
}

/// The plugin's own settings. The rule that matches comes last, after rules for other services.
fn settings(signer: &Signer, rules: usize, cache_bytes: usize) -> Result<Value, Error> {
    let keys = match signer.secret() {
        Some(_) => json!({"secret_env": [SECRET_ENV]}),
        None => json!({"inline": signer.jwks()?}),
    };
    let others = (1..rules).map(|n| json!({"path": format!("/service-{n}/{{id}}"), "allow": {"role": ROLE}}));
    let orders = json!({"path": "/orders/{id}", "allow": {"role": ROLE}});
    Ok(json!({
        "providers": [{
            "name": "doorward",
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "algorithms": [signer.algorithm.name()],
            "keys": keys,
        }],
        "headers": {
            "x-user-id": "user_id", "x-user-email": "email", "x-user-roles": "roles",
            "x-user-permissions": "permissions", "x-session-id": "session_id",
        },
        "rules": others.chain([orders]).collect::<Value>(),
        "cache": {"entries": CACHE_ENTRIES, "bytes": cache_bytes},
    }))
}

fn plugin(vm_id: &str, module: &Path, settings: &Value) -> Value {
    let vm = json!({
        "vm_id": vm_id,
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": module}},
        "environment_variables": {"host_env_keys": [SECRET_ENV]},
    });
    json!({
        "name": "doorward",
        "typed_config": {
            "@type": type_url("extensions.filters.http.wasm.v3.Wasm"),
            "config": {
                "name": "doorward",
                "root_id": "doorward",
                "failure_policy": "FAIL_RELOAD",
                "vm_config": vm,
                "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": settings},
            },
        },
    })
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn type_url(name: &str) -> String {
    format!("type.googleapis.com/envoy.{name}")
}
