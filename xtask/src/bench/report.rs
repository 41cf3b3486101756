use std::fmt::{self, Display};

use super::contenders::{CACHE_ENTRIES, Filters, REVOCATIONS};
use super::load::CONNECTIONS;
use super::measure::{Comparison, Figures};
use super::table::{row, verdict, write_table};
use super::tokens::Algorithm;

/// What came out. Its tables are markdown, which a terminal shows well enough.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) races: Vec<Race>,
    pub(super) rules: Comparison,
    pub(super) revocations: Comparison,
    pub(super) memory: Memory,
    pub(super) module_bytes: u64,
}

/// All contenders with tokens of one algorithm.
#[derive(Debug)]
pub(super) struct Race {
    pub(super) algorithm: Algorithm,
    pub(super) warm: Comparison,
    pub(super) cold: Comparison,
}

/// A VM's linear memory in bytes, before and after its cache was filled.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) empty: u64,
    pub(super) full: u64,
    /// Processor time in microseconds for a request with each of these tokens again.
    pub(super) again: f64,
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Microseconds for a request, latency with {CONNECTIONS} connections:\n")?;
        let races = self.races.iter().flat_map(|race| [&race.warm, &race.cold]);
        let rows: Vec<_> = races.chain([&self.rules, &self.revocations]).flat_map(cost_rows).collect();
        write_table(f, &["", "processor", "added", "p50", "p99"], &rows)?;
        writeln!(f, "\nTargets; ratios are of what is added to a request without a filter:\n")?;
        write_table(f, &["", "measured", "target", ""], &self.target_rows())
    }
}

fn cost_rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let row = |(filters, figures): (Filters, Figures)| {
        let Figures { cpu, added, p50, p99 } = figures;
        let what = format!("{}, {}", comparison.name, filters.name());
        vec![what, format!("{cpu:.1}"), format!("{added:.1}"), format!("{p50:.0}"), format!("{p99:.0}")]
    };
    comparison.figures().map(row).collect()
}

impl Report {
    fn target_rows(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<_> = self.races.iter().flat_map(Race::target_rows).collect();
        let rules = self.rules.ratio(Filters::plugin(1_000), Filters::plugin(10));
        rows.push(Target { limit: 1.2, goal: None }.row("1,000 rules / 10 rules".to_owned(), rules));
        let revocations = self.revocations.ratio(Filters::PLUGIN_REVOKED, Filters::PLUGIN);
        // Below this, a difference is noise.
        let target = Target { limit: 1.05, goal: None };
        rows.push(target.row(format!("{REVOCATIONS} revocations / none"), revocations));
        rows.push(row(
            "module, bytes",
            self.module_bytes.to_string(),
            "below 1000000",
            verdict(self.module_bytes < 1_000_000),
        ));
        let Memory { empty, full, again } = self.memory;
        rows.push(row(
            &format!(
                "linear memory of a VM with {REVOCATIONS} revocations and {CACHE_ENTRIES} ES256 tokens, bytes"
            ),
            format!("{full} ({empty} before the tokens; {again:.1} µs for each token again)"),
            "below 24000000",
            verdict(full < 24_000_000),
        ));
        rows
    }
}

impl Race {
    fn target_rows(&self) -> Vec<Vec<String>> {
        let cold_limit = match self.algorithm {
            Algorithm::Hs256 => 0.9,
            Algorithm::Rs256 | Algorithm::Es256 => 1.05,
            Algorithm::Eddsa => 2.5,
        };
        let at_most = |limit| Target { limit, goal: None };
        let with_goal = Target { limit: 1.0, goal: Some(0.9) };
        let target = |comparison: &Comparison, rival: Filters, target: Target| {
            let what = format!("{}, Doorward / {}", comparison.name, rival.name());
            target.row(what, comparison.ratio(Filters::PLUGIN, rival))
        };
        vec![
            target(&self.warm, Filters::NATIVE_CACHED, with_goal),
            target(&self.warm, Filters::NATIVE, at_most(0.25)),
            target(&self.cold, Filters::NATIVE, at_most(cold_limit)),
            target(&self.cold, Filters::NATIVE_CACHED, at_most(cold_limit)),
        ]
    }
}

/// What a ratio may be at most, and what it should be.
struct Target {
    limit: f64,
    goal: Option<f64>,
}

impl Target {
    fn row(&self, what: String, ratio: f64) -> Vec<String> {
        // Judged as it is printed: a third digit would be noise.
        let ratio = (ratio * 100.0).round() / 100.0;
        let target = match self.goal {
            Some(goal) => format!("at most {:.2}, goal {goal:.2}", self.limit),
            None => format!("at most {:.2}", self.limit),
        };
        let said = match self.goal {
            Some(goal) if ratio <= self.limit && ratio > goal => "met, the goal NOT",
            _ => verdict(ratio <= self.limit),
        };
        row(&what, format!("{ratio:.2}"), &target, said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_judged_as_printed() {
        let said = |limit, goal, ratio| Target { limit, goal }.row(String::new(), ratio).pop().unwrap();
        assert_eq!(said(1.0, Some(0.9), 1.004), "met, the goal NOT");
        assert_eq!(said(1.0, Some(0.9), 0.904), "met");
        assert_eq!(said(1.0, Some(0.9), 1.006), "**NOT met**");
        assert_eq!(said(0.25, None, f64::NAN), "**NOT met**");
    }
}
