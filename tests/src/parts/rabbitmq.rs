//! RabbitMQ in a directory of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ports::Port;
use crate::process::{Launch, Running};
use crate::tools::rabbitmq::RabbitmqTools;
use crate::{Error, Result, files, random};

/// A running RabbitMQ.
#[derive(Debug)]
pub struct Rabbitmq {
    /// The broker's process.
    pub process: Running,
    port: Port,
    // Dropped after the broker, which tells it good-bye.
    _epmd: Running,
    _epmd_port: Port,
    _dist_port: Port,
}

impl Rabbitmq {
    /// Starts a broker with everything it writes in this directory, and waits until it speaks AMQP.
    ///
    /// # Errors
    /// When it does not start; the error carries the end of its log.
    pub fn start(tools: &RabbitmqTools, dir: &Path, log: PathBuf) -> Result<Self> {
        let (port, epmd_port, dist_port) = (Port::any()?, Port::any()?, Port::any()?);
        let epmd_number = epmd_port.number().to_string();
        // Left to itself the broker starts a port mapper that outlives it. This one is ours.
        let mut epmd = Launch::new("epmd", &tools.epmd, log.with_extension("epmd.log"))
            .args(["-port", &epmd_number, "-address", "127.0.0.1"])
            .start()?;
        let epmd_address = (Ipv4Addr::LOCALHOST, epmd_port.number());
        epmd.ready(Duration::from_secs(10), || TcpStream::connect(epmd_address).ok())?;

        let configuration = dir.join("rabbitmq.conf");
        let listeners = format!("listeners.tcp.1 = 127.0.0.1:{}\n", port.number());
        files::write_private(&configuration, listeners.as_bytes())?;
        let plugins = dir.join("enabled_plugins");
        files::write_private(&plugins, b"[].\n")?;
        let mut process = Launch::new("RabbitMQ", &tools.server, log)
            .env("HOME", dir)
            .env("ERL_EPMD_PORT", &epmd_number)
            .env("RABBITMQ_NODENAME", node_name(dir)?)
            .env("RABBITMQ_NODE_PORT", port.number().to_string())
            .env("RABBITMQ_DIST_PORT", dist_port.number().to_string())
            .env("RABBITMQ_CONFIG_FILE", &configuration)
            .env("RABBITMQ_MNESIA_BASE", dir.join("data"))
            .env("RABBITMQ_LOG_BASE", dir.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", &plugins)
            .env("RABBITMQ_PID_FILE", dir.join("pid"))
            .start()?;
        process.ready(Duration::from_secs(90), || speaks_amqp(port.number()).ok())?;
        Ok(Self { process, port, _epmd: epmd, _epmd_port: epmd_port, _dist_port: dist_port })
    }

    /// The broker's address, with the account that may connect from this machine alone.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port.number())
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
        let ports = [broker.port.number(), broker._epmd_port.number(), broker._dist_port.number()];
        assert!(ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()));
        drop(broker);
        assert!(ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err()));
    }
}
