//! The example service behind the gateway.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::ports::Port;
use crate::process::{Launch, Running};

/// A running example service.
#[derive(Debug)]
pub struct UserService {
    /// The process.
    pub process: Running,
    port: Port,
}

impl UserService {
    /// Starts it with its database in this directory, told of users by this broker if there is one, and waits until it accepts connections.
    ///
    /// # Errors
    /// When it does not start; the error carries the end of its log.
    pub fn start(binary: &Path, dir: &Path, log: PathBuf, amqp: Option<&str>) -> Result<Self> {
        Self::start_with(binary, dir, log, |launch| match amqp {
            Some(url) => launch.env("AMQP_URL", url),
            None => launch,
        })
    }

    /// The same with arguments and variables of the caller's.
    ///
    /// # Errors
    /// When it does not start; the error carries the end of its log.
    pub fn start_with(
        binary: &Path,
        dir: &Path,
        log: PathBuf,
        change: impl FnOnce(Launch) -> Launch,
    ) -> Result<Self> {
        let port = Port::any()?;
        let launch = Launch::new("the example service", binary, log)
            .args(["--listen", &format!("127.0.0.1:{}", port.number()), "--database"])
            .args([dir.join("profiles.db")])
            .grace(Duration::from_secs(5));
        let launch = change(launch);
        let mut process = launch.start()?;
        let address = (Ipv4Addr::LOCALHOST, port.number());
        process.ready(Duration::from_secs(20), || TcpStream::connect(address).ok())?;
        Ok(Self { process, port })
    }

    /// Its address, behind the gateway.
    #[must_use]
    pub fn url(&self) -> String {
        self.port.url()
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }
}
