//! A client that sends what it is given.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::{Error, Result};

/// Sends these bytes to `host:port` and returns the answer: its head, and the body if the head says how long it is.
///
/// # Errors
/// When the connection fails, or there is no whole answer within ten seconds.
pub fn exchange(address: &str, request: &[u8]) -> Result<Vec<u8>> {
    let failed = || Error::io(format!("talk to {address}"));
    let mut stream = TcpStream::connect(address).map_err(failed())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed())?;
    stream.write_all(request).map_err(failed())?;
    let mut reader = BufReader::new(stream);
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut answer).map_err(failed())? == 0 {
            return Err(Error::unexpected(address, "it closed the connection without an answer"));
        }
    }
    // Not until the end of the connection: a server that refuses a request may keep it open for a while.
    reader.take(content_length(&answer)).read_to_end(&mut answer).map_err(failed())?;
    Ok(answer)
}

/// A connection that stays open for one request after another.
#[derive(Debug)]
pub struct Connection {
    address: String,
    reader: BufReader<TcpStream>,
}

/// An answer on such a connection.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).map_err(Error::io(format!("connect to {address}")))?;
        let set = stream.set_read_timeout(Some(Duration::from_secs(20))).and(stream.set_nodelay(true));
        set.map_err(Error::io("set up a connection"))?;
        Ok(Self { address: address.to_owned(), reader: BufReader::new(stream) })
    }

    /// Connects anew, for after an answer that closes the connection.
    ///
    /// # Errors
    /// When nobody listens there any more.
    pub fn reopen(&mut self) -> Result<()> {
        *self = Self::open(&self.address)?;
        Ok(())
    }

    /// Sends bytes and does not wait for an answer.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.reader.get_mut().write_all(bytes).map_err(Error::io(format!("write to {}", self.address)))
    }

    /// Waits for the next answer.
    ///
    /// # Errors
    /// When the connection breaks, or there is no whole answer within twenty seconds.
    pub fn answer(&mut self) -> Result<Answer> {
        let failed = || Error::io(format!("read from {}", self.address));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.reader.read_until(b'\n', &mut head).map_err(failed())? == 0 {
                return Err(Error::unexpected(&self.address, "it closed the connection without an answer"));
            }
        }
        let status = status(&head).ok_or_else(|| Error::unexpected(&self.address, "no status line"))?;
        let mut body = Vec::new();
        (&mut self.reader).take(content_length(&head)).read_to_end(&mut body).map_err(failed())?;
        Ok(Answer { status, head: String::from_utf8_lossy(&head).into_owned(), body })
    }

    /// Sends bytes and waits for the answer.
    ///
    /// # Errors
    /// As [`Connection::write`] and [`Connection::answer`].
    pub fn send(&mut self, bytes: &[u8]) -> Result<Answer> {
        self.write(bytes)?;
        self.answer()
    }
}

impl Answer {
    /// The first value of a header, whose name is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The reason in a problem body; empty when it is none.
    #[must_use]
    pub fn reason(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let kind = problem["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:doorward:problem:").unwrap_or_default().to_owned()
    }
}

/// The status code of an HTTP/1.1 answer.
#[must_use]
pub fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    String::from_utf8_lossy(line).split(' ').nth(1)?.parse().ok()
}

fn content_length(head: &[u8]) -> u64 {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}
