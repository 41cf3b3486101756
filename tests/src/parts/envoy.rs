//! The proxy with the plugin in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certificate::Certificate;
use crate::http::Client;
use crate::ports::Port;
use crate::prepared::Programs;
use crate::process::{Launch, Running};
use crate::{Error, Result, files};

/// What this Envoy shall do differently from the shipped configuration.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Envoy's binary.
    pub binary: &'a Path,
    /// The plugin's module.
    pub plugin_wasm: &'a Path,
    /// Where its configuration and certificate go.
    pub dir: &'a Path,
    /// Its log.
    pub log: PathBuf,
    /// The port of the plain listener.
    pub plain: Port,
    /// The `iss` that tokens must carry.
    pub token_issuer: &'a str,
    /// Who is behind it.
    pub upstreams: Upstreams,
    /// Worker threads.
    pub concurrency: usize,
    /// Further texts to replace, each of which must be there exactly once.
    pub edits: &'a [(&'a str, &'a str)],
}

/// Ports on the loopback interface.
#[derive(Debug, Clone, Copy)]
pub struct Upstreams {
    /// The issuer's public listener.
    pub issuer: u16,
    /// The issuer's management listener.
    pub management: u16,
    /// The service behind the gateway.
    pub users: u16,
}

impl<'a> Setup<'a> {
    /// One worker on a free port, with everything in this directory.
    ///
    /// # Errors
    /// When no port is free.
    pub fn for_test(
        programs: &'a Programs,
        dir: &'a Path,
        token_issuer: &'a str,
        upstreams: Upstreams,
    ) -> Result<Self> {
        Ok(Self {
            binary: &programs.envoy,
            plugin_wasm: &programs.plugin_wasm,
            dir,
            log: dir.join("envoy.log"),
            plain: Port::any()?,
            token_issuer,
            upstreams,
            concurrency: 1,
            edits: &[],
        })
    }
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    /// The process.
    pub process: Running,
    /// The certificate that the TLS listener shows.
    pub certificate: Certificate,
    /// The configuration that it runs with.
    pub config: PathBuf,
    plain: Port,
    tls: Port,
    admin: Port,
}

impl Envoy {
    /// Starts Envoy and waits until it serves.
    ///
    /// # Errors
    /// When the configuration no longer fits the harness, or Envoy refuses it.
    pub fn start(setup: Setup<'_>) -> Result<Self> {
        let mut envoy = Self::launch(setup)?;
        let admin = Client::new(&envoy.admin_url());
        envoy.process.ready(Duration::from_secs(60), || {
            admin.get("/ready").ok().filter(|reply| reply.status == 200)
        })?;
        Ok(envoy)
    }

    /// Starts Envoy and does not wait: for configurations that it shall refuse.
    ///
    /// # Errors
    /// When the configuration no longer fits the harness, or Envoy cannot be run.
    pub fn launch(setup: Setup<'_>) -> Result<Self> {
        let (tls, admin) = (Port::any()?, Port::any()?);
        let certificate = Certificate::make(&setup.dir.join("tls"))?;
        let config = setup.dir.join("envoy.yaml");
        let text = substituted(&setup, &tls, &admin, &certificate)?;
        files::write_private(&config, text.as_bytes())?;
        let process = Launch::new("Envoy", setup.binary, setup.log)
            .args(["--concurrency", &setup.concurrency.to_string()])
            // Hot restart shares memory by a number that every Envoy of the machine would have to agree on.
            .args(["--disable-hot-restart", "--config-path"])
            .args([&config])
            .grace(Duration::from_secs(5))
            .start()?;
        Ok(Self { process, certificate, config, plain: setup.plain, tls, admin })
    }

    /// The plain listener, by the name that people type.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.plain.number())
    }

    /// The plain listener's address for raw connections.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.plain.number())
    }

    /// The TLS listener, by the name in its certificate.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("https://localhost:{}", self.tls.number())
    }

    /// The administration interface.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.admin.url()
    }
}

/// The shipped file with this stack's addresses and files.
fn substituted(setup: &Setup<'_>, tls: &Port, admin: &Port, certificate: &Certificate) -> Result<String> {
    let shipped = files::root().join("envoy/envoy.yaml");
    let text = std::fs::read_to_string(&shipped).map_err(Error::file("read", &shipped))?;
    let loopback = |number: u16| format!("address: 127.0.0.1, port_value: {number}");
    let replacements = [
        // The edits come first: they are written against the shipped text.
        setup.edits.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
        vec![
            ("address: 127.0.0.1, port_value: 9901".to_owned(), loopback(admin.number())),
            ("address: 0.0.0.0, port_value: 8000".to_owned(), loopback(setup.plain.number())),
            ("address: 0.0.0.0, port_value: 8443".to_owned(), loopback(tls.number())),
            ("address: 127.0.0.1, port_value: 8080".to_owned(), loopback(setup.upstreams.issuer)),
            ("address: 127.0.0.1, port_value: 9090".to_owned(), loopback(setup.upstreams.management)),
            ("address: 127.0.0.1, port_value: 8081".to_owned(), loopback(setup.upstreams.users)),
            ("issuer: http://localhost:8080".to_owned(), format!("issuer: {}", setup.token_issuer)),
            ("/etc/envoy/doorward_plugin.wasm".to_owned(), setup.plugin_wasm.display().to_string()),
            ("/etc/envoy/tls/cert.pem".to_owned(), certificate.chain.display().to_string()),
            ("/etc/envoy/tls/key.pem".to_owned(), certificate.key.display().to_string()),
        ],
    ];
    replacements
        .concat()
        .into_iter()
        .try_fold(text, |text, (from, to)| files::replace_once(&text, &from, &to))
}
