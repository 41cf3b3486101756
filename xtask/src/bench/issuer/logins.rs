use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use doorward_tests::progress::Progress;

use super::Scale;
use super::people::{Person, gather, keep_busy, rate};
use super::world::{USUAL_COST, World};
use crate::bench::Error;
use crate::bench::clock::{now, wait_until};
use crate::bench::tokens::joined;

/// How many a second, the median of each.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) issuer: f64,
    pub(super) ceiling: f64,
}

/// More than there are threads for passwords, so that none of those ever waits; few enough that nobody is refused.
pub(super) fn crowd() -> usize {
    4 * thread::available_parallelism().map_or(1, usize::from)
}

/// Logins by a crowd, in turns with bcrypt alone.
pub(super) fn against_bcrypt(world: &World, scale: Scale, progress: Progress) -> Result<Rates, Error> {
    let issuer = world.on_mongodb(USUAL_COST)?;
    let step = progress.step("registering people");
    let mut people = gather(&issuer, 0..crowd())?;
    drop(step);
    let _step = progress.step("measuring logins against bcrypt alone");
    in_turns(
        scale.rounds,
        || world.bcrypt_ceiling(scale.seconds),
        || busy_for(&mut people, Duration::from_secs(scale.seconds), Person::log_in),
    )
}

/// One after the other, and again in every round.
pub(super) fn in_turns(
    rounds: usize,
    mut ceiling: impl FnMut() -> Result<f64, Error>,
    mut issuer: impl FnMut() -> Result<f64, Error>,
) -> Result<Rates, Error> {
    let (mut ceilings, mut issuers) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ceilings.push(ceiling()?);
        issuers.push(issuer()?);
    }
    Ok(Rates { issuer: median(issuers), ceiling: median(ceilings) })
}

/// How often a second a crowd gets it done.
pub(super) fn busy_for(
    people: &mut [Person],
    time: Duration,
    act: fn(&mut Person) -> Result<(), Error>,
) -> Result<f64, Error> {
    let stop = AtomicBool::new(false);
    let answered: Result<Vec<_>, Error> = thread::scope(|scope| {
        let workers = keep_busy(scope, people, &stop, act);
        wait_until(now() + time);
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().map(joined).collect()
    });
    Ok(rate(answered?.concat()))
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
