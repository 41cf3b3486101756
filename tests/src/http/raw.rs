//! A client that sends what it is given.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::{Error, Result};

/// Sends these bytes to `host:port` and returns all that comes back until the server closes the connection.
///
/// The request should say `connection: close`, or the server may wait for more.
///
/// # Errors
/// When the connection fails or the server keeps it open.
pub fn exchange(address: &str, request: &[u8]) -> Result<Vec<u8>> {
    let failed = || Error::io(format!("talk to {address}"));
    let mut stream = TcpStream::connect(address).map_err(failed())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed())?;
    stream.write_all(request).map_err(failed())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed())?;
    // The server has closed its side already; nothing depends on ours.
    let _ = stream.shutdown(Shutdown::Both);
    Ok(answer)
}

/// The status code of an HTTP/1.1 answer.
#[must_use]
pub fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    String::from_utf8_lossy(line).split(' ').nth(1)?.parse().ok()
}
