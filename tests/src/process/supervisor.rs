//! The supervisor's own side.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;

use crate::{Error, Result, wait};

/// What the owner writes into the pipe when the part shall not be asked first.
pub(super) const KILL: &[u8] = b"k";

/// The program that can supervise: `xtask` itself, or the one that `cargo xtask test` named.
pub(super) fn program() -> Result<PathBuf> {
    if let Some(xtask) = std::env::var_os("DOORWARD_TEST_XTASK") {
        return Ok(xtask.into());
    }
    let own = own_program()?;
    if own.file_stem().is_some_and(|name| name == "xtask") {
        Ok(own)
    } else {
        Err(Error::NotPrepared("DOORWARD_TEST_XTASK"))
    }
}

/// This program's own file. A build that ran meanwhile may have replaced it, and Linux then calls the old one
/// deleted; its successor stands in the same place.
///
/// # Errors
/// When the system does not say.
pub fn own_program() -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(Error::io("find this program's own file"))?;
    let replaced = own.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(replaced.unwrap_or(own))
}

/// Runs a program until it ends, or until standard input closes. Returns the program's exit code.
///
/// Prints the program's process id on standard output and nothing else.
///
/// # Errors
/// When the log cannot be opened or the program cannot be started; the log says why.
pub fn supervise(program: &Path, args: &[String], log: &Path, grace: Duration) -> Result<u8> {
    // Blocked signals are inherited, and whoever started us may have blocked what the program must hear.
    SigSet::all().thread_unblock().map_err(|errno| Error::io("unblock signals")(errno.into()))?;
    let mut out = open_log(log)?;
    let clone = |file: &File| file.try_clone().map_err(Error::file("share", log));
    let mut command = Command::new(program);
    command.args(args).process_group(0).stdin(Stdio::null()).stdout(clone(&out)?).stderr(clone(&out)?);
    let mut child = command.spawn().map_err(|source| {
        // The owner reads the reason here: its pipe carries only the process id.
        let _ = writeln!(out, "{source}");
        Error::Io { doing: format!("start {}", program.display()), source }
    })?;
    let group = Pid::from_raw(child.id().cast_signed());
    println!("{group}");
    io::stdout().flush().map_err(Error::io("report the process id"))?;

    std::thread::spawn(move || end_on_order(group, grace));
    let status = child.wait().map_err(Error::io("wait for the program"))?;
    // Whatever it started and did not take along.
    let _ = killpg(group, Signal::SIGKILL);
    Ok(status.code().unwrap_or(128 + status.signal().unwrap_or(0)).try_into().unwrap_or(u8::MAX))
}

fn end_on_order(group: Pid, grace: Duration) {
    let killed = matches!(io::stdin().read(&mut [0; 1]), Ok(1));
    if !killed {
        let _ = killpg(group, Signal::SIGTERM);
        wait::until(grace, || killpg(group, None).is_err().then_some(()));
    }
    let _ = killpg(group, Signal::SIGKILL);
}

fn open_log(log: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(log).map_err(Error::file("open", log))
}

/// Waits until standard input closes, then removes these files and directories.
///
/// # Errors
/// When standard input cannot be read.
pub fn guard(paths: &[PathBuf]) -> Result<()> {
    io::copy(&mut io::stdin(), &mut io::sink()).map_err(Error::io("wait for the owner's end"))?;
    for path in paths {
        // A part that is just being ended may still write into its directory.
        wait::until(Duration::from_secs(30), || removed(path).then_some(()));
    }
    Ok(())
}

fn removed(path: &Path) -> bool {
    let outcome = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    outcome.is_ok() || !path.exists()
}
