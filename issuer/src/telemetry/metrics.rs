use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Everything that is counted and measured. `docs/operations.md` describes each metric, and a test holds the two together.
///
/// A label's values come from this program's own source: names of routes, reasons, operations and kinds of keys. What a
/// client sends is never one; it would be personal, and there would be no end to it.
pub struct Metrics {
    registry: Registry,
    logins: Family<Label, Counter>,
    registrations: Family<Label, Counter>,
    refreshes: Family<Label, Counter>,
    mails: Family<Label, Counter>,
    requests: Family<RequestLabels, Counter>,
    password_queue: Gauge,
    password_wait: Histogram,
    store: Family<Label, Histogram, fn() -> Histogram>,
    key_age: Family<Label, Gauge<f64, AtomicU64>>,
    key_ring_looks: Family<Label, Counter>,
    events: Family<Label, Counter>,
    event_delay: Histogram,
    outbox: Family<[(&'static str, &'static str); 2], Gauge>,
    outbox_age: Family<Label, Gauge<f64, AtomicU64>>,
}

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Label = [(&'static str, &'static str); 1];
type RequestLabels = [(&'static str, Cow<'static, str>); 2];

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("doorward_issuer"),
            logins: Family::default(),
            registrations: Family::default(),
            refreshes: Family::default(),
            mails: Family::default(),
            requests: Family::default(),
            password_queue: Gauge::default(),
            password_wait: Histogram::new(PASSWORD_WAIT),
            store: Family::new_with_constructor(|| Histogram::new(STORE)),
            key_age: Family::default(),
            key_ring_looks: Family::default(),
            events: Family::default(),
            event_delay: Histogram::new(EVENT_DELAY),
            outbox: Family::default(),
            outbox_age: Family::default(),
        };
        metrics.register();
        metrics.register_outbox();
        // There from the start, at 0, so that the first one shows as a step.
        metrics.mails.get_or_create(&[("outcome", "sent")]).inc_by(0);
        metrics
    }

    /// A login came to its end.
    pub fn login(&self, outcome: &'static str) {
        self.logins.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A registration came to its end.
    pub fn registration(&self, outcome: &'static str) {
        self.registrations.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A refresh came to its end.
    pub fn refresh(&self, outcome: &'static str) {
        self.refreshes.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A mail was tried.
    pub fn mail(&self, outcome: &'static str) {
        self.mails.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A request was answered. `route` is the name of the route, never the path.
    pub fn request(&self, route: &str, status: u16) {
        let class = match status {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&[("route", route.to_owned().into()), ("status", class.into())]).inc();
    }

    /// So many passwords wait to be hashed or checked.
    pub fn passwords_waiting(&self, number: usize) {
        self.password_queue.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// A password's turn has come.
    pub fn password_waited(&self, wait: Duration) {
        self.password_wait.observe(wait.as_secs_f64());
    }

    /// The store has answered.
    pub fn store_took(&self, operation: &'static str, time: Duration) {
        self.store.get_or_create(&[("operation", operation)]).observe(time.as_secs_f64());
    }

    /// The newest key of each kind is that old; there are no other kinds.
    pub fn keys_are_old(&self, ages: impl IntoIterator<Item = (&'static str, Duration)>) {
        self.key_age.clear();
        for (kind, age) in ages {
            self.key_age.get_or_create(&[("kind", kind)]).set(age.as_secs_f64());
        }
    }

    /// The key ring in the store was looked at.
    pub fn key_ring_look(&self, outcome: &'static str) {
        self.key_ring_looks.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// An event was tried, so long after it happened.
    pub fn event_tried(&self, outcome: &'static str, age: Duration) {
        self.events.get_or_create(&[("outcome", outcome)]).inc();
        if outcome == "published" {
            self.event_delay.observe(age.as_secs_f64());
        }
    }

    /// So many entries of the outbox are in that state.
    pub fn outbox_length(&self, channel: &'static str, state: &'static str, number: u64) {
        let labels = [("channel", channel), ("state", state)];
        self.outbox.get_or_create(&labels).set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// The oldest that waits has waited so long.
    pub fn outbox_is_old(&self, channel: &'static str, age: Duration) {
        self.outbox_age.get_or_create(&[("channel", channel)]).set(age.as_secs_f64());
    }

    /// All of it, in the text form that Prometheus reads (OpenMetrics 1.0).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _written = text::encode(&mut text, &self.registry);
        text
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("logins", "Logins by outcome", self.logins.clone());
        registry.register("registrations", "Registrations by outcome", self.registrations.clone());
        registry.register("refreshes", "Refreshes by outcome", self.refreshes.clone());
        registry.register("mails", "Attempts to send a mail by outcome", self.mails.clone());
        registry.register("http_requests", "Answered requests by route and status", self.requests.clone());
        registry.register("password_queue_length", "Passwords that wait", self.password_queue.clone());
        registry.register("key_ring_looks", "Looks at the key ring", self.key_ring_looks.clone());
        let mut seconds = |name, help, metric| {
            registry.register_with_unit(name, help, Unit::Seconds, metric);
        };
        seconds("password_wait", "How long passwords waited", self.password_wait.clone());
        registry.register_with_unit("store", "How long the store took", Unit::Seconds, self.store.clone());
        let key_age = self.key_age.clone();
        registry.register_with_unit("key_age", "Age of the newest key", Unit::Seconds, key_age);
    }

    fn register_outbox(&mut self) {
        let registry = &mut self.registry;
        registry.register("events", "Events tried, by outcome", self.events.clone());
        registry.register("outbox_length", "Entries of the outbox", self.outbox.clone());
        let delay = self.event_delay.clone();
        registry.register_with_unit("event_delay", "From an event to its confirm", Unit::Seconds, delay);
        let age = self.outbox_age.clone();
        registry.register_with_unit("outbox_age", "Age of the oldest that waits", Unit::Seconds, age);
        // From the start, so that an alert on them does not wait for the first.
        for outcome in ["published", "unroutable", "refused", "lost"] {
            drop(self.events.get_or_create(&[("outcome", outcome)]));
        }
        for channel in ["events", "mail"] {
            self.outbox_is_old(channel, Duration::ZERO);
            for state in ["waiting", "unroutable", "parked"] {
                self.outbox_length(channel, state, 0);
            }
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// From a free thread to the pool's deadline.
const PASSWORD_WAIT: [f64; 9] = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// From a broker beside us to one that was away for a while.
const EVENT_DELAY: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0, 60.0, 600.0];
/// From a row in memory to the adapters' own deadline.
const STORE: [f64; 11] = [0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 3.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.login("success");
        metrics.login("success");
        metrics.registration("email_taken");
        metrics.request("/auth/sessions/{sid}", 404);
        metrics.passwords_waiting(7);
        metrics.password_waited(Duration::from_millis(20));
        metrics.store_took("users.insert", Duration::from_micros(300));
        metrics.keys_are_old([("gone", Duration::ZERO)]);
        metrics.keys_are_old([("pepper", Duration::from_secs(86_400))]);
        metrics.key_ring_look("success");
        let text = metrics.text();
        for line in [
            r#"doorward_issuer_logins_total{outcome="success"} 2"#,
            r#"doorward_issuer_registrations_total{outcome="email_taken"} 1"#,
            r#"doorward_issuer_http_requests_total{route="/auth/sessions/{sid}",status="4xx"} 1"#,
            "doorward_issuer_password_queue_length 7",
            r#"doorward_issuer_password_wait_seconds_bucket{le="0.01"} 0"#,
            r#"doorward_issuer_password_wait_seconds_bucket{le="0.05"} 1"#,
            r#"doorward_issuer_store_seconds_bucket{le="0.0005",operation="users.insert"} 1"#,
            r#"doorward_issuer_key_age_seconds{kind="pepper"} 86400.0"#,
            r#"doorward_issuer_key_ring_looks_total{outcome="success"} 1"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("gone"), "{text}");
    }
}
