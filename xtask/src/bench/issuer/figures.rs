use std::fmt::{self, Display};

use super::events::Events;
use super::logins::Rates;
use super::refreshes::{Latency, PACE};
use super::sizes::{Memory, Starts};
use super::timing::{COST, Comparison, Timing};
use crate::bench::measure::Percentiles;
use crate::bench::table::{row, verdict, write_table};

/// What came out.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) logins: Rates,
    pub(super) latency: Latency,
    pub(super) rate: Rates,
    pub(super) memory: Memory,
    pub(super) starts: Starts,
    pub(super) timing: Timing,
    pub(super) events: Events,
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &["", "measured", "target", ""], &self.rows())
    }
}

impl Figures {
    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![
            ratio("logins a second / hashes of bcrypt alone", &self.logins, 0.95),
            ratio("refreshes a second / exchanges of the driver alone", &self.rate, 0.5),
        ];
        rows.extend(self.latency_rows());
        rows.extend(self.memory_rows());
        rows.extend(self.start_rows());
        rows.extend(self.timing_rows());
        rows.extend(self.event_rows());
        rows
    }

    fn latency_rows(&self) -> [Vec<String>; 2] {
        let Latency { idle, saturated } = self.latency;
        let limit = (2.0 * idle.p99).max(25.0);
        [
            row(&format!("refresh at {PACE}/s, idle"), shown(idle), "", ""),
            row(
                &format!("refresh at {PACE}/s while logins saturate"),
                shown(saturated),
                &format!("p99 at most {limit:.1} ms, none failed"),
                verdict(saturated.p99 <= limit),
            ),
        ]
    }

    fn memory_rows(&self) -> Vec<Vec<String>> {
        let sessions = self.memory.sessions;
        let of = |(store, idle, full): &(&str, f64, f64)| {
            let weighs = |what: &str, megabytes: f64, limit: f64| {
                let target = format!("below {limit:.0} MB");
                row(what, format!("{megabytes:.1} MB"), &target, verdict(megabytes < limit))
            };
            [
                weighs(&format!("resident on {store}, idle"), *idle, 40.0),
                weighs(&format!("resident on {store}, after {sessions} logins"), *full, 80.0),
            ]
        };
        self.memory.stores.iter().flat_map(of).collect()
    }

    fn start_rows(&self) -> [Vec<String>; 2] {
        let start =
            |what, time: f64| row(what, format!("{time:.0} ms"), "below 300 ms", verdict(time < 300.0));
        [
            start("start on SQLite, the first one", self.starts.first),
            start("start on SQLite, later ones", self.starts.later),
        ]
    }

    fn event_rows(&self) -> [Vec<String>; 4] {
        let Events { delay, broker_up, broker_down, relay } = &self.events;
        let (rate, most) = (relay.issuer, relay.ceiling);
        let left = format!("{:.2} ({rate:.0} / {most:.0})", rate / most);
        [
            row(
                "from the answer to a registration until a program has heard of it",
                shown(*delay),
                "p50 below 100 ms",
                verdict(delay.p50 < 100.0),
            ),
            row("a registration, the broker there", shown(*broker_up), "", ""),
            row("a registration, the broker away", shown(*broker_down), "", ""),
            row("events a second out of a full outbox / messages of the client alone", left, "", ""),
        ]
    }

    fn timing_rows(&self) -> [Vec<String>; 2] {
        let pairs = self.timing.pairs;
        let compared = |how, Comparison { known, unknown, p }: Comparison| {
            row(
                &format!("{pairs} wrong passwords each for known and unknown users, {how}, cost {COST}"),
                format!("p = {p:.3} (medians {known:.2} and {unknown:.2} ms)"),
                "p above 0.01",
                verdict(p > 0.01),
            )
        };
        [compared("idle", self.timing.idle), compared("while logins saturate", self.timing.saturated)]
    }
}

fn shown(Percentiles { p50, p99 }: Percentiles) -> String {
    format!("p50 {p50:.1} ms, p99 {p99:.1} ms")
}

fn ratio(what: &str, rates: &Rates, least: f64) -> Vec<String> {
    let ratio = (rates.issuer / rates.ceiling * 100.0).round() / 100.0;
    let measured = format!("{ratio:.2} ({:.1} / {:.1})", rates.issuer, rates.ceiling);
    row(what, measured, &format!("at least {least:.2}"), verdict(ratio >= least))
}
