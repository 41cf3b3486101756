use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, SystemTime};

use doorward_gate::keys::lifecycle::{Board, Effect, Event, Lifecycle};
use doorward_gate::keys::{Algorithm, KeySet};
use doorward_gate::policy::{Config, HeaderMutation, Policy, RemoteKeys};
use doorward_gate::{Decision, Gate, Host, Reply, RequestHead, SignatureCheck, UnixTime, Waiting};
use serde_json::json;

use super::{GateError, Question, Trusted, Verdict};

/// How many requests may wait for the gate, and how many more for keys.
const QUEUE: usize = 1024;
/// How often to look whether keys are due, at rest and when something is expected.
const REST: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_millis(20);
/// One gate has no other to agree with, and its issuer is the first that it knows.
const ME: u64 = 0;
const PROVIDER: usize = 0;

/// What the thread is given to do.
pub(super) enum Work {
    /// A request wants to pass.
    Decide(Question),
    /// A fetch of keys has ended: the document, or why there is none.
    Fetched(Result<Vec<u8>, String>),
}

/// The gate, and the keys it trusts: fetched, kept and forgotten by the same rules as in the gateway.
pub(super) struct Keeper {
    gate: Gate,
    lifecycle: Lifecycle,
    /// What several gateways would see of each other.
    board: Board,
    jwks: String,
    timeout: Duration,
    /// Requests that wait for keys, each with the moment when it has waited enough.
    held: Vec<(UnixTime, Question)>,
    work: SyncSender<Work>,
}

impl Keeper {
    /// Starts the thread, and returns the way to it.
    pub(super) fn start(trusted: &Trusted) -> Result<SyncSender<Work>, GateError> {
        // Once here, where a mistake can be told; the thread makes its own, since a policy stays where it was made.
        policy(trusted)?;
        let (work, arriving) = mpsc::sync_channel(QUEUE);
        let (trusted, own) = (trusted.clone(), work.clone());
        let run = move || {
            if let Some(keeper) = Self::new(&trusted, own) {
                keeper.run(&arriving);
            }
        };
        thread::Builder::new().name("gate".to_owned()).spawn(run).map_err(GateError::Thread)?;
        Ok(work)
    }

    fn new(trusted: &Trusted, work: SyncSender<Work>) -> Option<Self> {
        let policy = policy(trusted).ok()?;
        let timing: RemoteKeys = policy.providers().first()?.remote_keys()?.clone();
        Some(Self {
            timeout: timing.timeout,
            lifecycle: Lifecycle::new(ME, timing),
            gate: Gate::new(policy, ME),
            board: Board::default(),
            jwks: trusted.jwks.clone(),
            held: Vec::new(),
            work,
        })
    }

    fn run(mut self, arriving: &Receiver<Work>) {
        loop {
            self.tick();
            self.release(|until| until <= System.now());
            let pause = if self.lifecycle.is_busy() { BUSY } else { REST };
            match arriving.recv_timeout(pause) {
                Ok(Work::Decide(question)) => self.decide(question, Waiting::Allowed),
                Ok(Work::Fetched(fetched)) => self.take_in(fetched),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn decide(&mut self, question: Question, waiting: Waiting) {
        let pairs = question.head.iter().map(|(name, value)| (&name[..], &value[..]));
        let head = RequestHead::from_pairs(pairs);
        let mut decision = self.gate.decide(&head, &System, waiting);
        if matches!(decision, Decision::Hold(_)) {
            let now = System.now();
            if self.held.len() < QUEUE && self.lifecycle.want(now) {
                self.held.push((now.saturating_add(self.timeout), question));
                return;
            }
            decision = self.gate.decide(&head, &System, Waiting::Over);
        }
        let verdict = match decision {
            Decision::Forward(_, mutation) => passing(&mutation),
            Decision::Refuse(refusal) => {
                Verdict::Refuse(Reply::new(refusal.reason, question.request_id.as_deref()))
            }
            Decision::Hold(_) => Verdict::Refuse(Reply::broken()),
        };
        // Whoever asked may be gone.
        let _gone = question.answer.send(verdict);
    }

    fn tick(&mut self) {
        let board = self.board.clone();
        let effects = self.lifecycle.on(Event::Tick(board), System.now());
        self.act(effects);
    }

    fn take_in(&mut self, fetched: Result<Vec<u8>, String>) {
        let usable = fetched.and_then(|document| match keys(&document) {
            Some(_) => Ok(document),
            None => Err("they hold none that can be used".to_owned()),
        });
        let event = usable.map(Event::Fetched).unwrap_or_else(|why| {
            eprintln!("the issuer's keys cannot be had: {why}");
            Event::FetchFailed
        });
        let effects = self.lifecycle.on(event, System.now());
        self.act(effects);
        self.release(|_| true);
    }

    /// Decides those who have waited enough, with what there is.
    fn release(&mut self, enough: impl Fn(UnixTime) -> bool) {
        for (_, question) in self.held.extract_if(.., |(until, _)| enough(*until)).collect::<Vec<_>>() {
            self.decide(question, Waiting::Over);
        }
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::WriteLease(lease) => self.board.lease = Some(lease),
                Effect::Fetch => self.fetch(),
                Effect::Install(document) => self.gate.install(PROVIDER, keys(&document)),
                Effect::Drop => self.gate.install(PROVIDER, None),
                // Nobody else reads the record, and keys that were confirmed are in use already.
                Effect::WriteRecord(_) | Effect::Confirmed => {}
            }
        }
    }

    /// On a thread of its own, so that a slow issuer holds up nobody whose key is known.
    fn fetch(&self) {
        let (url, timeout, work) = (self.jwks.clone(), self.timeout, self.work.clone());
        let fetch = move || {
            let request = ureq::get(&url).config().timeout_global(Some(timeout)).build();
            let fetched = request.call().and_then(|mut reply| reply.body_mut().read_to_vec());
            let _ended = work.send(Work::Fetched(fetched.map_err(|failure| failure.to_string())));
        };
        if let Err(failure) = thread::Builder::new().name("keys".to_owned()).spawn(fetch) {
            // The lease runs out, and it is tried again.
            eprintln!("no thread can be started to fetch keys ({failure})");
        }
    }
}

/// The rules that the shipped gateway has for this service, and whose tokens count.
fn policy(trusted: &Trusted) -> Result<Policy, GateError> {
    let wrong = |error: doorward_gate::policy::ConfigError| GateError::Policy(error.to_string());
    let algorithms: Vec<_> = ALGORITHMS.iter().map(|algorithm| algorithm.name()).collect();
    // Envoy's names for where the keys are. We are no Envoy, and fetch them from `--jwks`.
    let remote = json!({ "cluster": "issuer", "authority": "issuer", "path": "/.well-known/jwks.json" });
    let settings = json!({
        "providers": [{
            "name": "doorward",
            "issuer": trusted.issuer,
            "audiences": [trusted.audience],
            "algorithms": algorithms,
            "token_type": "at+jwt",
            "keys": { "remote": remote },
        }],
        "rules": [
            { "path": "/users", "allow": { "role": "admin" } },
            { "path": "/users/{id}", "allow": { "any_of": [{ "owner": "id" }, { "role": "admin" }] } },
        ],
    });
    Policy::compile(Config::read(settings).map_err(wrong)?, &|_| None).map_err(wrong)
}

/// What the issuer can be set to sign with; each key says which of them it is for.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa];

/// The keys of a document, if there is one in it that we can use.
fn keys(document: &[u8]) -> Option<KeySet> {
    KeySet::from_jwks(document, &ALGORITHMS).ok().filter(|keys| !keys.is_empty())
}

fn passing(mutation: &HeaderMutation) -> Verdict {
    let set = mutation.set().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Verdict::Pass { remove: mutation.remove().map(str::to_owned).collect(), set }
}

/// What the gate needs of the machine.
struct System;

impl Host for System {
    #[expect(clippy::disallowed_methods, reason = "the edge where the gate gets its time")]
    fn now(&self) -> UnixTime {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    /// Not here: the core does it itself.
    fn verify_signature(&self, _: &SignatureCheck<'_>) -> Option<bool> {
        None
    }
}
