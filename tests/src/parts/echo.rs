//! An upstream that records what arrives, byte for byte: the witness in every test about headers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::served::Served;
use crate::Result;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Request line and headers, up to and without the empty line.
    pub head: Vec<u8>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
    /// The trailers after a chunked body, line by line as they arrived.
    pub trailers: Vec<u8>,
}

impl Received {
    /// The method.
    #[must_use]
    pub fn method(&self) -> String {
        self.request_line().split(' ').next().unwrap_or_default().to_owned()
    }

    /// Path and query.
    #[must_use]
    pub fn path(&self) -> String {
        self.request_line().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Every value of headers with this name, compared without regard to case, in order of arrival.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<Vec<u8>> {
        self.headers()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
            .collect()
    }

    /// The names of all headers in lower case, with `_` read as `-`, as a careless service behind would read them.
    #[must_use]
    pub fn folded_names(&self) -> Vec<String> {
        self.headers()
            .map(|(name, _)| String::from_utf8_lossy(&name).to_lowercase().replace('_', "-"))
            .collect()
    }

    fn request_line(&self) -> String {
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }

    fn headers(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
        self.head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
        })
    }
}

#[derive(Debug)]
struct Shared {
    received: Mutex<Vec<Received>>,
    answers: Vec<(String, String)>,
}

/// A recording upstream on a port of its own, until it is dropped.
#[derive(Debug)]
pub struct Echo {
    shared: Arc<Shared>,
    served: Served,
}

impl Echo {
    /// Starts one that answers each of these paths with its JSON text, and every other path with `{}`.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub fn start(answers: &[(&str, &str)]) -> Result<Self> {
        let answers = answers.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let shared = Arc::new(Shared { received: Mutex::default(), answers });
        let for_threads = Arc::clone(&shared);
        let served = Served::by(move |stream| serve(&stream, &for_threads))?;
        Ok(Self { shared, served })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.served.port()
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// All requests so far.
    #[must_use]
    pub fn all(&self) -> Vec<Received> {
        self.shared.lock().clone()
    }

    /// All requests so far whose path, without the query, is this one.
    #[must_use]
    pub fn received(&self, path: &str) -> Vec<Received> {
        let on_path = |request: &&Received| request.path().split('?').next() == Some(path);
        self.shared.lock().iter().filter(on_path).cloned().collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let path = request.path();
        let answer = shared.answers.iter().find(|(known, _)| *known == path).map_or("{}", |(_, text)| text);
        // Recorded before it is answered: who has the answer finds the record.
        shared.lock().push(request);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        // In one piece: a second one would wait until the first is acknowledged.
        let mut out = stream;
        out.write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Received>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    head.truncate(head.len() - 4);
    let mut request = Received { head, body: Vec::new(), trailers: Vec::new() };
    let length = request
        .header("content-length")
        .first()
        .and_then(|value| String::from_utf8_lossy(value).parse().ok());
    match length {
        Some(length) => request.body = read_exactly(reader, length)?,
        None if !request.header("transfer-encoding").is_empty() => {
            request.body = read_chunks(reader)?;
            request.trailers = read_trailers(reader)?;
        }
        None => {}
    }
    Ok(Some(request))
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend(read_exactly(reader, size)?);
        reader.read_line(&mut line)?;
    }
}

/// Everything up to the empty line.
fn read_trailers(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut trailers = Vec::new();
    loop {
        let start = trailers.len();
        reader.read_until(b'\n', &mut trailers)?;
        if trailers[start..].trim_ascii().is_empty() {
            trailers.truncate(start);
            return Ok(trailers);
        }
    }
}

fn read_exactly(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}
