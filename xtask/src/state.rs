//! The state directory: everything that one stack writes, and the lock that says whether it runs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use doorward_tests::files;

use crate::error::Error;

/// A state directory that need not exist.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    path: PathBuf,
}

/// Held while a stack runs. The system lets go of it when the process ends, in whatever way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl StateDir {
    /// Relative paths count from the root of the checkout, wherever the command is run.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: files::root().join(path) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What tells programs where the stack is. It is there while the stack is up.
    pub(crate) fn stack_json(&self) -> PathBuf {
        self.path.join("stack.json")
    }

    /// Where the parts write their logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// A directory inside that only its owner can look into.
    pub(crate) fn sub(&self, name: &str) -> Result<PathBuf, Error> {
        let dir = self.path.join(name);
        files::private_dir(&dir)?;
        Ok(dir)
    }

    /// Takes the directory for this process.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        files::private_dir(&self.path)?;
        let mut file = self.open_lock().map_err(Error::io(format!("open {}", self.path.display())))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = self.owner().unwrap_or_else(|| "unknown".to_owned());
                return Err(Error::AlreadyUp { state: self.path.clone(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock the state directory")(source)),
        }
        let pid = std::process::id().to_string();
        file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(Error::io("write the lock"))?;
        Ok(Lock { _file: file })
    }

    /// The process that runs a stack here, if one does.
    pub(crate) fn runner(&self) -> Option<String> {
        let file = self.open_lock().ok()?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => self.owner(),
            _ => None,
        }
    }

    fn owner(&self) -> Option<String> {
        fs::read_to_string(self.path.join("lock")).ok().filter(|pid| !pid.is_empty())
    }

    fn open_lock(&self) -> std::io::Result<File> {
        OpenOptions::new().create(true).truncate(false).write(true).open(self.path.join("lock"))
    }
}
