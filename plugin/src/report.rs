use doorward_gate::{Refusal, RequestHead};
use proxy_wasm::types::LogLevel;
use serde_json::json;
use std::cell::Cell;

use crate::host;

/// Refusal lines that one worker may write between two ticks, so that an attack does not become a full disk.
const LINES_PER_TICK: u32 = 20;

/// Tells the operator of refusals.
#[derive(Default)]
pub(crate) struct Reporter {
    written: Cell<u32>,
    withheld: Cell<u32>,
}

impl Reporter {
    /// One line for one refusal: what is needed to look into it, and nothing that came from the token.
    pub(crate) fn refused(&self, refusal: &Refusal, head: &RequestHead<'_>, enforced: bool) {
        if self.written.get() >= LINES_PER_TICK {
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

    /// Starts the next stretch.
    pub(crate) fn tick(&self) {
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
