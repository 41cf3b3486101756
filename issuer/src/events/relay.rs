//! Claim, publish, confirm, mark. At least once: what the broker may not have is sent again, under the same id.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::broker::Broker;
use super::load::Load;
use super::rabbitmq::{Link, LinkError, Publisher};
use crate::domain::clock::{Clock, Random, later, random_uuid};
use crate::domain::outbox::fate::{Fate, Outcome};
use crate::domain::outbox::{self, Channel, Claim, Claimed, Delivery, OutboxEntry};
use crate::domain::ports::{Outbox, StoreError};
use crate::telemetry::with_causes;

/// Carries what waits in the outbox to the broker, one way.
pub struct Relay {
    /// What it carries.
    pub load: Box<dyn Load>,
    /// Where it waits.
    pub outbox: Arc<dyn Outbox>,
    /// Where it goes.
    pub broker: Broker,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
    /// Whether all is well.
    pub health: watch::Sender<Delivery>,
}

/// How many messages are under way at once, on each of so many channels: one fills its window while the other marks.
const WINDOW: u32 = 256;
const LANES: usize = 2;
/// How long a claim lasts. Longer than confirms may take; as short as a crash should cost.
const CLAIM: Duration = Duration::from_secs(20);
/// How much of it must be left to publish once more.
const MARGIN: Duration = Duration::from_secs(8);
/// How many polls a broker that does not say that it is blocked may take to confirm the first message.
const PATIENCE: u32 = 20;
/// How often to look for what others have written.
const POLL: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the broker takes no messages")]
    NotTaken,
}

impl Relay {
    /// Works until `end`, and then until nothing is left to send or the broker is away.
    pub async fn run(&self, end: CancellationToken) {
        let pauses = || {
            let exponential = ExponentialBuilder::new().with_min_delay(Duration::from_millis(100));
            exponential.with_max_delay(Duration::from_secs(10)).with_jitter().without_max_times().build()
        };
        let (mut pause, exchange) = (pauses(), self.load.exchange());
        while !end.is_cancelled() {
            match self.connect(&end).await {
                Ok((link, publishers)) => {
                    pause = pauses();
                    self.tell(outbox::Link::Ok);
                    tracing::info!(exchange, "connected to the broker");
                    join_all(publishers.iter().map(|publisher| self.work(publisher, &link, &end))).await;
                    link.close().await;
                    if !end.is_cancelled() {
                        tracing::warn!(
                            exchange,
                            "the connection to the broker is lost; what it is to hear waits"
                        );
                    }
                }
                Err(why) => {
                    tracing::debug!(exchange, cause = with_causes(&why), "the broker is still waited for");
                }
            }
            self.tell(outbox::Link::Unavailable);
            let _ended = timeout(pause.next().unwrap_or(POLL), end.cancelled()).await;
        }
    }

    /// A connection, and channels on which the broker really takes messages.
    async fn connect(&self, end: &CancellationToken) -> Result<(Link, Vec<Publisher>), Interrupted> {
        let link = Link::open(&self.broker).await?;
        let mut publishers = Vec::new();
        for _ in 0..LANES {
            publishers.push(link.publisher(self.load.exchange()).await?);
        }
        if let Some(first) = publishers.first() {
            self.probe(first, &link, end).await?;
        }
        Ok((link, publishers))
    }

    /// A broker that is short of something is waited for, however long that takes.
    async fn probe(
        &self,
        publisher: &Publisher,
        link: &Link,
        end: &CancellationToken,
    ) -> Result<(), Interrupted> {
        let mut probe = std::pin::pin!(publisher.probe());
        let mut polls = 0;
        loop {
            if let Ok(probed) = timeout(POLL, &mut probe).await {
                return Ok(probed?);
            }
            polls += 1;
            if end.is_cancelled() || !link.is_open() || (polls > PATIENCE && !link.is_blocked()) {
                return Err(Interrupted::NotTaken);
            }
            if link.is_blocked() {
                self.tell(outbox::Link::Blocked);
            }
        }
    }

    /// Sends what there is, waits for more. Ends with the connection, or at the `end` when nothing is left.
    async fn work(&self, publisher: &Publisher, link: &Link, end: &CancellationToken) {
        let mut news = self.outbox.news();
        while link.is_open() {
            news.mark_unchanged();
            if self.may_send(link) {
                match self.send_batch(publisher, link).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => tracing::debug!(cause = with_causes(&error), "the outbox does not answer"),
                }
            }
            if end.is_cancelled() {
                return;
            }
            let more = async {
                tokio::select! {
                    _ = news.changed() => {}
                    () = end.cancelled() => {}
                }
            };
            let _woken = timeout(POLL, more).await;
        }
    }

    /// Whether the broker takes anything; says so, too, when that has changed.
    fn may_send(&self, link: &Link) -> bool {
        let state = if link.is_blocked() { outbox::Link::Blocked } else { outbox::Link::Ok };
        self.tell(state);
        state == outbox::Link::Ok
    }

    /// Claims, sends and marks; says whether there was anything.
    async fn send_batch(&self, publisher: &Publisher, link: &Link) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let id = random_uuid(&*self.random);
        let claim = Claim { id, channel: self.load.channel(), now, until: later(now, CLAIM), limit: WINDOW };
        let claimed = self.outbox.claim(&claim).await?;
        if claimed.users.is_empty() {
            return Ok(false);
        }
        let fates = self.send(&claimed, publisher, link).await;
        self.outbox.settle(&claimed, &fates, self.clock.now()).await?;
        Ok(!claimed.entries.is_empty())
    }

    /// Sends in rounds, each user's next event in each, so that nobody's events pass one another; every mail is for
    /// itself. Says what became of those that were tried, and of those behind them.
    async fn send(&self, claimed: &Claimed, publisher: &Publisher, link: &Link) -> Vec<(Uuid, Fate)> {
        let latest = later(claimed.claim.now, CLAIM - MARGIN);
        let in_order = self.load.channel() == Channel::Events;
        let mut lines: Vec<&[OutboxEntry]> =
            claimed.entries.chunk_by(|one, next| in_order && one.user == next.user).collect();
        let mut fates = Vec::new();
        while !lines.is_empty() && link.is_open() && self.clock.now() < latest {
            let round: Vec<&OutboxEntry> = lines.iter().filter_map(|line| line.first()).collect();
            let outcomes = self.publish(&round, publisher, link).await;
            let now = self.clock.now();
            let mut next = Vec::new();
            for (line, fate) in lines.into_iter().zip(outcomes) {
                let Some((entry, rest)) = line.split_first() else { continue };
                match fate.behind(now) {
                    Some(behind) => fates.extend(rest.iter().map(|entry| (entry.id, behind.clone()))),
                    None if rest.is_empty() => {}
                    None => next.push(rest),
                }
                fates.push((entry.id, fate));
            }
            lines = next;
        }
        fates
    }

    /// One round.
    async fn publish(&self, round: &[&OutboxEntry], publisher: &Publisher, link: &Link) -> Vec<Fate> {
        let (mut messages, mut unsent) = (Vec::new(), Vec::new());
        for entry in round {
            match self.load.pack(entry, self.clock.now()).await {
                Ok(message) => {
                    messages.push(message);
                    unsent.push(None);
                }
                Err(fate) => unsent.push(Some(fate)),
            }
        }
        let mut outcomes = publisher.publish(&messages, link).await.into_iter();
        let now = self.clock.now();
        let judge = |(entry, unsent): (&&OutboxEntry, Option<Fate>)| {
            unsent.unwrap_or_else(|| {
                let outcome = outcomes.next().unwrap_or(Outcome::Lost);
                if outcome == Outcome::Lost {
                    link.give_up();
                }
                self.load.judge(entry, outcome, now)
            })
        };
        round.iter().zip(unsent).map(judge).collect()
    }

    fn tell(&self, link: outbox::Link) {
        self.health.send_if_modified(|delivery| {
            let before = std::mem::replace(&mut delivery.link, link);
            before != link
        });
    }
}
