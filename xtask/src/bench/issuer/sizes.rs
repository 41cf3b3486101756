use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use doorward_tests::http::Client;
use doorward_tests::parts::Issuer;
use doorward_tests::ports::Port;
use doorward_tests::progress::Progress;
use doorward_tests::wait;

use super::Scale;
use super::logins::median;
use super::people::gather;
use super::world::{CHEAP_COST, World};
use crate::bench::Error;
use crate::bench::clock::now;
use crate::bench::tokens::joined;

/// Milliseconds from the start of the program to its first answer, on SQLite.
#[derive(Debug)]
pub(super) struct Starts {
    /// With no database yet.
    pub(super) first: f64,
    /// With one, the median.
    pub(super) later: f64,
}

/// Resident megabytes.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) sessions: usize,
    /// For each store its name, idle, and with that many sessions.
    pub(super) stores: Vec<(&'static str, f64, f64)>,
}

/// Starts the program again and again, on one database.
pub(super) fn starts(world: &World, scale: Scale, progress: Progress) -> Result<Starts, Error> {
    let _step = progress.step("measuring the start");
    let dir = world.dir()?;
    let first = start(world.program(), &dir)?;
    let later: Result<Vec<_>, Error> = (1..scale.starts).map(|_| start(world.program(), &dir)).collect();
    Ok(Starts { first, later: median(later?) })
}

/// Without the harness in between, which takes some milliseconds of its own.
fn start(program: &Path, dir: &Path) -> Result<f64, Error> {
    let (public, management) = (Port::any()?, Port::any()?);
    let client = Client::new(&public.url());
    let begin = now();
    let child = Command::new(program)
        .arg("serve")
        .current_dir(dir)
        .env("DOORWARD_SERVER__PUBLIC", format!("127.0.0.1:{}", public.number()))
        .env("DOORWARD_SERVER__MANAGEMENT", format!("127.0.0.1:{}", management.number()))
        .stderr(Stdio::null())
        .spawn();
    let _child = Killed(child.map_err(Error::io("start the issuer"))?);
    loop {
        match client.get("/health") {
            Ok(reply) if reply.status == 200 => return Ok(begin.elapsed().as_secs_f64() * 1e3),
            _ if begin.elapsed() > Duration::from_secs(30) => {
                return Err(Error::io("start the issuer")(std::io::ErrorKind::TimedOut.into()));
            }
            _ => thread::yield_now(),
        }
    }
}

/// Ends with this value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It has ended already if this fails.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// What an issuer needs that has nothing to do, and one that has opened that many sessions.
pub(super) fn memory(world: &World, scale: Scale, progress: Progress) -> Result<Memory, Error> {
    let _step = progress.step(&format!("measuring memory with {} sessions", scale.sessions));
    let of = |name, issuer: Issuer| {
        let idle = resident(&issuer)?;
        open_sessions(&issuer, scale.sessions)?;
        Ok((name, idle, resident(&issuer)?))
    };
    let stores: Result<_, Error> =
        [("SQLite", world.on_sqlite(CHEAP_COST)?), ("MongoDB", world.on_mongodb(CHEAP_COST)?)]
            .map(|(name, issuer)| of(name, issuer))
            .into_iter()
            .collect();
    Ok(Memory { sessions: scale.sessions, stores: stores? })
}

fn open_sessions(issuer: &Issuer, number: usize) -> Result<(), Error> {
    let mut people = gather(issuer, 0..8)?;
    let left = AtomicUsize::new(number - people.len());
    thread::scope(|scope| {
        let workers: Vec<_> = people
            .iter_mut()
            .map(|person| {
                scope.spawn(|| {
                    let one_more = |left: usize| left.checked_sub(1);
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
                        person.log_in()?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(joined)
    })
}

fn resident(issuer: &Issuer) -> Result<f64, Error> {
    let path = format!("/proc/{}/status", issuer.process.pid());
    let read = || {
        let status = std::fs::read_to_string(&path).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok()
    };
    let kilobytes = wait::until(Duration::from_secs(1), read).ok_or(Error::Unreadable(path))?;
    Ok(kilobytes * 1024.0 / 1e6)
}
