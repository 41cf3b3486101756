use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::Error;
use super::contenders::PATH;
use super::tokens::joined;

/// So many clients at once, each waiting for its answer before it asks again.
pub(super) const CONNECTIONS: usize = 8;

/// Sends one request for each token, and returns how long each answer took, unsorted.
pub(super) fn run<'t, T>(port: u16, tokens: T) -> Result<Vec<Duration>, Error>
where
    T: Iterator<Item = &'t String> + Clone + Send,
{
    thread::scope(|scope| {
        let share = |first| tokens.clone().skip(first).step_by(CONNECTIONS);
        let client = |share: _| move || Connection::open(port)?.ask_for_all(share);
        let clients: Vec<_> = (0..CONNECTIONS).map(|first| scope.spawn(client(share(first)))).collect();
        let times: Result<Vec<_>, Error> = clients.into_iter().map(joined).collect();
        Ok(times?.concat())
    })
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    fn open(port: u16) -> Result<Self, Error> {
        let stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(Error::io("connect to Envoy"))?;
        stream.set_nodelay(true).map_err(Error::io("set up a connection"))?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(Error::io("set up a connection"))?;
        Ok(Self { stream, request: Vec::new(), received: Vec::new() })
    }

    #[expect(clippy::disallowed_methods, reason = "measuring time is what this is for")]
    fn ask_for_all<'t>(mut self, tokens: impl Iterator<Item = &'t String>) -> Result<Vec<Duration>, Error> {
        let mut times = Vec::new();
        for token in tokens {
            self.prepare(token);
            let begin = Instant::now();
            self.stream.write_all(&self.request).map_err(Error::io("send a request"))?;
            let status = self.status()?;
            times.push(begin.elapsed());
            if status != 200 {
                return Err(Error::Refused(status));
            }
        }
        Ok(times)
    }

    /// What a program behind a gateway usually sends.
    fn prepare(&mut self, token: &str) {
        self.request.clear();
        self.request.extend(b"GET ");
        self.request.extend(PATH.as_bytes());
        self.request.extend(b" HTTP/1.1\r\nhost: shop.example.test\r\nuser-agent: bench/1.0\r\n");
        self.request.extend(b"accept: application/json\r\nauthorization: Bearer ");
        self.request.extend(token.as_bytes());
        self.request.extend(b"\r\n\r\n");
    }

    /// Good answers have no body, and a bad one ends the measurement: the head is all there is to read.
    fn status(&mut self) -> Result<u16, Error> {
        self.received.clear();
        let mut chunk = [0; 4096];
        loop {
            let length = self.stream.read(&mut chunk).map_err(Error::io("read an answer"))?;
            if length == 0 {
                return Err(Error::io("read an answer")(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.received.extend(&chunk[..length]);
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut answer = httparse::Response::new(&mut headers);
            if answer.parse(&self.received)?.is_complete() {
                return Ok(answer.code.unwrap_or_default());
            }
        }
    }
}
