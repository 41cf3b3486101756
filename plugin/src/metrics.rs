use doorward_gate::{Reason, Refusal};
use proxy_wasm::types::MetricType;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::host;

/// Counts, kept in the VM and handed to Envoy on the tick: a call to the host for each would cost more than the
/// decision.
///
/// Envoy's wasm metrics have no labels, so they stand in the name as `.label.value` pairs; the shipped bootstrap
/// takes them out again with `stats_tags`.
pub(crate) struct Metrics {
    /// Requests that passed: none of a rule, then by rule. Counted for most requests, so this is not looked up.
    passed: RefCell<Vec<u64>>,
    requests: RefCell<HashMap<(Outcome, Option<usize>), u64>>,
    known: RefCell<HashMap<String, Option<u32>>>,
    held: Cell<i64>,
}

/// Metrics without labels, which can be shown before anything is counted.
const FROM_THE_START: [(MetricType, &str); 3] = [
    (MetricType::Counter, "doorward_failures"),
    (MetricType::Counter, "doorward_held"),
    (MetricType::Gauge, "doorward_held_now"),
];

/// What became of a request that was not let in, or would not have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Refused(Reason),
    WouldRefuse(Reason),
}

impl Metrics {
    /// Nothing is counted yet. What a dashboard or an alert looks at stands in Envoy's list all the same, as 0: a rise
    /// from nothing at all is none to Prometheus.
    pub(crate) fn new() -> Self {
        let metrics = Self {
            passed: RefCell::default(),
            requests: RefCell::default(),
            known: RefCell::default(),
            held: Cell::default(),
        };
        for (kind, name) in FROM_THE_START {
            metrics.metric(kind, name);
        }
        metrics
    }

    pub(crate) fn forwarded(&self, rule: Option<usize>) {
        let mut passed = self.passed.borrow_mut();
        let place = rule.map_or(0, |rule| rule.saturating_add(1));
        if place >= passed.len() {
            passed.resize(place.saturating_add(1), 0);
        }
        if let Some(count) = passed.get_mut(place) {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn refused(&self, refusal: &Refusal, enforced: bool) {
        let outcome = if enforced { Outcome::Refused } else { Outcome::WouldRefuse };
        self.count(outcome(refusal.reason), refusal.rule);
    }

    fn count(&self, outcome: Outcome, rule: Option<usize>) {
        let mut requests = self.requests.borrow_mut();
        let count = requests.entry((outcome, rule)).or_default();
        *count = count.saturating_add(1);
    }

    /// Hands over what was counted since the last time.
    pub(crate) fn flush(&self) {
        for (place, count) in self.passed.borrow_mut().iter_mut().enumerate().filter(|(_, count)| **count > 0)
        {
            self.hand_over("forward", "none", place.checked_sub(1), std::mem::take(count));
        }
        for ((outcome, rule), count) in self.requests.borrow_mut().drain() {
            let (decision, reason) = match outcome {
                Outcome::Refused(reason) => ("refuse", reason.name()),
                Outcome::WouldRefuse(reason) => ("shadow", reason.name()),
            };
            self.hand_over(decision, reason, rule, count);
        }
    }

    fn hand_over(&self, decision: &str, reason: &str, rule: Option<usize>, count: u64) {
        let rule = rule.map_or_else(|| "none".to_owned(), |rule| rule.to_string());
        self.add(&format!("doorward_requests.decision.{decision}.reason.{reason}.rule.{rule}"), count);
    }

    /// Adds to a counter.
    pub(crate) fn add(&self, name: &str, count: u64) {
        if let (1.., Ok(amount), Some(metric)) =
            (count, i64::try_from(count), self.metric(MetricType::Counter, name))
        {
            host::add_to_metric(metric, amount);
        }
    }

    /// Sets a gauge. Workers share it, so it is for what is the same for all of them.
    pub(crate) fn set(&self, name: &str, value: u64) {
        if let Some(metric) = self.metric(MetricType::Gauge, name) {
            host::set_metric(metric, value);
        }
    }

    /// Tells how many requests this worker holds; all workers add up to one gauge.
    pub(crate) fn hold(&self, requests: usize) {
        let now = i64::try_from(requests).unwrap_or(i64::MAX);
        let change = now.saturating_sub(self.held.replace(now));
        if let (true, Some(metric)) = (change != 0, self.metric(MetricType::Gauge, "doorward_held_now")) {
            host::add_to_metric(metric, change);
        }
    }

    fn metric(&self, kind: MetricType, name: &str) -> Option<u32> {
        let mut known = self.known.borrow_mut();
        *known.entry(name.to_owned()).or_insert_with(|| host::define_metric(kind, name))
    }
}
