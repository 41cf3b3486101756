//! Waiting for a condition, with a deadline. The only place in the harness and the tests that sleeps.

use std::time::{Duration, Instant};

/// Asks until there is an answer, or the time is up.
#[expect(clippy::disallowed_methods, reason = "the one loop that waits for conditions of other processes")]
pub fn until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
