use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::clock::Clock;
use super::ports::{Revocations, StoreError};
use super::revocation::{Revocation, RevocationPage};

/// Tells gateways which tokens are dead, as soon as they are: each asks for what came after the last place it knows, and
/// waits if there is nothing.
pub struct RevocationFeed {
    revocations: Arc<dyn Revocations>,
    clock: Arc<dyn Clock>,
    /// The newest place that was seen, by which all who wait are woken.
    newest: watch::Sender<u64>,
}

/// What a gateway gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// In the order of their places.
    pub items: Vec<Revocation>,
    /// Where to go on.
    pub next: u64,
    /// Whether there is another page already.
    pub more: bool,
    /// Whether this is the beginning of everything there is, because the place asked for is none of this list.
    pub reset: bool,
}

/// Entries on one page.
pub const PAGE: u32 = 5_000;

/// How often to look for what other processes wrote, while somebody waits.
const POLL: Duration = Duration::from_millis(100);

impl RevocationFeed {
    /// A feed of that list.
    #[must_use]
    pub fn new(revocations: Arc<dyn Revocations>, clock: Arc<dyn Clock>) -> Self {
        Self { revocations, clock, newest: watch::Sender::new(0) }
    }

    /// What came after the place `after`; everything, if there is no such place. Waits for at most `wait`, and not
    /// after `end`, as long as there is nothing.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn after(
        &self,
        after: Option<u64>,
        wait: Duration,
        end: impl Future<Output = ()>,
    ) -> Result<FeedPage, StoreError> {
        // From here on nothing can happen unnoticed, whatever the first look misses.
        let mut newest = self.newest.subscribe();
        let page = self.page(after).await?;
        if !page.items.is_empty() || page.reset || wait.is_zero() {
            return Ok(page);
        }
        let place = page.next;
        let mut end = pin!(end);
        let wakes = timeout(wait, async {
            tokio::select! {
                _ = newest.wait_for(|newest| *newest > place) => {}
                () = &mut end => {}
            }
        });
        match wakes.await {
            Ok(()) => self.page(Some(place)).await,
            Err(_elapsed) => Ok(page),
        }
    }

    /// Watches the list until `end`, for those who wait.
    pub async fn follow(&self, end: impl Future<Output = ()>) {
        let mut news = self.revocations.news();
        let mut end = pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                // The store lives as long as this does, so its news never end.
                _ = timeout(POLL, news.changed()) => {}
            }
            if self.newest.receiver_count() == 0 {
                continue;
            }
            // A store that does not answer wakes nobody; they hear of it when they ask again.
            if let Ok(page) = self.read(u64::MAX).await {
                self.newest.send_if_modified(|newest| std::mem::replace(newest, page.newest) != page.newest);
            }
        }
    }

    async fn page(&self, after: Option<u64>) -> Result<FeedPage, StoreError> {
        let page = self.read(after.unwrap_or(0)).await?;
        match after {
            Some(after) if after <= page.newest => Ok(FeedPage::new(page, after, false)),
            // Nobody was ever given such a place, or the store is older than it was: an earlier state was restored.
            _ => Ok(FeedPage::new(self.read(0).await?, 0, true)),
        }
    }

    async fn read(&self, after: u64) -> Result<RevocationPage, StoreError> {
        // One more than fits tells whether there is another page.
        self.revocations.after(after, PAGE + 1, self.clock.now()).await
    }
}

impl FeedPage {
    fn new(RevocationPage { mut items, newest }: RevocationPage, after: u64, reset: bool) -> Self {
        let more = items.len() > PAGE as usize;
        items.truncate(PAGE as usize);
        // An empty list has a place, too: whoever starts with it need not be told to start again.
        let behind = if reset { newest } else { after };
        let next = items.last().map_or(behind, |last| last.seq);
        Self { items, next, more, reset }
    }
}
