use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Several times what a store that is well takes for all that is done evenly.
const STEP: Duration = Duration::from_millis(50);

/// Does the work, and keeps to itself what came of it until a full step since the beginning is over: whoever waits for it
/// does not learn how long it took, and so nothing about whom it concerns.
///
/// What is done for those who exist and for those who do not is much the same, but never quite: here a document more is
/// written, there one is found.
pub(super) async fn evenly<T>(work: impl Future<Output = T>) -> T {
    let mut end = Instant::now() + STEP;
    let done = work.await;
    while end <= Instant::now() {
        end += STEP;
    }
    sleep_until(end).await;
    done
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    async fn taken(work: Duration) -> Duration {
        let begin = Instant::now();
        #[expect(
            clippy::disallowed_methods,
            reason = "stands for work that takes so long; the clock is not real"
        )]
        evenly(sleep(work)).await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_the_work_took_is_not_to_be_seen() {
        for micros in [0, 1, 700, 5_000, 30_000] {
            assert_eq!(taken(Duration::from_micros(micros)).await, STEP, "{micros} µs");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_longer_ends_with_one_of_the_next_steps() {
        for (millis, steps) in [(51, 2), (99, 2), (101, 3), (1_999, 40)] {
            assert_eq!(taken(Duration::from_millis(millis)).await, STEP * steps, "{millis} ms");
        }
    }
}
