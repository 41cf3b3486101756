//! How long something takes.

use std::time::{Duration, Instant};

/// What an action brings, and how long it takes.
#[expect(
    clippy::disallowed_methods,
    reason = "how long real requests are held is what these tests are about"
)]
pub(crate) fn timed<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = action();
    (result, start.elapsed())
}
