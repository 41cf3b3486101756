use doorward_gate::{Refusal, RequestHead, UnixTime};
use proxy_wasm::types::LogLevel;
use serde_json::json;
use std::cell::Cell;
use std::time::Duration;

use crate::host;

/// Refusal lines that one worker may write in a second, so that an attack does not become a full disk.
const LINES_PER_SECOND: u32 = 20;

/// Tells the operator of refusals.
#[derive(Default)]
pub(crate) struct Reporter {
    since: Cell<UnixTime>,
    written: Cell<u32>,
    withheld: Cell<u32>,
}

impl Reporter {
    /// One line for one refusal: what is needed to look into it, and of the token nothing but a `kid` that was not
    /// found, cut short.
    pub(crate) fn refused(&self, refusal: &Refusal, head: &RequestHead<'_>, enforced: bool) {
        if self.written.get() >= LINES_PER_SECOND {
            self.withheld.set(self.withheld.get().saturating_add(1));
            return;
        }
        self.written.set(self.written.get().saturating_add(1));
        let line = json!({
            "event": if enforced { "refused" } else { "would_refuse" },
            "reason": refusal.reason.name(),
            "rule": refusal.rule,
            "provider": refusal.provider,
            "kid": refusal.kid,
            "request_id": request_id(head),
        });
        host::log(LogLevel::Info, &line.to_string());
    }

    /// Starts the next stretch, once a second is over.
    pub(crate) fn tick(&self, now: UnixTime) {
        if now.abs_diff(self.since.get()) < Duration::from_secs(1) {
            return;
        }
        self.since.set(now);
        self.written.set(0);
        let withheld = self.withheld.take();
        if withheld > 0 {
            host::log(LogLevel::Info, &json!({"event": "refused", "lines_withheld": withheld}).to_string());
        }
    }
}

/// The request id as Envoy made or accepted it.
pub(crate) fn request_id<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    head.single("x-request-id").and_then(|id| str::from_utf8(id).ok())
}
