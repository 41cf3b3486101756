//! An Envoy with listeners of any kind, for what the shipped configuration would never let happen: paths that nobody
//! normalised, several providers, key servers that misbehave, native filters beside the plugin.

use std::path::PathBuf;
use std::time::Duration;

use doorward_tests::files;
use doorward_tests::http::raw::Connection;
use doorward_tests::http::{Client, raw};
use doorward_tests::parts::Echo;
use doorward_tests::ports::Port;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::{Launch, Running, Workdir};
use doorward_tests::wait;
use serde_json::{Value, json};

/// What a feed of revocations asks for, and the variable in which the plugin finds it.
pub(crate) const FEED_TOKEN: &str = "a-secret-for-the-feed";
pub(crate) const FEED_TOKEN_VARIABLE: &str = "DOORWARD_TEST_FEED_TOKEN";

/// What to start. One listener for each entry of `listeners`.
pub(crate) struct Plan {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) clusters: Vec<Value>,
    pub(crate) concurrency: usize,
    pub(crate) module: Option<PathBuf>,
}

impl Plan {
    /// One worker, and one listener with the plugin.
    pub(crate) fn plugin(settings: Value) -> Self {
        Self { listeners: vec![Listener::plugin(settings)], clusters: vec![], concurrency: 1, module: None }
    }
}

/// A listener, and what stands in it.
pub(crate) struct Listener {
    filter: Filter,
    answers_itself: bool,
    access_log: Option<&'static str>,
    tls: Option<Value>,
    cluster: &'static str,
}

enum Filter {
    Plugin(Value),
    Native(Value),
    Nothing(String),
}

impl Listener {
    /// The plugin with these settings, and nothing in front that would tidy up a request: no normalisation, and
    /// upgrades and trailers let in.
    pub(crate) fn plugin(settings: Value) -> Self {
        Self::with(Filter::Plugin(settings))
    }

    /// Envoy's own `jwt_authn`.
    pub(crate) fn native(settings: Value) -> Self {
        Self::with(Filter::Native(settings))
    }

    /// No filter: this text to everybody, over TLS.
    pub(crate) fn document(text: &str, tls: Value) -> Self {
        let filter = Filter::Nothing(text.to_owned());
        Self { answers_itself: true, tls: Some(tls), ..Self::with(filter) }
    }

    fn with(filter: Filter) -> Self {
        Self { filter, answers_itself: false, access_log: None, tls: None, cluster: "service" }
    }

    /// What passes goes to this cluster, and not to the recorder.
    pub(crate) fn calling(self, cluster: &'static str) -> Self {
        Self { cluster, ..self }
    }

    /// What passes is answered at once, without a service behind.
    pub(crate) fn answering_itself(self) -> Self {
        Self { answers_itself: true, ..self }
    }

    /// One line for each request.
    pub(crate) fn logging(self, format: &'static str) -> Self {
        Self { access_log: Some(format), ..self }
    }

    fn to_envoy(&self, number: usize, port: u16, module: &PathBuf) -> Value {
        let filter = match &self.filter {
            Filter::Plugin(settings) => vec![plugin(number, settings, module)],
            Filter::Native(settings) => vec![native(settings)],
            Filter::Nothing(_) => vec![],
        };
        let router = json!({
            "name": "router", "typed_config": {"@type": type_url("extensions.filters.http.router.v3.Router")},
        });
        let answer = match &self.filter {
            Filter::Nothing(text) => json!({"status": 200, "body": {"inline_string": text}}),
            _ => json!({"status": 200}),
        };
        let route = if self.answers_itself {
            json!({"match": {"prefix": "/"}, "direct_response": answer})
        } else {
            json!({"match": {"prefix": "/"}, "route": {"cluster": self.cluster}})
        };
        let manager = json!({
            "@type": type_url("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": format!("door_{number}"),
            "normalize_path": false,
            "merge_slashes": false,
            "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
            "always_set_request_id_in_response": true,
            "http_protocol_options": {"enable_trailers": true},
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "access_log": self.access_log.map(access_log).into_iter().collect::<Vec<_>>(),
            "http_filters": filter.into_iter().chain([router]).collect::<Vec<_>>(),
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        });
        let mut chain = json!({"filters": [{"name": "http", "typed_config": manager}]});
        if let Some(tls) = &self.tls {
            chain["transport_socket"] = tls.clone();
        }
        json!({"name": format!("door_{number}"), "address": address(port), "filter_chains": [chain]})
    }
}

/// A running Envoy of our own making, and a recorder behind it.
pub(crate) struct Gateway {
    pub(crate) process: Running,
    pub(crate) echo: Echo,
    admin: Port,
    ports: Vec<Port>,
    // Goes last: Envoy writes its log into it.
    _workdir: Workdir,
}

impl Gateway {
    pub(crate) fn start(plan: Plan) -> Self {
        let ports: Vec<Port> = plan.listeners.iter().map(|_| Port::any().unwrap()).collect();
        Self::start_on(plan, ports)
    }

    /// The same on ports that the plan speaks of.
    pub(crate) fn start_on(plan: Plan, ports: Vec<Port>) -> Self {
        let programs = Prepared::from_env().unwrap().programs;
        let (workdir, admin) = (Workdir::new().unwrap(), Port::any().unwrap());
        let echo = Echo::start(&[]).unwrap();
        let module = plan.module.unwrap_or(programs.plugin_wasm);
        let listeners: Vec<Value> = plan
            .listeners
            .iter()
            .zip(&ports)
            .enumerate()
            .map(|(number, (listener, port))| listener.to_envoy(number, port.number(), &module))
            .collect();
        let clusters = plan.clusters.into_iter().chain([service(echo.port())]).collect::<Vec<_>>();
        let bootstrap = json!({
            "admin": {"address": address(admin.number())},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        });
        let config = workdir.path().join("envoy.json");
        files::write_private(&config, bootstrap.to_string().as_bytes()).unwrap();
        let mut process = Launch::new("Envoy", &programs.envoy, workdir.path().join("envoy.log"))
            .args(["--disable-hot-restart", "--concurrency", &plan.concurrency.to_string(), "--config-path"])
            .args([&config])
            .env(FEED_TOKEN_VARIABLE, FEED_TOKEN)
            .grace(Duration::from_secs(5))
            .start()
            .unwrap();
        let client = Client::new(&admin.url());
        let ready = || client.get("/ready").ok().filter(|reply| reply.status == 200);
        process.ready(Duration::from_secs(60), ready).unwrap();
        Self { process, echo, admin, ports, _workdir: workdir }
    }

    /// The address of the first listener.
    pub(crate) fn address(&self) -> String {
        self.address_of(0)
    }

    pub(crate) fn address_of(&self, listener: usize) -> String {
        format!("127.0.0.1:{}", self.ports[listener].number())
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.address()).unwrap()
    }

    /// One request on a connection of its own: request line without the version, and header lines.
    pub(crate) fn send(&self, request_line: &str, headers: &[&str]) -> raw::Answer {
        self.connect().send(&head(request_line, headers)).unwrap()
    }

    /// A GET with a bearer token.
    pub(crate) fn get(&self, path: &str, token: &str) -> raw::Answer {
        self.send(&format!("GET {path}"), &[&bearer(token)])
    }

    /// The value of one of Envoy's own counters or gauges; 0 before it is first counted.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let filter: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '.' }).collect();
        let reply = Client::new(&self.admin.url()).get(&format!("/stats?filter=^{filter}$")).unwrap();
        let text = String::from_utf8(reply.body).unwrap();
        text.rsplit(": ").next().and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until a counter or gauge has reached a value.
    pub(crate) fn wait_for_stat(&self, name: &str, at_least: u64) {
        let reached = wait::until(Duration::from_secs(20), || (self.stat(name) >= at_least).then_some(()));
        assert!(reached.is_some(), "{name} is {} and not {at_least}", self.stat(name));
    }

    /// The paths of all requests that came through, in order of arrival.
    pub(crate) fn arrived(&self) -> Vec<String> {
        self.echo.all().iter().map(doorward_tests::parts::Received::path).collect()
    }
}

/// The head of a request.
pub(crate) fn head(request_line: &str, headers: &[&str]) -> Vec<u8> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{request_line} HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n").into_bytes()
}

/// A header line with a bearer token.
pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

/// A cluster of this name on a port of this machine.
pub(crate) fn cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    })
}

/// A cluster that speaks HTTP/2.
pub(crate) fn http2_cluster(name: &str, port: u16) -> Value {
    speaking(cluster(name, port), json!({"http2_protocol_options": {}}))
}

fn service(port: u16) -> Value {
    speaking(cluster("service", port), json!({"http_protocol_options": {"enable_trailers": true}}))
}

fn speaking(mut cluster: Value, protocol: Value) -> Value {
    let options = json!({
        "@type": type_url("extensions.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": protocol,
    });
    cluster["typed_extension_protocol_options"] =
        json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options});
    cluster
}

fn plugin(number: usize, settings: &Value, module: &PathBuf) -> Value {
    let vm = json!({
        "vm_id": format!("door_{number}"),
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": module}},
        "environment_variables": {"host_env_keys": [FEED_TOKEN_VARIABLE]},
    });
    // Settings that are text already are handed over as text.
    let form = if settings.is_string() { "StringValue" } else { "Struct" };
    json!({
        "name": "doorward",
        "typed_config": {
            "@type": type_url("extensions.filters.http.wasm.v3.Wasm"),
            "config": {
                "name": "doorward",
                "root_id": "doorward",
                "failure_policy": "FAIL_RELOAD",
                "vm_config": vm,
                "configuration": {"@type": format!("type.googleapis.com/google.protobuf.{form}"), "value": settings},
            },
        },
    })
}

fn native(settings: &Value) -> Value {
    let mut config = settings.clone();
    config["@type"] = type_url("extensions.filters.http.jwt_authn.v3.JwtAuthentication").into();
    json!({"name": "envoy.filters.http.jwt_authn", "typed_config": config})
}

fn access_log(format: &str) -> Value {
    json!({
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": type_url("extensions.access_loggers.stream.v3.StdoutAccessLog"),
            "log_format": {"text_format_source": {"inline_string": format!("{format}\n")}},
        },
    })
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

pub(crate) fn type_url(name: &str) -> String {
    format!("type.googleapis.com/envoy.{name}")
}
