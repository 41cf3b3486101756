//! MongoDB as a replica set of one: transactions need a replica set, and tests need no second member.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bson::{Document, doc};

use crate::ports::Port;
use crate::process::{Launch, Running};
use crate::{Error, Result, files};

const LIMIT: Duration = Duration::from_secs(30);

/// A running MongoDB.
#[derive(Debug)]
pub struct Mongod {
    /// The process.
    pub process: Running,
    port: Port,
}

impl Mongod {
    /// Starts MongoDB with its data in this directory and waits until it takes writes.
    ///
    /// # Errors
    /// When it does not start; the error carries the end of its log.
    pub fn start(binary: &Path, dir: &Path, log: PathBuf) -> Result<Self> {
        // A replica set remembers its members' addresses, so a data directory keeps its port if it can.
        let remembered = dir.join("port");
        let before: Option<u16> =
            std::fs::read_to_string(&remembered).ok().and_then(|text| text.trim().parse().ok());
        let port = before.map_or_else(Port::any, Port::rather)?;
        let data = dir.join("data");
        files::private_dir(&data)?;
        files::write_private(&remembered, port.number().to_string().as_bytes())?;
        let process = Launch::new("MongoDB", binary, log)
            .args(["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--port", &port.number().to_string()])
            .args(["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "100"])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false", "--dbpath"])
            .args([&data])
            .start()?;
        let mut mongod = Self { process, port };
        mongod.become_member()?;
        mongod.become_primary()?;
        Ok(mongod)
    }

    /// The connection string of one database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}?replicaSet=rs0", self.port.number())
    }

    /// Runs one command, which names its database as `$db`.
    ///
    /// # Errors
    /// When there is no answer, or it says that the command failed.
    pub fn run(&self, wanted: &Document) -> Result<Document> {
        let answer = command(self.port.number(), wanted)?;
        match answer.get_f64("ok") {
            Ok(1.0) => Ok(answer),
            _ => Err(Error::unexpected("MongoDB", answer.to_string())),
        }
    }

    /// Ends it without giving it time to do anything, and leaves its port to whoever comes next with its data.
    pub fn kill(self) {
        self.process.kill();
    }

    /// Makes it step down as primary, and not become one again for so long.
    ///
    /// # Errors
    /// When it does not.
    pub fn step_down(&self, time: Duration) -> Result<()> {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let step_down = doc! {
            "replSetStepDown": seconds,
            "secondaryCatchUpPeriodSecs": 0,
            "force": true,
            "$db": "admin",
        };
        self.run(&step_down).map(drop)
    }

    /// Makes the replica set, or tells the one that the data remembers where its member is now.
    fn become_member(&mut self) -> Result<()> {
        let number = self.port.number();
        let host = format!("127.0.0.1:{number}");
        let member = doc! { "_id": 0, "host": &host };
        let initiate = doc! { "replSetInitiate": { "_id": "rs0", "members": [member] }, "$db": "admin" };
        // A data directory that was used before answers that it is initialised already: just as good.
        self.process.ready(LIMIT, || command(number, &initiate).ok())?;
        let ask = doc! { "replSetGetConfig": 1, "$db": "admin" };
        self.process.ready(LIMIT, || {
            let answer = command(number, &ask).ok()?;
            let mut config = answer.get_document("config").ok()?.clone();
            let member = config.get_array_mut("members").ok()?.first_mut()?.as_document_mut()?;
            if member.get_str("host").ok()? == host {
                return Some(());
            }
            member.insert("host", &host);
            // Nobody is left to agree to the move, so it is forced.
            let moved = doc! { "replSetReconfig": config, "force": true, "$db": "admin" };
            command(number, &moved).ok()?;
            None
        })
    }

    /// Waits until it is primary.
    ///
    /// # Errors
    /// When it does not become one.
    pub fn become_primary(&mut self) -> Result<()> {
        let number = self.port.number();
        let hello = doc! { "hello": 1, "$db": "admin" };
        self.process.ready(LIMIT, || {
            let answer = command(number, &hello).ok()?;
            answer.get_bool("isWritablePrimary").ok()?.then_some(())
        })
    }
}

/// Sends one command and returns its answer, in MongoDB's `OP_MSG` form: a header of four numbers, flags, the kind
/// of the one section, and a document. Two commands once per start are not worth a driver.
fn command(port: u16, command: &Document) -> Result<Document> {
    const OP_MSG: i32 = 2013;
    let failed = || Error::io("talk to MongoDB");
    let body = command.to_vec().map_err(|failure| Error::unexpected("MongoDB", failure.to_string()))?;
    let length =
        i32::try_from(16 + 5 + body.len()).map_err(|_| Error::unexpected("MongoDB", "command too long"))?;

    let mut message = Vec::new();
    for number in [length, 1, 0, OP_MSG, 0] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(&body);

    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(failed())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed())?;
    stream.write_all(&message).map_err(failed())?;
    let mut header = [0; 16 + 5];
    stream.read_exact(&mut header).map_err(failed())?;
    read_document(&mut stream).map_err(failed())
}

fn read_document(stream: &mut TcpStream) -> io::Result<Document> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let total = usize::try_from(i32::from_le_bytes(length)).map_err(io::Error::other)?;
    let mut bytes = length.to_vec();
    stream.take((total.saturating_sub(4)) as u64).read_to_end(&mut bytes)?;
    Document::from_reader(bytes.as_slice()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepared::Prepared;
    use crate::process::Workdir;

    #[test]
    fn data_outlives_a_restart_and_the_loss_of_the_port() {
        let prepared = Prepared::from_env().unwrap();
        let workdir = Workdir::new().unwrap();
        let start =
            || Mongod::start(&prepared.mongod, workdir.path(), workdir.path().join("mongod.log")).unwrap();
        let kept = |mongod: &Mongod| {
            let answer = command(mongod.port.number(), &doc! { "count": "things", "$db": "kept" }).unwrap();
            answer.get_i32("n").unwrap()
        };
        let insert = |id: i32| doc! { "insert": "things", "documents": [{ "_id": id }], "$db": "kept" };
        let first = start();
        let before = first.port.number();
        command(before, &insert(1)).unwrap();
        drop(first);

        let second = start();
        assert_eq!(kept(&second), 1);
        drop(second);

        let _taken = Port::exactly(before).unwrap();
        let third = start();
        assert_ne!(third.port.number(), before);
        let answer = command(third.port.number(), &insert(2)).unwrap();
        assert_eq!((answer.get_i32("n").unwrap(), kept(&third)), (1, 2));
    }
}
