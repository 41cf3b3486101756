//! A file of `envoy/examples`, as it is shipped, in a real Envoy: addresses, ports and file names are this machine's,
//! and nothing else is changed.

use std::path::Path;
use std::time::Duration;

use doorward_tests::certificate::Certificate;
use doorward_tests::files;
use doorward_tests::http::Client;
use doorward_tests::http::raw::{Answer as Reply, Connection};
use doorward_tests::parts::{Answer, Echo, FeedServer, KeyServer, Received};
use doorward_tests::ports::Port;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::{Launch, Running, Workdir};
use serde_json::Value;

use crate::support::gateway::{FEED_TOKEN, bearer, head};
use crate::support::signer::{Signer, jwks};

/// Where the keys of a file come from.
pub(crate) enum Keys<'a> {
    /// A provider elsewhere: its name, where its keys are, what it says there, and for whom its certificate is.
    Elsewhere { host: &'a str, path: &'a str, document: String, certificate: &'a str },
    /// Doorward's issuer, whose key this is.
    Issuer(&'a Signer),
    /// The same, and its list of dead tokens.
    IssuerWithList(&'a Signer, &'a FeedServer),
    /// Variables of Envoy's environment.
    Environment(&'a [(&'a str, &'a str)]),
}

/// The running file.
pub(crate) struct Door {
    pub(crate) keys: KeyServer,
    port: Port,
    _process: Running,
    _admin: Port,
    _workdir: Workdir,
}

/// The running file, and a recorder that plays the service behind it.
pub(crate) struct Example {
    pub(crate) door: Door,
    pub(crate) echo: Echo,
}

impl Door {
    /// With the service at this port, and with changes that the file itself speaks of.
    pub(crate) fn start(file: &str, keys: &Keys<'_>, service: u16, edits: &[(&str, &str)]) -> Self {
        let mut edits: Vec<_> = edits.iter().map(|(from, to)| (*from, (*to).to_owned())).collect();
        edits.push(("address: service.internal, port_value: 8080", loopback(service)));
        let programs = Prepared::from_env().unwrap().programs;
        let (workdir, port, admin) = (Workdir::new().unwrap(), Port::any().unwrap(), Port::any().unwrap());
        let (server, more) = keys.serve(workdir.path());
        edits.extend(more);
        edits.push(("address: 127.0.0.1, port_value: 9901", loopback(admin.number())));
        edits.push(("address: 0.0.0.0, port_value: 8000", loopback(port.number())));
        let module = format!("filename: {}", programs.plugin_wasm.display());
        edits.push(("filename: /etc/envoy/doorward_plugin.wasm", module));
        let config = workdir.path().join(file);
        files::write_private(&config, substituted(file, &edits).as_bytes()).unwrap();

        let mut launch = Launch::new("Envoy", &programs.envoy, workdir.path().join("envoy.log"))
            .args(["--disable-hot-restart", "--concurrency", "1", "--config-path"])
            .args([&config])
            .grace(Duration::from_secs(5));
        for (name, value) in keys.environment() {
            launch = launch.env(name, value);
        }
        let mut process = launch.start().unwrap();
        let client = Client::new(&admin.url());
        let ready = || client.get("/ready").ok().filter(|reply| reply.status == 200);
        process.ready(Duration::from_secs(60), ready).unwrap();
        Self { keys: server, port, _process: process, _admin: admin, _workdir: workdir }
    }

    /// Its address for raw connections.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }
}

impl Example {
    pub(crate) fn start(file: &str, keys: &Keys<'_>) -> Self {
        Self::start_edited(file, keys, &[])
    }

    pub(crate) fn start_edited(file: &str, keys: &Keys<'_>, edits: &[(&str, &str)]) -> Self {
        let echo = Echo::start(&[]).unwrap();
        Self { door: Door::start(file, keys, echo.port(), edits), echo }
    }

    /// One request on a connection of its own: request line without the version, and header lines.
    pub(crate) fn send(&self, request_line: &str, headers: &[&str]) -> Reply {
        Connection::open(&self.door.address()).unwrap().send(&head(request_line, headers)).unwrap()
    }

    /// The same with a bearer token.
    pub(crate) fn send_as(&self, token: &str, request_line: &str) -> Reply {
        self.send(request_line, &[&bearer(token), "content-length: 0"])
    }

    /// Checks for each request who gets through: 200, or the refusal's status and reason.
    pub(crate) fn decides(&self, token: &str, requests: &[(&str, u16, &str)]) {
        for (request_line, status, reason) in requests {
            let reply = self.send_as(token, request_line);
            assert_eq!(
                (reply.status, reply.reason().as_str()),
                (*status, *reason),
                "{request_line}: {reply:?}"
            );
        }
    }

    /// The last request that arrived on this path.
    pub(crate) fn arrived(&self, path: &str) -> Received {
        self.echo.received(path).pop().unwrap_or_else(|| panic!("nothing arrived on {path}"))
    }
}

impl Keys<'_> {
    /// Starts the server of the keys, and says which texts of the file lead to it.
    fn serve(&self, dir: &Path) -> (KeyServer, Vec<(&'static str, String)>) {
        match self {
            Self::Elsewhere { host, path, document, certificate } => {
                let certificate = Certificate::make_for(&[certificate], &dir.join("tls")).unwrap();
                let server = KeyServer::start_tls(&certificate).unwrap();
                server.answer(path, Answer::Document(document.clone()));
                let address: &'static str = format!("address: {host}, port_value: 443").leak();
                let trusted = certificate.chain.display().to_string();
                let edits = vec![(address, loopback(server.port())), (AUTHORITIES, trusted)];
                (server, edits)
            }
            Self::Issuer(signer) => {
                let server = KeyServer::start().unwrap();
                server.answer("/.well-known/jwks.json", Answer::Document(jwks(&[signer])));
                let edit = ("address: issuer.internal, port_value: 8080", loopback(server.port()));
                (server, vec![edit])
            }
            Self::IssuerWithList(signer, feed) => {
                let (server, mut edits) = Keys::Issuer(signer).serve(dir);
                edits.push(("address: issuer.internal, port_value: 9090", loopback(feed.port())));
                (server, edits)
            }
            Self::Environment(_) => (KeyServer::start().unwrap(), vec![]),
        }
    }

    fn environment(&self) -> &[(&str, &str)] {
        match self {
            Self::Environment(variables) => variables,
            Self::IssuerWithList(..) => &[("DOORWARD_MANAGEMENT_TOKEN", FEED_TOKEN)],
            Self::Elsewhere { .. } | Self::Issuer(_) => &[],
        }
    }
}

const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The value of a header that must have arrived exactly once.
pub(crate) fn only(received: &Received, name: &str) -> String {
    let mut values = received.header(name);
    assert_eq!(values.len(), 1, "{name} in {}", String::from_utf8_lossy(&received.head));
    String::from_utf8(values.remove(0)).unwrap()
}

/// A token as other issuers than ours make it: `typ` is plainly `JWT`.
pub(crate) fn plain_jwt(signer: &Signer, claims: &Value) -> String {
    let mut header = signer.header();
    header["typ"] = "JWT".into();
    signer.sign_text(&header.to_string(), &claims.to_string())
}

fn loopback(port: u16) -> String {
    format!("address: 127.0.0.1, port_value: {port}")
}

fn substituted(file: &str, edits: &[(&str, String)]) -> String {
    let shipped = files::root().join("envoy/examples").join(file);
    let text = std::fs::read_to_string(&shipped).unwrap();
    edits.iter().fold(text, |text, (from, to)| files::replace_once(&text, from, to).unwrap())
}
