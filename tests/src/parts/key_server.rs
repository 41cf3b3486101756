//! A server of public keys that does as it is told: answers, fails, or lets wait. It counts who asks, and when.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::served::Served;
use crate::Result;
use crate::certificate::Certificate;

/// What a request for a path gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This document, with status 200.
    Document(String),
    /// This status and nothing else.
    Status(u16),
    /// Nothing for now: the request waits until there is another answer for its path.
    Wait,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<String, Answer>,
    asked: Vec<(String, Instant)>,
    called: Vec<Option<String>>,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The server on a port of its own, until it is dropped.
#[derive(Debug)]
pub struct KeyServer {
    shared: Arc<Shared>,
    served: Served,
}

impl KeyServer {
    /// Starts one that has no answer for anything: 404.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub fn start() -> Result<Self> {
        Self::listen(None)
    }

    /// The same over TLS, under this certificate.
    ///
    /// # Errors
    /// When the certificate cannot be used, or no socket is to be had.
    pub fn start_tls(certificate: &Certificate) -> Result<Self> {
        Self::listen(Some(Arc::new(certificate.server_config()?)))
    }

    fn listen(tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_threads = Arc::clone(&shared);
        let served = Served::by(move |stream| match &tls {
            None => serve(stream, &for_threads),
            Some(tls) => serve_tls(stream, Arc::clone(tls), &for_threads),
        })?;
        Ok(Self { shared, served })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.served.port()
    }

    /// From now on this is the answer for this path, also to those who wait already.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.shared.lock().answers.insert(path.to_owned(), answer);
        self.shared.changed.notify_all();
    }

    /// When each request for this path came.
    #[must_use]
    pub fn asked(&self, path: &str) -> Vec<Instant> {
        self.shared.lock().asked.iter().filter(|(asked, _)| asked == path).map(|(_, at)| *at).collect()
    }

    /// By which name (SNI) each TLS connection called it, if by any.
    #[must_use]
    pub fn called(&self) -> Vec<Option<String>> {
        self.shared.lock().called.clone()
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the request, and waits until there is an answer for it; `None` when the server stops.
    #[expect(clippy::disallowed_methods, reason = "tests look at the real time between real requests")]
    fn take(&self, path: &str) -> Option<Answer> {
        let mut state = self.lock();
        state.asked.push((path.to_owned(), Instant::now()));
        loop {
            if state.stopped {
                return None;
            }
            match state.answers.get(path) {
                Some(Answer::Wait) => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Some(answer) => return Some(answer.clone()),
                None => return Some(Answer::Status(404)),
            }
        }
    }
}

fn serve_tls(mut stream: TcpStream, tls: Arc<ServerConfig>, shared: &Shared) -> io::Result<()> {
    let mut session = ServerConnection::new(tls).map_err(io::Error::other)?;
    let shaken = session.complete_io(&mut stream);
    shared.lock().called.push(session.server_name().map(str::to_owned));
    shaken?;
    serve(StreamOwned::new(session, stream), shared)
}

fn serve(stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(path) = read_head(&mut reader)? {
        let Some(answer) = shared.take(&path) else { return Ok(()) };
        let (status, document) = match answer {
            Answer::Document(document) => (200, document),
            Answer::Status(status) => (status, String::new()),
            Answer::Wait => return Ok(()),
        };
        let head = format!(
            "HTTP/1.1 {status} As told\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            document.len()
        );
        let stream = reader.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(document.as_bytes())?;
        stream.flush()?;
    }
    Ok(())
}

/// The path of the next request; its headers say nothing that counts here. `None` at the connection's end.
fn read_head(reader: &mut BufReader<impl Read>) -> io::Result<Option<String>> {
    let mut lines = reader.lines();
    let Some(request_line) = lines.next().transpose()? else { return Ok(None) };
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    Ok(request_line.split(' ').nth(1).map(str::to_owned))
}
