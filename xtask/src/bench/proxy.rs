use std::fs;
use std::path::Path;
use std::time::Duration;

use doorward_tests::http::Client;
use doorward_tests::parts::FeedServer;
use doorward_tests::ports::Port;
use doorward_tests::process::{Launch, Running, Workdir};
use doorward_tests::wait;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Error;
use super::contenders::{REVOCATIONS, SECRET_ENV, bootstrap};

/// The one Envoy, with one worker.
#[derive(Debug)]
pub(super) struct Proxy {
    process: Running,
    _admin: Port,
    /// Who tells of revocations.
    pub(super) feed: FeedServer,
    // Goes last: Envoy writes its log into it.
    _workdir: Workdir,
}

impl Proxy {
    pub(super) fn start(binary: &Path, listeners: &[Value], secret: &str) -> Result<Self, Error> {
        let (admin, workdir, feed) = (Port::any()?, Workdir::new()?, FeedServer::start(secret)?);
        feed.revoke(
            (0..REVOCATIONS).map(|number| json!({ "sid": format!("7c1e4a5e-0000-4000-8000-{number:012}") })),
        );
        let config = workdir.path().join("envoy.json");
        let written = doorward_tests::files::write_private(
            &config,
            bootstrap(&admin, listeners, feed.port()).to_string().as_bytes(),
        );
        written?;
        let mut process = Launch::new("Envoy", binary, workdir.path().join("envoy.log"))
            .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn", "--config-path"])
            .args([&config])
            .env(SECRET_ENV, secret)
            .grace(Duration::from_secs(5))
            .start()?;
        let client = Client::new(&admin.url());
        process.ready(Duration::from_secs(120), || {
            client.get("/ready").ok().filter(|reply| reply.status == 200)
        })?;
        Ok(Self { process, _admin: admin, feed, _workdir: workdir })
    }

    /// Waits until so many followers have heard everything, and ask for news.
    pub(super) fn wait_for_followers(&self, followers: usize) -> Result<(), Error> {
        let is_waiting =
            || self.feed.asked().iter().filter(|question| question.wait > 0).count() >= followers;
        let all = wait::until(Duration::from_secs(60), || is_waiting().then_some(()));
        all.ok_or_else(|| Error::Unreadable("the feed's questions: not everybody follows it".to_owned()))
    }

    /// Processor time of the whole process so far, in user space and in the kernel.
    ///
    /// The same sum as `utime` and `stime` in `/proc/PID/stat`, but in nanoseconds instead of ticks of 10 ms: rounds
    /// can be short, and contenders alternate often enough to see the same mood of the machine.
    pub(super) fn cpu(&self) -> Result<Duration, Error> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.process.pid()));
        let time =
            clock.and_then(clock_gettime).map_err(|errno| Error::io("read Envoy's clock")(errno.into()))?;
        Ok(time.into())
    }

    /// The linear memory of every wasm VM.
    pub(super) fn linear_memories(&self) -> Result<Vec<LinearMemory>, Error> {
        Ok(linear_memories(&self.proc("maps")?))
    }

    fn proc(&self, file: &str) -> Result<String, Error> {
        let path = format!("/proc/{}/{file}", self.process.pid());
        fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))
    }
}

/// A VM's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinearMemory {
    pub(super) start: u64,
    pub(super) bytes: u64,
}

/// V8 reserves an address range of gigabytes for each VM and makes the part that the module has grown to writable, so
/// each one is a writable mapping with gigabytes of nothing right behind it.
fn linear_memories(maps: &str) -> Vec<LinearMemory> {
    let mappings: Vec<Mapping> = maps.lines().filter_map(Mapping::parse).collect();
    let memory = |pair: &[Mapping]| match pair {
        [memory, nothing] if memory.writable && memory.end == nothing.start && nothing.is_guard() => {
            Some(LinearMemory { start: memory.start, bytes: memory.end - memory.start })
        }
        _ => None,
    };
    mappings.windows(2).filter_map(memory).collect()
}

/// A line of `/proc/PID/maps`.
#[derive(Debug)]
struct Mapping {
    start: u64,
    end: u64,
    readable: bool,
    writable: bool,
}

impl Mapping {
    fn is_guard(&self) -> bool {
        !self.readable && self.end - self.start > 1 << 30
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let access = fields.next()?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (readable, writable) = (access.starts_with('r'), access.starts_with("rw"));
        Some(Self { start: number(start)?, end: number(end)?, readable, writable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_is_writable_memory_before_gigabytes_of_nothing() {
        let maps = "10000-20000 rw-p 00000000 00:00 0\n\
                    20000-30000 ---p 00000000 00:00 0\n\
                    100000000-100120000 rw-p 00000000 00:00 0\n\
                    100120000-300000000 ---p 00000000 00:00 0\n\
                    400000000-400120000 r--p 00000000 00:00 0\n\
                    400120000-600000000 ---p 00000000 00:00 0\n";
        assert_eq!(linear_memories(maps), [LinearMemory { start: 0x1_0000_0000, bytes: 0x12_0000 }]);
    }
}
