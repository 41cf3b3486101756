use doorward_gate::policy::{Provider, RevocationSource, WhenStale};
use doorward_gate::token::revocation::{Board, Feed, Page, Poll, Slot};
use doorward_gate::{Need, UnixTime};
use proxy_wasm::types::LogLevel;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::door::{Callout, Door};
use crate::host;
use crate::metrics::Metrics;

/// How often the board is read: this is how long another worker's news may be on their way to this one.
pub(crate) const FEED_TICK: Duration = Duration::from_millis(100);

/// Where a provider's feed is, and under which names its workers meet.
pub(crate) struct Source {
    provider: usize,
    name: String,
    prefix: String,
}

impl Source {
    pub(crate) fn new(provider: &Provider) -> Option<Self> {
        let RevocationSource { cluster, path, .. } = provider.revocation()?;
        let mut hasher = DefaultHasher::new();
        (provider.name(), provider.issuer(), cluster, path).hash(&mut hasher);
        let prefix = format!("doorward/revocations/{:016x}", hasher.finish());
        Some(Self { provider: provider.index(), name: provider.name().to_string(), prefix })
    }
}

/// Shared data is one space for every plugin with the same `vm_id`: the prefix says whose entries these are.
struct SharedData<'a>(&'a str);

impl SharedData<'_> {
    fn key(&self, slot: Slot) -> String {
        match slot {
            Slot::Lease => format!("{}/lease", self.0),
            Slot::Head => format!("{}/head", self.0),
            Slot::Chunk { odd, number } => format!("{}/{}/{number}", self.0, u8::from(odd)),
        }
    }
}

impl Board for SharedData<'_> {
    fn read(&self, slot: Slot) -> Option<Vec<u8>> {
        host::shared(&self.key(slot))
    }

    fn write(&mut self, slot: Slot, value: &[u8]) {
        host::share(&self.key(slot), value);
    }
}

impl Door {
    /// Reads what other workers heard, and asks what is to be asked. Adds those that were heard of for the first time.
    pub(crate) fn tick_feeds(&self, now: UnixTime, news: &mut Vec<Need>) {
        for source in &self.feeds {
            let next = |feed: &mut Feed| feed.tick(&mut SharedData(&source.prefix), now);
            self.advance_feed(source, next, now, news);
        }
    }

    /// Takes in the answer to a question, and says whether it was one.
    pub(crate) fn feed_answered(
        &self,
        provider: usize,
        number: u64,
        body: Option<Vec<u8>>,
        now: UnixTime,
        news: &mut Vec<Need>,
    ) -> bool {
        let Some(source) = self.feeds.iter().find(|source| source.provider == provider) else { return false };
        let page = match body.map(|body| Page::parse(&body)) {
            Some(Ok(page)) => Some(page),
            Some(Err(error)) => source.complain(&error.to_string()),
            None => source.complain("no answer with status 200 in time"),
        };
        let is_good = page.is_some();
        let next = |feed: &mut Feed| feed.answered(number, page, &mut SharedData(&source.prefix), now);
        self.advance_feed(source, next, now, news);
        is_good
    }

    /// Tells what there is to tell of revocations. What was never heard of is as old as time.
    pub(crate) fn measure_feeds(&self, metrics: &Metrics, now: UnixTime) {
        let mut gate = self.gate.borrow_mut();
        for source in &self.feeds {
            let Some(feed) = gate.feed(source.provider) else { continue };
            let age = now.saturating_sub(feed.synced_at().unwrap_or_default()).as_secs();
            let entries = u64::try_from(feed.set().len()).unwrap_or(u64::MAX);
            metrics.set(&format!("doorward_revocations_age_seconds.provider.{}", source.name), age);
            metrics.set(&format!("doorward_revocations.provider.{}", source.name), entries);
        }
    }

    /// Whether it is worth to wait for a provider's first revocations. Who would be refused without them has nothing to
    /// lose; who would pass waits only while this worker begins, and not for ever behind a feed that never answers.
    pub(crate) fn is_feed_expected(&self, provider: usize) -> bool {
        let mut gate = self.gate.borrow_mut();
        let source = gate.policy().providers().get(provider).and_then(Provider::revocation);
        let is_refused = source.is_some_and(|source| source.when_stale == WhenStale::Deny);
        let is_time = |feed: &Feed| is_refused || feed.is_beginning(host::now());
        gate.feed(provider).is_some_and(|feed| feed.is_expected() && is_time(feed))
    }

    fn advance_feed(
        &self,
        source: &Source,
        step: impl FnOnce(&mut Feed) -> Option<Poll>,
        now: UnixTime,
        news: &mut Vec<Need>,
    ) {
        let mut gate = self.gate.borrow_mut();
        let Some(feed) = gate.feed(source.provider) else { return };
        let knew = feed.synced_at().is_some();
        let poll = step(feed);
        if !knew && feed.synced_at().is_some() {
            let entries = feed.set().len();
            let line = format!("provider {}: revocations are known, {entries} of them", source.name);
            host::log(LogLevel::Info, &line);
            news.push(Need::Revocations(source.provider));
        }
        let Some(poll) = poll else { return };
        let revocation = gate.policy().providers().get(source.provider).and_then(Provider::revocation);
        match revocation.and_then(|revocation| ask(revocation, &poll).ok()) {
            Some(callout) => {
                self.sent(callout, Callout::Feed { provider: source.provider, number: poll.number });
            }
            None => {
                source.complain::<()>("the cluster is unknown, or none of its hosts can be reached");
                if let Some(feed) = gate.feed(source.provider) {
                    // A failure never leads to another question at once.
                    let _ = feed.answered(poll.number, None, &mut SharedData(&source.prefix), now);
                }
            }
        }
    }
}

impl Source {
    fn complain<T>(&self, complaint: &str) -> Option<T> {
        let line = format!("provider {}: revocations could not be asked for: {complaint}", self.name);
        host::log(LogLevel::Warn, &line);
        None
    }
}

fn ask(source: &RevocationSource, poll: &Poll) -> Result<u32, host::HostFailed> {
    let after = poll.after.map(|after| format!("after={after}&")).unwrap_or_default();
    let path = format!("{}?{after}wait={}", source.path, poll.wait.as_secs());
    let bearer = source.token.as_ref().map(|token| format!("Bearer {}", token.expose()));
    let authorization = bearer.as_deref().map(|bearer| ("authorization", bearer));
    host::get(&source.cluster, &source.cluster, &path, authorization, poll.timeout)
}
