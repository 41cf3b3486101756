//! RabbitMQ in a directory of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::certificate::Certificate;
use crate::ports::Port;
use crate::process::{Launch, Running};
use crate::tools::rabbitmq::RabbitmqTools;
use crate::{Error, Result, files, random};

/// A running RabbitMQ.
#[derive(Debug)]
pub struct Rabbitmq {
    /// The broker's process.
    pub process: Running,
    place: Place,
    // Dropped after the broker, which tells it good-bye.
    _epmd: Running,
}

/// What a broker comes back to when it is started again.
#[derive(Debug)]
struct Place {
    tools: RabbitmqTools,
    dir: PathBuf,
    log: PathBuf,
    node: String,
    port: Port,
    tls_port: Port,
    epmd_port: Port,
    dist_port: Port,
    certificate: Certificate,
}

impl Rabbitmq {
    /// Starts a broker with everything it writes in this directory, and waits until it speaks AMQP.
    ///
    /// # Errors
    /// When it does not start; the error carries the end of its log.
    pub fn start(tools: &RabbitmqTools, dir: &Path, log: PathBuf) -> Result<Self> {
        let place = Place {
            tools: tools.clone(),
            dir: dir.to_owned(),
            log,
            node: node_name(dir)?,
            port: Port::any()?,
            tls_port: Port::any()?,
            epmd_port: Port::any()?,
            dist_port: Port::any()?,
            certificate: Certificate::make(&dir.join("tls"))?,
        };
        // Left to itself the broker starts a port mapper that outlives it. This one is ours.
        let epmd_port = place.epmd_port.number();
        let mut epmd = Launch::new("epmd", &tools.epmd, place.log.with_extension("epmd.log"))
            .args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"])
            .start()?;
        epmd.ready(Duration::from_secs(10), || TcpStream::connect((Ipv4Addr::LOCALHOST, epmd_port)).ok())?;
        place.write_configuration()?;
        Ok(Self { process: place.launch()?, place, _epmd: epmd })
    }

    /// Stops it. Its data stays.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Starts it again after a [`stop`](Self::stop), on the same ports.
    ///
    /// # Errors
    /// When it does not start; the error carries the end of its log.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = self.place.launch()?;
        Ok(())
    }

    /// The broker's address, with the account that may connect from this machine alone.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.place.port.number())
    }

    /// The same with TLS, and with the authority to trust.
    #[must_use]
    pub fn tls_url(&self) -> String {
        let (port, authority) = (self.place.tls_port.number(), self.place.certificate.chain.display());
        format!("amqps://guest:guest@localhost:{port}/%2f?cacertfile={authority}")
    }

    /// Tells the broker what to do, as its operator.
    ///
    /// # Errors
    /// With the broker's own words when it refuses.
    pub fn control(&self, args: &[&str]) -> Result<()> {
        let Place { tools, dir, node, epmd_port, .. } = &self.place;
        let mut command = Command::new(&tools.control);
        command.args(["--node", node, "--quiet"]).args(args);
        command.env("HOME", dir).env("ERL_EPMD_PORT", epmd_port.number().to_string());
        let output = command.output().map_err(Error::io("run rabbitmqctl"))?;
        if output.status.success() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::Command { command: format!("rabbitmqctl {}", args.join(" ")), reason })
    }
}

impl Place {
    fn write_configuration(&self) -> Result<()> {
        let (chain, key) = (self.certificate.chain.display(), self.certificate.key.display());
        let (port, tls_port) = (self.port.number(), self.tls_port.number());
        let text = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\n\
             listeners.ssl.1 = 127.0.0.1:{tls_port}\n\
             ssl_options.cacertfile = {chain}\n\
             ssl_options.certfile = {chain}\n\
             ssl_options.keyfile = {key}\n\
             ssl_options.verify = verify_none\n\
             ssl_options.fail_if_no_peer_cert = false\n"
        );
        files::write_private(&self.dir.join("rabbitmq.conf"), text.as_bytes())?;
        files::write_private(&self.dir.join("enabled_plugins"), b"[].\n")
    }

    fn launch(&self) -> Result<Running> {
        let dir = &self.dir;
        let mut process = Launch::new("RabbitMQ", &self.tools.server, self.log.clone())
            .env("HOME", dir)
            .env("ERL_EPMD_PORT", self.epmd_port.number().to_string())
            .env("RABBITMQ_NODENAME", &self.node)
            .env("RABBITMQ_NODE_PORT", self.port.number().to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.number().to_string())
            .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq.conf"))
            .env("RABBITMQ_MNESIA_BASE", dir.join("data"))
            .env("RABBITMQ_LOG_BASE", dir.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("enabled_plugins"))
            .env("RABBITMQ_PID_FILE", dir.join("pid"))
            .start()?;
        // The listener with TLS is opened last.
        let ready = || {
            speaks_amqp(self.port.number()).ok()?;
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.tls_port.number())).ok()
        };
        process.ready(Duration::from_secs(90), ready)?;
        Ok(process)
    }
}

/// What a broker keeps lies in a folder of its name, so the name lasts as long as the directory.
fn node_name(dir: &Path) -> Result<String> {
    let file = dir.join("node");
    if let Ok(kept) = fs::read_to_string(&file) {
        return Ok(kept);
    }
    let name = format!("doorward-{}@localhost", random::name());
    files::write_private(&file, name.as_bytes())?;
    Ok(name)
}

/// The broker answers a protocol header with the first method frame, `Connection.Start`.
fn speaks_amqp(port: u16) -> Result<()> {
    const METHOD_FRAME: u8 = 1;
    let failed = || Error::io("talk to RabbitMQ");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(failed())?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(failed())?;
    stream.write_all(b"AMQP\0\0\x09\x01").map_err(failed())?;
    let mut frame = [0; 1];
    stream.read_exact(&mut frame).map_err(failed())?;
    if frame[0] == METHOD_FRAME {
        Ok(())
    } else {
        Err(Error::unexpected("RabbitMQ", "it does not speak AMQP 0-9-1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Workdir;
    use crate::progress::Progress;
    use crate::tools;

    #[test]
    fn nothing_is_left_when_it_stops() {
        let tools = tools::rabbitmq::find(Progress::Silent).unwrap();
        let workdir = Workdir::new().unwrap();
        let broker = Rabbitmq::start(&tools, workdir.path(), workdir.path().join("rabbitmq.log")).unwrap();
        let Place { port, tls_port, epmd_port, dist_port, .. } = &broker.place;
        let ports = [port, tls_port, epmd_port, dist_port].map(Port::number);
        assert!(ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()));
        drop(broker);
        assert!(ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err()));
    }
}
