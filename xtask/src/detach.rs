//! `cargo xtask up --detach`: the same command again, without a terminal.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use doorward_tests::process::supervisor;
use doorward_tests::progress::Progress;
use doorward_tests::{files, wait};

use crate::error::Error;
use crate::state::StateDir;
use crate::up::Options;

/// Builds may take minutes on a small machine; a stack that takes longer is not coming.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Starts the stack in the background and returns when it is up.
pub(crate) fn up(options: &Options, state: &StateDir) -> Result<(), Error> {
    drop(state.lock()?);
    state.sub("logs")?;
    let log = state.logs().join("up.log");
    let out = File::create(&log).map_err(Error::io(format!("create {}", log.display())))?;
    let err = out.try_clone().map_err(Error::io("share a log"))?;
    // A file left behind by a killed stack must not be taken for the new one's.
    let _ = fs::remove_file(state.stack_json());

    let mut child = command(options)?
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(Error::io("start the stack in the background"))?;
    let step =
        Progress::detect().step(&format!("starting the stack in the background, see {}", log.display()));
    let came_up = wait::until(LIMIT, || match child.try_wait() {
        Ok(None) => state.stack_json().exists().then_some(true),
        _ => Some(false),
    });
    drop(step);
    if came_up == Some(true) {
        print!("{}", what_it_says(&log));
        return Ok(());
    }
    let _ = child.kill();
    Err(Error::NotUp { tail: files::tail(&log, 20), log })
}

/// Leaves the terminal's session, so that closing it ends nothing.
pub(crate) fn leave_terminal() -> Result<(), Error> {
    nix::unistd::setsid().map(drop).map_err(|errno| Error::io("leave the terminal")(errno.into()))
}

fn command(options: &Options) -> Result<Command, Error> {
    let own = supervisor::own_program()?;
    let mut command = Command::new(own);
    command.args(["up", "--in-background", "--state"]).arg(&options.state);
    for (flag, wanted) in [("--full", options.full), ("--prepared", options.prepared)] {
        command.args(wanted.then_some(flag));
    }
    for (flag, port) in [("--gateway-port", options.gateway_port), ("--issuer-port", options.issuer_port)] {
        if let Some(port) = port {
            command.arg(flag).arg(port.to_string());
        }
    }
    if let Some(choice) = options.toolchain.choice {
        command.arg("--wasm-toolchain").arg(format!("{choice:?}").to_lowercase());
    }
    Ok(command)
}

/// The table and the curls, which the background process printed as its last words after writing `stack.json`.
fn what_it_says(log: &Path) -> String {
    let end = "Ctrl-C ends it";
    let text = wait::until(Duration::from_secs(5), || {
        let text = files::tail(log, usize::MAX);
        text.contains(end).then_some(text)
    });
    let text = text.unwrap_or_default();
    let table = text.split_once("\nDoorward is up.").map_or("", |(_, rest)| rest);
    let table = table.split_once(end).map_or(table, |(table, _)| table);
    format!("\nDoorward is up.{table}`cargo xtask down` ends it.\n")
}
