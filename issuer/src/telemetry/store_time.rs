use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

tokio::task_local! {
    static CURRENT: StoreTime;
}

/// How long a request has waited for the store. Goes with the request from task to task.
#[derive(Clone, Debug, Default)]
pub struct StoreTime(Arc<AtomicU64>);

impl StoreTime {
    /// That of the request under way; one that nobody reads if there is none.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }

    /// Does `work`, and counts what the store takes for it.
    pub async fn count<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// The store took so long.
    pub fn add(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// All of it, to a hundredth of a millisecond.
    #[must_use]
    pub fn milliseconds(&self) -> f64 {
        let time = Duration::from_micros(self.0.load(Ordering::Relaxed));
        (time.as_secs_f64() * 100_000.0).round() / 100.0
    }
}
