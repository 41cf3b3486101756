use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use doorward_tests::parts::Issuer;
use doorward_tests::progress::Progress;

use super::Scale;
use super::logins::{crowd, median};
use super::people::{Person, email, gather, keep_busy};
use super::world::World;
use crate::bench::Error;
use crate::bench::clock::now;
use crate::bench::tokens::joined;

/// A sixteenth of the usual work: bcrypt's own unsteadiness would hide what else differs.
pub(super) const COST: u8 = 8;

/// Known against unknown users.
#[derive(Debug)]
pub(super) struct Timing {
    pub(super) pairs: usize,
    pub(super) idle: Comparison,
    pub(super) saturated: Comparison,
}

/// Median milliseconds, and how probable such a difference is if there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison {
    pub(super) known: f64,
    pub(super) unknown: f64,
    pub(super) p: f64,
}

/// Wrong passwords for users who are there and users who are not, in turns.
pub(super) fn known_against_unknown(
    world: &World,
    scale: Scale,
    progress: Progress,
) -> Result<Timing, Error> {
    let issuer = world.on_mongodb(COST)?;
    let step = progress.step("registering people");
    // One attempt for each of them, so that nobody is slowed down as a guesser.
    drop(gather(&issuer, 0..2 * scale.pairs)?);
    let strangers = 2 * scale.pairs;
    let mut logging_in = gather(&issuer, strangers..strangers + crowd())?;
    drop(step);

    let step = progress.step("measuring known and unknown users, idle");
    let idle = pairs(&issuer, 0..scale.pairs)?;
    drop(step);

    let _step = progress.step("measuring known and unknown users while logins saturate");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers = keep_busy(scope, &mut logging_in, &stop, Person::log_in);
        let saturated = pairs(&issuer, scale.pairs..2 * scale.pairs);
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().try_for_each(|worker| joined(worker).map(drop))?;
        Ok(Timing { pairs: scale.pairs, idle, saturated: saturated? })
    })
}

fn pairs(issuer: &Issuer, numbers: std::ops::Range<usize>) -> Result<Comparison, Error> {
    let mut guesser = Person::arrive(issuer, 0)?;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for number in numbers {
        let stranger = format!("nobody-{number}@example.test");
        let mut guess = |email: &str, address: usize, times: &mut Vec<f64>| {
            guesser.move_to(address);
            let begin = now();
            guesser.fail_to_log_in_as(email)?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            Ok::<_, Error>(())
        };
        // Whatever the first of two does to the second, it does to both kinds.
        if number % 2 == 0 {
            guess(&email(number), 2 * number, &mut known)?;
            guess(&stranger, 2 * number + 1, &mut unknown)?;
        } else {
            guess(&stranger, 2 * number, &mut unknown)?;
            guess(&email(number), 2 * number + 1, &mut known)?;
        }
    }
    let p = mann_whitney(&known, &unknown);
    Ok(Comparison { known: median(known), unknown: median(unknown), p })
}

/// The two-sided p of the Mann-Whitney U test: how probable ranks so uneven are if both come from one distribution.
/// By the normal approximation, which is good from twenty values on.
fn mann_whitney(one: &[f64], other: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> =
        one.iter().map(|value| (*value, true)).chain(other.iter().map(|value| (*value, false))).collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (n1, n2, n) = (one.len() as f64, other.len() as f64, all.len() as f64);
    let (mut ranks_of_one, mut ties, mut rank) = (0.0, 0.0, 1.0);
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let size = equal.len() as f64;
        let shared = rank + (size - 1.0) / 2.0;
        ranks_of_one += shared * equal.iter().filter(|(_, of_one)| *of_one).count() as f64;
        ties += size.powi(3) - size;
        rank += size;
    }
    let u = ranks_of_one - n1 * (n1 + 1.0) / 2.0;
    let variance = n1 * n2 / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    // Half a rank off, because ranks are whole numbers and the normal distribution is not.
    let distance = ((u - n1 * n2 / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    complementary_error(distance / std::f64::consts::SQRT_2)
}

/// erfc by the rational approximation 7.1.26 of Abramowitz and Stegun, right to seven digits.
fn complementary_error(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let terms = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    terms.iter().fold(0.0, |sum, term| sum * t + term) * t * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-4
    }

    #[test]
    fn the_test_agrees_with_published_values() {
        // R: wilcox.test(1:20, c(11:30), exact = FALSE)
        let one: Vec<f64> = (1..=20).map(f64::from).collect();
        let other: Vec<f64> = (11..=30).map(f64::from).collect();
        assert!(close(mann_whitney(&one, &other), mann_whitney(&other, &one)), "it has two sides");
        assert!(mann_whitney(&one, &other) < 0.001);
        assert!(mann_whitney(&one, &one) > 0.98);
        assert!(close(mann_whitney(&[1.0; 30], &[1.0; 30]), 1.0), "nothing but ties says nothing");
    }

    #[test]
    fn the_tails_of_the_normal_distribution_are_where_they_should_be() {
        for (deviations, p) in [(0.0, 1.0), (1.0, 0.317_311), (1.959_964, 0.05), (2.575_829, 0.01)] {
            assert!(close(complementary_error(deviations / std::f64::consts::SQRT_2), p), "{deviations}");
        }
    }

    #[test]
    fn a_difference_of_a_hundredth_is_seen() {
        let spread = |base: f64| -> Vec<f64> { (0..500).map(|i| base + f64::from(i % 50) / 100.0).collect() };
        assert!(mann_whitney(&spread(20.0), &spread(20.2)) < 0.01);
    }
}
