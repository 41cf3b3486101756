//! `cargo xtask down`: ends a stack that was started elsewhere.

use std::path::Path;
use std::time::Duration;

use doorward_tests::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::Error;
use crate::state::StateDir;

/// Ends the stack in this state directory and waits until it is gone. Ending what does not run is no error.
pub(crate) fn down(state: &Path) -> Result<(), Error> {
    let state = StateDir::at(state);
    let Some(pid) = state.runner() else {
        println!("no stack is running in {}", state.path().display());
        return Ok(());
    };
    // The lock is held, so the number belongs to a living stack and to nothing else.
    if let Ok(number) = pid.parse() {
        let _ = kill(Pid::from_raw(number), Signal::SIGTERM);
    }
    let ended = wait::until(Duration::from_secs(60), || state.runner().is_none().then_some(()));
    ended.ok_or_else(|| Error::NotDown { state: state.path().to_owned(), pid })?;
    println!("the stack in {} has ended", state.path().display());
    Ok(())
}
