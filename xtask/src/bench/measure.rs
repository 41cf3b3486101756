use std::time::Duration;

use super::contenders::{Contender, Filters};
use super::proxy::Proxy;
use super::{Error, load};

/// How much is measured: many rounds of a tenth of a second, so that everybody gets a share of the quiet moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    rounds: usize,
    warm: usize,
    cold: usize,
}

impl Scale {
    pub(super) const FULL: Self = Self { rounds: 60, warm: 2_000, cold: 1_000 };
    /// For trying.
    pub(super) const QUICK: Self = Self { rounds: 12, warm: 1_000, cold: 500 };

    /// Tokens that are used once: for all rounds, and for one before them that is not measured.
    pub(super) fn cold_tokens(self) -> usize {
        self.cold * (self.rounds + 1)
    }
}

/// Whether the tokens were seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tokens<'a> {
    /// These, again and again.
    Warm(&'a [String]),
    /// Each of these once.
    Cold(&'a [String]),
}

impl<'a> Tokens<'a> {
    /// The tokens of a round, one for each request of it.
    fn of_round(self, round: usize, scale: Scale) -> impl Iterator<Item = &'a String> + Clone + Send {
        let (tokens, requests) = match self {
            Self::Warm(tokens) => (tokens, scale.warm),
            Self::Cold(tokens) => (&tokens[round * scale.cold..], scale.cold),
        };
        tokens.iter().cycle().take(requests)
    }
}

/// Microseconds for a request: processor time, and the client's waiting time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) cpu: f64,
    /// Beyond what a request without a filter costs.
    pub(super) added: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// What came out for contenders that were measured in turn.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) name: String,
    series: Vec<Series>,
}

/// What one contender did: processor time for a request in each round, and every waiting time, all sorted.
#[derive(Debug)]
struct Series {
    filters: Filters,
    cpu: Vec<f64>,
    times: Vec<f64>,
}

impl Comparison {
    /// Everybody's figures, in the order of measuring.
    pub(super) fn figures(&self) -> impl Iterator<Item = (Filters, Figures)> {
        self.series.iter().map(|series| {
            let figures = Figures {
                cpu: series.cpu(),
                added: self.added(series.filters),
                p50: percentile(&series.times, 50),
                p99: percentile(&series.times, 99),
            };
            (series.filters, figures)
        })
    }

    /// How the one's added cost compares with the other's.
    pub(super) fn ratio(&self, one: Filters, other: Filters) -> f64 {
        self.added(one) / self.added(other)
    }

    fn added(&self, filters: Filters) -> f64 {
        self.cpu(filters) - self.cpu(Filters::None)
    }

    fn cpu(&self, filters: Filters) -> f64 {
        self.series.iter().find(|series| series.filters == filters).map_or(f64::NAN, Series::cpu)
    }
}

impl Series {
    /// Whatever disturbs a round makes it dearer and never cheaper, so the better rounds say more than the middle one;
    /// the very best may have been lucky.
    fn cpu(&self) -> f64 {
        percentile(&self.cpu, 20)
    }
}

/// Measures one contender after the other, and all of them again in every round.
pub(super) fn in_turn(
    proxy: &Proxy,
    name: String,
    contenders: &[Contender],
    tokens: Tokens<'_>,
    scale: Scale,
) -> Result<Comparison, Error> {
    let empty = |contender: &Contender| Series { filters: contender.filters, cpu: vec![], times: vec![] };
    let mut series: Vec<Series> = contenders.iter().map(empty).collect();
    // The first round lets V8 compile what is used most, and fills the caches.
    for round in 0..=scale.rounds {
        for (contender, series) in contenders.iter().zip(&mut series) {
            let before = proxy.cpu()?;
            let times = load::run(contender.port.number(), tokens.of_round(round, scale))?;
            let cpu = proxy.cpu()? - before;
            if round > 0 {
                series.cpu.push(micros(cpu) / times.len() as f64);
                series.times.extend(times.into_iter().map(micros));
            }
        }
    }
    for series in &mut series {
        series.cpu.sort_unstable_by(f64::total_cmp);
        series.times.sort_unstable_by(f64::total_cmp);
    }
    Ok(Comparison { name, series })
}

/// What half of all stayed below, and nearly all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Percentiles {
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        Self { p50: percentile(&values, 50), p99: percentile(&values, 99) }
    }
}

pub(super) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or(f64::NAN)
}

pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_compare_beyond_the_request_without_a_filter() {
        let series = |filters, cpu: f64| Series { filters, cpu: vec![cpu, cpu + 90.0], times: vec![1.0] };
        let series =
            vec![series(Filters::None, 20.0), series(Filters::NATIVE, 60.0), series(Filters::PLUGIN, 30.0)];
        let comparison = Comparison { name: String::new(), series };
        assert_eq!(comparison.ratio(Filters::PLUGIN, Filters::NATIVE), 0.25);
        assert!(comparison.ratio(Filters::PLUGIN, Filters::NATIVE_CACHED).is_nan());
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!([20, 50, 99, 100].map(|percent| percentile(&values, percent)), [2.0, 3.0, 5.0, 6.0]);
    }
}
