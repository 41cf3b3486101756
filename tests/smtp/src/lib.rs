//! A mail server for tests. It speaks SMTP over a real socket, keeps what it is given, and does as it is told: takes mails,
//! refuses them, hangs up, or says nothing.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How connections are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    Plain,
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS.
    StartTls,
}

/// What a mail gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It is taken.
    Take,
    /// Its recipient is refused with this code.
    Refuse(u16),
    /// The connection is cut in the middle of its text.
    HangUp,
    /// It waits until there is another behaviour.
    Wait,
}

/// A mail as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Header and body.
    pub text: String,
    /// Whether nobody on the way could read it.
    pub encrypted: bool,
}

impl Received {
    /// The token of the link in it.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        let text = self.readable();
        let (_, after) = text.split_once("#token=")?;
        Some(after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect())
    }

    /// The text as its reader sees it: quoted-printable undone, as far as ASCII goes.
    #[must_use]
    pub fn readable(&self) -> String {
        let joined = self.text.replace("=\r\n", "");
        let mut pieces = joined.split('=');
        let mut readable = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let code = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            match code.filter(u8::is_ascii) {
                Some(code) => {
                    readable.push(code.into());
                    readable.push_str(&piece[2..]);
                }
                None => {
                    readable.push('=');
                    readable.push_str(piece);
                }
            }
        }
        readable
    }

    /// A field of the header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A mail that was waited for in vain.
#[derive(Debug)]
pub struct NoMail {
    /// To whom it should have come.
    pub address: String,
    /// How many should have come before it.
    pub n: usize,
    /// How many mails came in all.
    pub others: usize,
}

/// For machines that are busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    mails: Vec<Received>,
    /// How many recipients were offered, whatever became of them.
    offered: usize,
    stopped: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    login: Option<(String, String)>,
}

/// The server on a port of its own, until it is dropped.
#[derive(Debug)]
pub struct Smtp {
    shared: Arc<Shared>,
    port: u16,
}

impl Smtp {
    /// Starts one that takes every mail, without encryption or login.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub fn start() -> io::Result<Self> {
        Self::listen(0, None, Security::Plain, None)
    }

    /// The same on the port of one that is gone.
    ///
    /// # Errors
    /// When the port is not free.
    pub fn start_again(port: u16) -> io::Result<Self> {
        Self::listen(port, None, Security::Plain, None)
    }

    /// One that encrypts, and asks for this user and password.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub fn start_tls(tls: ServerConfig, security: Security, login: (&str, &str)) -> io::Result<Self> {
        let login = Some((login.0.to_owned(), login.1.to_owned()));
        Self::listen(0, Some(Arc::new(tls)), security, login)
    }

    fn listen(
        port: u16,
        tls: Option<Arc<ServerConfig>>,
        security: Security,
        login: Option<(String, String)>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        let state = State { behaviour: Behaviour::Take, mails: Vec::new(), offered: 0, stopped: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), login });
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &for_thread, tls.as_ref(), security));
        Ok(Self { shared, port })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this is done with mails, also with those that wait already.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().behaviour = behaviour;
        self.shared.changed.notify_all();
    }

    /// How often it was asked to take a mail, whatever it did.
    #[must_use]
    pub fn offered(&self) -> usize {
        self.shared.lock().offered
    }

    /// Everything it has taken.
    #[must_use]
    pub fn mails(&self) -> Vec<Received> {
        self.shared.lock().mails.clone()
    }

    /// The `n`th mail (from 0) to this address, once it is there.
    ///
    /// # Errors
    /// When it does not come.
    pub fn mail_to(&self, address: &str, n: usize) -> Result<Received, NoMail> {
        let find = |state: &State| state.mails.iter().filter(|mail| mail.to == [address]).nth(n).cloned();
        let waiting = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), PATIENCE, |state| find(state).is_none());
        let (state, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        find(&state).ok_or_else(|| NoMail { address: address.to_owned(), n, others: state.mails.len() })
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        // Wakes the thread that accepts, so that it sees the order.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to do with a mail; `None` when the server stops.
    fn decide(&self) -> Option<Behaviour> {
        let mut state = self.lock();
        state.offered += 1;
        while state.behaviour == Behaviour::Wait && !state.stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.stopped).then_some(state.behaviour)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, tls: Option<&Arc<ServerConfig>>, security: Security) {
    for stream in listener.incoming().filter_map(io::Result::ok) {
        if shared.lock().stopped {
            return;
        }
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        // A connection that breaks is the other side's business.
        std::thread::spawn(move || serve(stream, tls, security, &shared));
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    security: Security,
    shared: &Shared,
) -> io::Result<()> {
    let wrap = |stream: TcpStream| -> io::Result<_> {
        let tls = tls.clone().ok_or_else(|| io::Error::other("no certificate"))?;
        Ok(StreamOwned::new(ServerConnection::new(tls).map_err(io::Error::other)?, stream))
    };
    match security {
        Security::Plain => Session::new(stream, shared, false).greet(false),
        Security::Tls => Session::new(wrap(stream)?, shared, true).greet(false),
        Security::StartTls => {
            Session::new(stream.try_clone()?, shared, false).greet(true)?;
            Session::new(wrap(stream)?, shared, true).converse(false)
        }
    }
}

/// One connection.
struct Session<'a, S> {
    stream: BufReader<S>,
    shared: &'a Shared,
    encrypted: bool,
}

impl<'a, S: Read + Write> Session<'a, S> {
    fn new(stream: S, shared: &'a Shared, encrypted: bool) -> Self {
        Self { stream: BufReader::new(stream), shared, encrypted }
    }

    /// Begins a connection; with `until_tls` comes back when the client has asked for TLS.
    fn greet(&mut self, until_tls: bool) -> io::Result<()> {
        self.say("220 sink.example.test ready")?;
        self.converse(until_tls)
    }

    fn converse(&mut self, until_tls: bool) -> io::Result<()> {
        let (mut from, mut to, mut known) = (String::new(), Vec::new(), self.shared.login.is_none());
        while let Some(line) = self.line()? {
            let (verb, rest) = line.split_at(line.find([' ', ':']).unwrap_or(line.len()));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" if until_tls => self.say("250-sink.example.test\r\n250 STARTTLS")?,
                "EHLO" => {
                    self.say("250-sink.example.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN")?;
                }
                "STARTTLS" if until_tls => return self.say("220 go ahead"),
                _ if until_tls => self.say("530 Must issue a STARTTLS command first")?,
                "AUTH" => {
                    known = self.is_login(rest);
                    self.say(if known { "235 welcome" } else { "535 wrong password" })?;
                }
                "MAIL" if !known => self.say("530 Authentication required")?,
                "MAIL" => {
                    from = address(rest);
                    self.say("250 ok")?;
                }
                "RCPT" => match self.shared.decide() {
                    None => return Ok(()),
                    Some(Behaviour::Refuse(code)) => {
                        self.say(&format!("{code} no thanks for {}", address(rest)))?;
                    }
                    Some(Behaviour::Take | Behaviour::HangUp | Behaviour::Wait) => {
                        to.push(address(rest));
                        self.say("250 ok")?;
                    }
                },
                "DATA" => {
                    self.say("354 go ahead")?;
                    if self.shared.lock().behaviour == Behaviour::HangUp {
                        return Ok(());
                    }
                    let Some(text) = self.text()? else { return Ok(()) };
                    let mail = Received {
                        from: std::mem::take(&mut from),
                        to: std::mem::take(&mut to),
                        text,
                        encrypted: self.encrypted,
                    };
                    self.shared.lock().mails.push(mail);
                    self.shared.changed.notify_all();
                    self.say("250 kept")?;
                }
                "RSET" | "NOOP" => self.say("250 ok")?,
                "QUIT" => return self.say("221 bye"),
                _ => self.say("502 not here")?,
            }
        }
        Ok(())
    }

    /// Whether `PLAIN BASE64` holds the user and password that are asked for.
    fn is_login(&self, rest: &str) -> bool {
        let given = rest.trim().strip_prefix("PLAIN ").and_then(|text| STANDARD.decode(text).ok());
        let wanted = self.shared.login.as_ref().map(|(user, password)| format!("\0{user}\0{password}"));
        given == wanted.map(String::into_bytes)
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        stream.flush()
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// A mail's text up to the lone dot; `None` when the client leaves before.
    fn text(&mut self) -> io::Result<Option<String>> {
        let mut text = String::new();
        while let Some(line) = self.line()? {
            match line.strip_prefix('.') {
                Some("") => return Ok(Some(text)),
                Some(rest) => text.push_str(rest),
                None => text.push_str(&line),
            }
            text.push_str("\r\n");
        }
        Ok(None)
    }
}

/// What stands between `<` and `>`.
fn address(rest: &str) -> String {
    let (_, after) = rest.split_once('<').unwrap_or_default();
    after.split('>').next().unwrap_or_default().to_owned()
}
