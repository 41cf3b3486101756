use std::thread;
use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "measuring time is what this is for")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "requests that come at fixed times, and turns that take a time"
)]
pub(super) fn wait_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(now()));
}
