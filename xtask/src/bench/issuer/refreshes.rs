use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use doorward_tests::progress::Progress;

use super::Scale;
use super::logins::{Rates, busy_for, crowd, in_turns};
use super::people::{Person, gather, keep_busy};
use super::world::{CHEAP_COST, USUAL_COST, World};
use crate::bench::Error;
use crate::bench::clock::{now, wait_until};
use crate::bench::measure::Percentiles;
use crate::bench::tokens::joined;

/// Milliseconds from the moment at which a refresh was due to its answer.
#[derive(Debug)]
pub(super) struct Latency {
    pub(super) idle: Percentiles,
    pub(super) saturated: Percentiles,
}

/// Refreshes come at fixed times, this many a second.
pub(super) const PACE: u32 = 50;
/// Enough that nobody's next refresh waits for his last one.
const REFRESHING: usize = 32;
/// At once, where as many as possible are wanted.
const AT_ONCE: usize = 16;

/// Refreshes at a fixed pace: with nothing else going on, and while logins take all threads for passwords.
pub(super) fn latency(world: &World, scale: Scale, progress: Progress) -> Result<Latency, Error> {
    let issuer = world.on_mongodb(USUAL_COST)?;
    let step = progress.step("registering people");
    let mut refreshing = gather(&issuer, 0..REFRESHING)?;
    let mut logging_in = gather(&issuer, REFRESHING..REFRESHING + crowd())?;
    drop(step);

    let step = progress.step("measuring refreshes, idle");
    let idle = paced(&mut refreshing, scale.refreshes)?;
    drop(step);

    let _step = progress.step("measuring refreshes while logins saturate");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers = keep_busy(scope, &mut logging_in, &stop, Person::log_in);
        let saturated = paced(&mut refreshing, scale.refreshes);
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().try_for_each(|worker| joined(worker).map(drop))?;
        Ok(Latency { idle, saturated: saturated? })
    })
}

/// As many refreshes as possible, in turns with the driver alone.
pub(super) fn against_the_driver(world: &World, scale: Scale, progress: Progress) -> Result<Rates, Error> {
    let issuer = world.on_mongodb(CHEAP_COST)?;
    let mut people = gather(&issuer, 0..AT_ONCE)?;
    let _step = progress.step("measuring refreshes against the driver alone");
    in_turns(
        scale.rounds,
        || world.driver_ceiling(AT_ONCE, scale.seconds),
        || busy_for(&mut people, Duration::from_secs(scale.seconds), Person::refresh),
    )
}

/// So many refreshes, each at its time, whoever is free; none may fail. A late start counts as waiting, too.
fn paced(people: &mut [Person], number: usize) -> Result<Percentiles, Error> {
    let (start, next) = (now(), AtomicUsize::new(0));
    let work = |person: &mut Person| {
        let mut times = Vec::new();
        loop {
            let ticket = next.fetch_add(1, Ordering::Relaxed);
            if ticket >= number {
                return Ok(times);
            }
            let due = start + Duration::from_secs(1) / PACE * u32::try_from(ticket).unwrap_or(u32::MAX);
            wait_until(due);
            person.refresh()?;
            times.push((now() - due).as_secs_f64() * 1e3);
        }
    };
    let times: Result<Vec<_>, Error> = thread::scope(|scope| {
        let workers: Vec<_> = people.iter_mut().map(|person| scope.spawn(|| work(person))).collect();
        workers.into_iter().map(joined).collect()
    });
    Ok(Percentiles::of(times?.concat()))
}
