use doorward_gate::keys::lifecycle::{Board, Effect, Event, Lease, Lifecycle, Record};
use doorward_gate::keys::{Algorithm, KeySet};
use doorward_gate::policy::{Policy, Provider, RemoteKeys};
use doorward_gate::{Decision, Gate, Need, RequestHead, UnixTime, Waiting};
use proxy_wasm::types::LogLevel;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::rc::Rc;
use std::time::Duration;

use crate::feeds::{FEED_TICK, Source};
use crate::host::{self, Envoy};
use crate::metrics::Metrics;

/// How often the board is read while something is expected to happen there, and how often otherwise.
const BUSY_TICK: Duration = Duration::from_millis(50);
const CALM_TICK: Duration = Duration::from_secs(1);

/// What one worker shares between its requests. One thread uses it, and never from within itself.
pub(crate) struct Door {
    pub(crate) gate: RefCell<Gate>,
    envoy: Envoy,
    remotes: RefCell<Vec<Remote>>,
    pub(crate) feeds: Vec<Source>,
    callouts: RefCell<HashMap<u32, Callout>>,
    tick_period: Cell<Duration>,
}

/// A question that this worker has sent, and about whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callout {
    Keys { provider: usize },
    Feed { provider: usize, number: u64 },
}

impl Callout {
    /// An answer larger than any key document, or any page of revocations, is not even read.
    pub(crate) fn longest_answer(self) -> usize {
        match self {
            Self::Keys { .. } => 512 * 1024,
            Self::Feed { .. } => 2 * 1024 * 1024,
        }
    }
}

/// A provider whose keys are fetched.
struct Remote {
    provider: usize,
    name: String,
    algorithms: Vec<Algorithm>,
    source: RemoteKeys,
    lifecycle: Lifecycle,
    /// The keys of the document that has just been fetched.
    judged: Option<KeySet>,
    record_key: String,
    /// When the record was fetched: all that is read of it as long as it is the one in use.
    stamp_key: String,
    lease_key: String,
}

impl Door {
    pub(crate) fn new(policy: Policy) -> Self {
        // One number for all providers: it only has to tell workers apart.
        let me = RandomState::new().build_hasher().finish();
        let remotes = policy.providers().iter().filter_map(|provider| Remote::new(provider, me)).collect();
        let feeds = policy.providers().iter().filter_map(Source::new).collect();
        Self {
            gate: RefCell::new(Gate::new(policy, me)),
            envoy: Envoy::probe(),
            remotes: RefCell::new(remotes),
            feeds,
            callouts: RefCell::default(),
            tick_period: Cell::default(),
        }
    }

    pub(crate) fn native_signatures(&self) -> bool {
        self.envoy.native_signatures()
    }

    pub(crate) fn decide(&self, head: &RequestHead<'_>, waiting: Waiting) -> Decision {
        self.gate.borrow_mut().decide(head, &self.envoy, waiting)
    }

    pub(crate) fn shadow(&self, head: &RequestHead<'_>) -> Option<doorward_gate::policy::HeaderMutation> {
        self.gate.borrow().shadow(head)
    }

    /// Protected names among these headers or trailers.
    pub(crate) fn protected_in(&self, head: &RequestHead<'_>) -> Vec<Rc<str>> {
        self.gate.borrow().policy().headers().present_in(head)
    }

    /// Whether a request may wait for what it needs; if so, that is being seen to.
    pub(crate) fn is_worth_waiting(&self, need: Need) -> bool {
        let mut remotes = self.remotes.borrow_mut();
        let worth = match need {
            Need::Keys(provider) => {
                let remote = remotes.iter_mut().find(|remote| remote.provider == provider);
                remote.is_some_and(|remote| remote.lifecycle.want(host::now()))
            }
            Need::Revocations(provider) => self.is_feed_expected(provider),
        };
        if worth {
            self.tick_every(BUSY_TICK);
        }
        worth
    }

    /// Sets the time between ticks. Envoy starts counting anew at each call, so a call that changes nothing would put
    /// the next tick off, and requests that keep coming would put it off for ever.
    pub(crate) fn tick_every(&self, period: Duration) {
        if self.tick_period.replace(period) != period {
            host::tick_every(period);
        }
    }

    /// Lets everything take in what the board says. Returns the news, and when to come back.
    pub(crate) fn tick(&self, now: UnixTime) -> (Vec<Need>, Duration) {
        self.envoy.ticked(now);
        let mut news = Vec::new();
        self.tick_feeds(now, &mut news);
        let mut remotes = self.remotes.borrow_mut();
        for remote in remotes.iter_mut() {
            let event = Event::Tick(remote.board());
            self.advance(remote, event, now, &mut news);
        }
        let is_busy = remotes.iter().any(|remote| remote.lifecycle.is_busy());
        let next = if self.feeds.is_empty() { CALM_TICK } else { FEED_TICK };
        (news, if is_busy { BUSY_TICK } else { next })
    }

    /// Remembers what an answer will be about.
    pub(crate) fn sent(&self, callout: u32, about: Callout) {
        self.callouts.borrow_mut().insert(callout, about);
    }

    /// What an answer that has arrived is about.
    pub(crate) fn landed(&self, callout: u32) -> Option<Callout> {
        self.callouts.borrow_mut().remove(&callout)
    }

    /// Takes in the answer to a fetch; `None` if there was no good one.
    pub(crate) fn keys_answered(
        &self,
        provider: usize,
        body: Option<Vec<u8>>,
        now: UnixTime,
        news: &mut Vec<Need>,
    ) {
        if let Some(remote) = self.remotes.borrow_mut().iter_mut().find(|r| r.provider == provider) {
            let event = remote.judge(body);
            self.advance(remote, event, now, news);
            remote.judged = None;
        }
    }

    /// Tells what there is to tell of cache, signatures and keys.
    pub(crate) fn measure(&self, metrics: &Metrics, now: UnixTime) {
        let lookups = self.gate.borrow_mut().take_lookups();
        metrics.add("doorward_token_cache.result.hit", lookups.hits);
        metrics.add("doorward_token_cache.result.miss", lookups.misses);
        let (native, here) = self.envoy.take_checked();
        metrics.add("doorward_signatures.where.host", native);
        metrics.add("doorward_signatures.where.wasm", here);
        for remote in self.remotes.borrow().iter() {
            if let Some(fetched_at) = remote.lifecycle.fetched_at() {
                let age = now.saturating_sub(fetched_at).as_secs();
                metrics.set(&format!("doorward_keys_age_seconds.provider.{}", remote.name), age);
            }
        }
        self.measure_feeds(metrics, now);
    }

    /// Whether the user id is to be put where access logs find it.
    pub(crate) fn tells_access_log(&self) -> bool {
        self.gate.borrow().policy().access_log()
    }

    fn advance(&self, remote: &mut Remote, event: Event, now: UnixTime, news: &mut Vec<Need>) {
        for effect in remote.lifecycle.on(event, now) {
            match effect {
                Effect::WriteLease(lease) => host::share(&remote.lease_key, &lease.to_bytes()),
                Effect::WriteRecord(record) => {
                    host::share(&remote.record_key, &record.to_bytes());
                    host::share(&remote.stamp_key, &record.stamp());
                }
                Effect::Fetch => self.fetch(remote, now, news),
                Effect::Install(document) => {
                    let read = || KeySet::from_jwks(&document, &remote.algorithms).ok();
                    let keys = remote.judged.take().or_else(read);
                    remote.announce(keys.as_ref());
                    self.gate.borrow_mut().install(remote.provider, keys);
                    news.push(Need::Keys(remote.provider));
                }
                Effect::Confirmed => news.push(Need::Keys(remote.provider)),
                Effect::Drop => {
                    host::log(
                        LogLevel::Error,
                        &format!("provider {}: keys are too old to be trusted", remote.name),
                    );
                    self.gate.borrow_mut().install(remote.provider, None);
                }
            }
        }
    }

    fn fetch(&self, remote: &mut Remote, now: UnixTime, news: &mut Vec<Need>) {
        let source = &remote.source;
        match host::get(&source.cluster, &source.authority, &source.path, None, source.timeout) {
            Ok(callout) => self.sent(callout, Callout::Keys { provider: remote.provider }),
            Err(host::HostFailed) => {
                let line = format!(
                    "provider {}: cluster {} is unknown, or none of its hosts can be reached",
                    remote.name, source.cluster
                );
                host::log(LogLevel::Error, &line);
                self.advance(remote, Event::FetchFailed, now, news);
            }
        }
    }
}

impl Remote {
    fn new(provider: &Provider, me: u64) -> Option<Self> {
        let source = provider.remote_keys()?.clone();
        // Shared data is one space for every plugin with the same vm_id: the names say whose keys they are, from
        // where, and for what.
        let mut hasher = DefaultHasher::new();
        (provider.name(), provider.issuer(), &source.cluster, &source.authority, &source.path)
            .hash(&mut hasher);
        provider.algorithms().hash(&mut hasher);
        let identity = hasher.finish();
        Some(Self {
            provider: provider.index(),
            name: provider.name().to_string(),
            algorithms: provider.algorithms().to_vec(),
            lifecycle: Lifecycle::new(me, source.clone()),
            source,
            judged: None,
            record_key: format!("doorward/keys/{identity:016x}"),
            stamp_key: format!("doorward/keys-stamp/{identity:016x}"),
            lease_key: format!("doorward/lease/{identity:016x}"),
        })
    }

    fn board(&self) -> Board {
        let is_known = self.lifecycle.is_in_use(host::shared(&self.stamp_key).as_deref());
        let record = if is_known { None } else { host::shared(&self.record_key) };
        Board {
            record: record.and_then(|bytes| Record::from_bytes(&bytes)),
            lease: host::shared(&self.lease_key).and_then(|bytes| Lease::from_bytes(&bytes)),
        }
    }

    fn announce(&self, keys: Option<&KeySet>) {
        let (usable, others) = keys.map(|keys| (keys.len(), keys.refused())).unwrap_or_default();
        let line = format!("provider {}: {usable} keys in use, {others} others cannot be used", self.name);
        host::log(LogLevel::Info, &line);
    }

    /// Only a document that holds a usable key may replace the one in use.
    fn judge(&mut self, body: Option<Vec<u8>>) -> Event {
        let complaint = match body.map(|body| (KeySet::from_jwks(&body, &self.algorithms), body)) {
            Some((Ok(keys), body)) => {
                self.judged = Some(keys);
                return Event::Fetched(body);
            }
            Some((Err(error), _)) => error.to_string(),
            None => "no answer with status 200 in time".to_owned(),
        };
        let line = format!(
            "provider {}: keys could not be fetched from cluster {}: {complaint}",
            self.name, self.source.cluster
        );
        host::log(LogLevel::Warn, &line);
        Event::FetchFailed
    }
}
