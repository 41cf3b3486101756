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
