//! Files and directories that disappear with the process that needed them.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::process::supervisor;
use crate::{Error, Result, files};

/// Removes paths when it is dropped, and also when this process is killed.
#[derive(Debug)]
pub struct Guard {
    process: Child,
}

impl Guard {
    /// Guards these paths, which need not exist yet.
    ///
    /// # Errors
    /// When the guarding process cannot be started.
    pub fn over(paths: &[&Path]) -> Result<Self> {
        let process = Command::new(supervisor::program()?)
            .arg("guard")
            .args(paths)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(Error::io("start a guard"))?;
        Ok(Self { process })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It ends as soon as the paths are gone.
        let _ = self.process.wait();
    }
}

/// A directory for one stack of parts, removed after them.
#[derive(Debug)]
pub struct Workdir {
    path: PathBuf,
    _guard: Guard,
}

impl Workdir {
    /// A new, empty directory that only its owner can look into.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("doorward-")
            .disable_cleanup(true)
            .tempdir()
            .map_err(Error::io("make a temporary directory"))?
            .keep();
        let guard = Guard::over(&[&path])?;
        Ok(Self { path, _guard: guard })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A directory inside, for one part.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn sub(&self, name: &str) -> Result<PathBuf> {
        let dir = self.path.join(name);
        files::private_dir(&dir)?;
        Ok(dir)
    }
}
