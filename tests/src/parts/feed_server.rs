//! A feed of revocations that does as it is told: follows the contract, fails, lies, or says nothing.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::served::Served;
use crate::Result;

/// How a question is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// As the contract says.
    Faithful,
    /// With this status and nothing else.
    Status(u16),
    /// With this text, whatever was asked.
    Text(String),
    /// Not at all, until the mood changes.
    Silent,
}

/// What a gateway asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Where to go on.
    pub after: Option<u64>,
    /// For how many seconds it would wait.
    pub wait: u64,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    items: Vec<(u64, Value)>,
    newest: u64,
    asked: Vec<Question>,
    waiting: usize,
    most_waiting: usize,
    stopped: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    token: String,
}

/// Entries of a page, as the issuer's.
const PAGE: usize = 5_000;

/// The server on a port of its own, until it is dropped.
#[derive(Debug)]
pub struct FeedServer {
    shared: Arc<Shared>,
    served: Served,
}

impl FeedServer {
    /// Starts one with an empty list, which asks for this token.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub fn start(token: &str) -> Result<Self> {
        let state = State {
            mood: Mood::Faithful,
            items: vec![],
            newest: 0,
            asked: vec![],
            waiting: 0,
            most_waiting: 0,
            stopped: false,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), token: token.to_owned() });
        let for_threads = Arc::clone(&shared);
        let served = Served::by(move |stream| serve(&stream, &for_threads))?;
        Ok(Self { shared, served })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.served.port()
    }

    /// From now on questions are answered like this, those that wait included.
    pub fn mood(&self, mood: Mood) {
        self.change(|state| state.mood = mood);
    }

    /// Adds entries, which wakes who waits. `until` is far off unless they say something else.
    pub fn revoke(&self, items: impl IntoIterator<Item = Value>) {
        self.change(|state| {
            for mut item in items {
                if item.get("until").is_none() {
                    item["until"] = json!("2099-01-01T00:00:00Z");
                }
                state.newest += 1;
                state.items.push((state.newest, item));
            }
        });
    }

    /// The store was lost: the list is empty, and places begin anew.
    pub fn begin_anew(&self) {
        self.change(|state| {
            state.items.clear();
            state.newest = 0;
        });
    }

    /// All questions so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Question> {
        self.shared.lock().asked.clone()
    }

    /// How many questions waited at the same time, at most.
    #[must_use]
    pub fn most_waiting(&self) -> usize {
        self.shared.lock().most_waiting
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.lock());
        self.shared.changed.notify_all();
    }
}

impl Drop for FeedServer {
    fn drop(&mut self) {
        self.change(|state| state.stopped = true);
    }
}

impl State {
    fn page(&self, after: Option<u64>) -> Value {
        let known = after.filter(|after| *after <= self.newest);
        let from = known.unwrap_or(0);
        let mut rest = self.items.iter().filter(|(place, _)| *place > from);
        let items: Vec<_> = rest.by_ref().take(PAGE).collect();
        let next = items.last().map_or(if known.is_some() { from } else { self.newest }, |(place, _)| *place);
        let more = rest.next().is_some();
        let items: Vec<_> = items.into_iter().map(|(_, item)| item).collect();
        json!({"next": next, "more": more, "reset": known.is_none(), "items": items})
    }

    fn has_news(&self, question: &Question) -> bool {
        match self.mood {
            Mood::Faithful => question.after.is_none_or(|after| after != self.newest),
            Mood::Status(_) | Mood::Text(_) => true,
            Mood::Silent => false,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status and the text of an answer; `None` when the server stops.
    fn answer(&self, question: Question) -> Option<(u16, String)> {
        let mut state = self.lock();
        state.asked.push(question.clone());
        state.waiting += 1;
        state.most_waiting = state.most_waiting.max(state.waiting);
        let wait = Duration::from_secs(question.wait);
        let idle = |state: &mut State| !state.stopped && !state.has_news(&question);
        let (mut state, _) =
            self.changed.wait_timeout_while(state, wait, idle).unwrap_or_else(PoisonError::into_inner);
        while state.mood == Mood::Silent && !state.stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        if state.stopped {
            return None;
        }
        Some(match &state.mood {
            Mood::Status(status) => (*status, String::new()),
            Mood::Text(text) => (200, text.clone()),
            Mood::Faithful | Mood::Silent => (200, state.page(question.after).to_string()),
        })
    }
}

fn serve(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(request_line) = lines.next().transpose()? {
        let mut authorization = None;
        while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
            let value = line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
            authorization = value.map(|(_, value)| value.to_owned()).or(authorization);
        }
        let answer = if authorization == Some(format!("Bearer {}", shared.token)) {
            shared.answer(question(&request_line))
        } else {
            Some((401, String::new()))
        };
        let Some((status, text)) = answer else { return Ok(()) };
        let head = format!(
            "HTTP/1.1 {status} As told\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// From `GET /revocations?after=7&wait=25 HTTP/1.1`.
fn question(request_line: &str) -> Question {
    let target = request_line.split(' ').nth(1).unwrap_or_default();
    let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let number = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok())
    };
    Question { after: number("after"), wait: number("wait").unwrap_or(0) }
}
