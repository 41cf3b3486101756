//! A running part as its owner sees it.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::supervisor;
use crate::{Error, Result, files, wait};

/// What to start.
#[derive(Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    log: PathBuf,
    grace: Duration,
}

impl Launch {
    /// This program, writing what it prints to this log.
    #[must_use]
    pub fn new(name: &str, program: &Path, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: Vec::new(),
            envs: Vec::new(),
            log,
            grace: Duration::from_secs(20),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// How long it may take to stop before it is killed.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn start(self) -> Result<Running> {
        let mut command = Command::new(supervisor::program()?);
        command.arg("supervise").arg("--log").arg(&self.log);
        command.arg("--grace-ms").arg(self.grace.as_millis().to_string());
        command.arg("--").arg(&self.program).args(&self.args);
        without_own_settings(&mut command);
        command.envs(self.envs);
        // A group of its own: Ctrl-C at the terminal reaches us alone, and we stop the parts in order.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(Error::io(format!("start {}", self.name)))?;
        let pid = first_line(&mut child).parse().map(Pid::from_raw);
        let Ok(pid) = pid else {
            return Err(Error::Missing {
                what: self.program.display().to_string(),
                install: files::tail(&self.log, 1),
            });
        };
        let order = child.stdin.take();
        Ok(Running { name: self.name, log: self.log, pid, supervisor: child, order })
    }
}

/// Keeps settings meant for this process from leaking into a part whose own settings begin alike.
pub fn without_own_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"DOORWARD_") {
            command.env_remove(name);
        }
    }
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        // An unreadable line is an empty one, and that is no process id.
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    line.trim().to_owned()
}

/// A part that runs until this value is dropped, or until this process is gone.
#[derive(Debug)]
pub struct Running {
    name: String,
    log: PathBuf,
    pid: Pid,
    supervisor: Child,
    order: Option<ChildStdin>,
}

impl Running {
    /// The part's process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// The part's log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        files::tail(&self.log, usize::MAX)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.supervisor.try_wait(), Ok(None))
    }

    /// Waits until the probe answers.
    ///
    /// # Errors
    /// With the end of the log, when the part exits first or the time is up.
    pub fn ready<T>(&mut self, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
        let answer = wait::until(limit, || if self.is_running() { probe().map(Some) } else { Some(None) });
        let (name, log, tail) = (self.name.clone(), self.log.clone(), files::tail(&self.log, 15));
        match answer {
            Some(Some(answer)) => Ok(answer),
            Some(None) => Err(Error::Exited { name, log, tail }),
            None => Err(Error::NotReady { name, limit, log, tail }),
        }
    }

    /// Waits until it has ended by itself, and returns its exit code.
    ///
    /// # Errors
    /// When the time is up and it still runs.
    pub fn ended(&mut self, limit: Duration) -> Result<Option<i32>> {
        let status = wait::until(limit, || self.supervisor.try_wait().ok().flatten());
        status.map(|status| status.code()).ok_or_else(|| Error::NotReady {
            name: format!("the end of {}", self.name),
            limit,
            log: self.log.clone(),
            tail: files::tail(&self.log, 15),
        })
    }

    /// Stops it in good order, so that another can be started in its place.
    pub fn stop(&mut self) {
        drop(self.order.take());
        // The supervisor ends within the grace that it was given.
        let _ = self.supervisor.wait();
    }

    /// Sends a signal to the part itself.
    ///
    /// # Errors
    /// When it no longer runs.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid, signal).map_err(|errno| Error::io(format!("signal {}", self.name))(errno.into()))
    }

    /// Ends it without giving it time to do anything.
    pub fn kill(mut self) {
        if let Some(order) = &mut self.order {
            // If the pipe is closed, there is nothing left to kill.
            let _ = order.write_all(supervisor::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.order.take());
        // The supervisor ends within the grace that it was given.
        let _ = self.supervisor.wait();
        if std::thread::panicking() {
            eprintln!("--- the end of {}'s log\n{}\n---", self.name, files::tail(&self.log, 30));
        }
    }
}
