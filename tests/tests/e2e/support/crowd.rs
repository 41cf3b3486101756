//! People who keep an issuer busy, and remember every answer that they got.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use doorward_tests::http::{Client, Reply};
use doorward_tests::wait;
use serde_json::{Value, json};

use super::problem::reason;
use super::whole::{PASSWORD, text};

/// Everybody, at work until they are told to stop.
pub(crate) struct Crowd {
    shared: Arc<Shared>,
    members: Vec<JoinHandle<Memory>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicUsize,
    refused: AtomicUsize,
}

/// What a member was told.
#[derive(Default)]
pub(crate) struct Memory {
    /// Who was registered, by an answer of 201.
    registered: Vec<String>,
    /// The refresh token that each session had last.
    tokens: Vec<String>,
    /// Whether the last request was not answered at all.
    pub(crate) cut_off: bool,
}

impl Crowd {
    /// So many people begin to register, log in and refresh at that listener.
    pub(crate) fn gather(door: &str, number: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let member = |number| {
            let (shared, client) = (Arc::clone(&shared), Client::new(door));
            std::thread::spawn(move || Member { number, client, shared, memory: Memory::default() }.live())
        };
        let members = (0..number).map(member).collect();
        Self { shared, members }
    }

    /// Waits until so many more writes were answered well.
    pub(crate) fn wait_for(&self, more: usize) {
        let before = self.shared.answered.load(Ordering::SeqCst);
        let enough = || (self.shared.answered.load(Ordering::SeqCst) >= before + more).then_some(());
        let waited = wait::until(Duration::from_secs(60), enough);
        assert!(
            waited.is_some(),
            "{} writes were answered",
            self.shared.answered.load(Ordering::SeqCst) - before
        );
    }

    /// How many requests were answered with 503 so far.
    pub(crate) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Sends them home, and asks what they remember.
    pub(crate) fn disperse(&mut self) -> Vec<Memory> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.members.drain(..).map(|member| member.join().unwrap()).collect()
    }
}

impl Memory {
    /// What was answered is there: sessions go on, users log in.
    pub(crate) fn assert_kept(&self, client: &Client) {
        // Sessions first: a token whose exchange was not answered may be shown again for half a minute.
        for token in &self.tokens {
            let reply = client.post("/auth/refresh", &json!({ "refresh_token": token })).unwrap();
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        for email in &self.registered {
            let reply = client.post("/auth/login", &json!({ "email": email, "password": PASSWORD })).unwrap();
            assert_eq!(reply.status, 200, "{email}: {reply:?}");
        }
    }
}

struct Member {
    number: usize,
    client: Client,
    shared: Arc<Shared>,
    memory: Memory,
}

impl Member {
    fn live(mut self) -> Memory {
        let mut year = 0;
        while !self.shared.stop.load(Ordering::SeqCst) && !self.memory.cut_off {
            year += 1;
            let email = format!("member-{}-{year}@example.test", self.number);
            self.one_session(&email);
        }
        self.memory
    }

    /// One user, one session, a few refreshes.
    fn one_session(&mut self, email: &str) -> Option<()> {
        let credentials = json!({ "email": email, "password": PASSWORD });
        self.ask("/auth/register", &credentials, 201)?;
        self.memory.registered.push(email.to_owned());
        let login = self.ask("/auth/login", &credentials, 200)?.json().unwrap();
        self.memory.tokens.push(text(&login, "refresh_token"));
        for _ in 0..3 {
            let next = self.refreshed()?;
            *self.memory.tokens.last_mut()? = text(&next.json().unwrap(), "refresh_token");
        }
        Some(())
    }

    /// The same token again as long as it is refused: an exchange that was answered with 503 may have happened, and then
    /// its parent gets the same child for half a minute.
    fn refreshed(&mut self) -> Option<Reply> {
        let body = json!({ "refresh_token": self.memory.tokens.last()? });
        loop {
            let reply = self.ask("/auth/refresh", &body, 200);
            if reply.is_some() || self.memory.cut_off || self.shared.stop.load(Ordering::SeqCst) {
                return reply;
            }
        }
    }

    /// The answer, if it was the good one; there are two others: 503, and none.
    fn ask(&mut self, path: &str, body: &Value, good: u16) -> Option<Reply> {
        let address = format!("192.0.2.{}", self.number);
        let headers = [("content-type", "application/json"), ("x-forwarded-for", &address)];
        match self.client.send("POST", path, &headers, body.to_string().into_bytes()) {
            Ok(reply) if reply.status == good => {
                self.shared.answered.fetch_add(1, Ordering::SeqCst);
                return Some(reply);
            }
            Ok(reply) => {
                assert_unavailable(&reply);
                self.shared.refused.fetch_add(1, Ordering::SeqCst);
            }
            Err(_) => self.memory.cut_off = true,
        }
        None
    }
}

/// The answer of an issuer whose store fails: clear, with a time to try again, and without a word about insides.
#[track_caller]
pub(crate) fn assert_unavailable(reply: &Reply) {
    assert_eq!((reply.status, reason(reply).as_str()), (503, "store_unavailable"), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("1"), "{reply:?}");
    let told = String::from_utf8_lossy(&reply.body).to_lowercase();
    assert!(!["127.0.0.1", "mongo", "sqlite", "disk"].iter().any(|inside| told.contains(inside)), "{told}");
}
