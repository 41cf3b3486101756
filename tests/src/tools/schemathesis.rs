//! Schemathesis: a client that nobody of us wrote, and that believes nothing but the OpenAPI document.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::progress::Progress;
use crate::tools::wheel::python_with_pip;
use crate::{Error, Result, files};

/// Schemathesis and everything it needs, each by version and hash.
const PINNED: &str = include_str!("schemathesis.txt");

/// Finds the directory with its modules, or fetches them into it.
///
/// # Errors
/// When there is no Python with pip, or a package cannot be fetched.
pub fn find(progress: Progress) -> Result<PathBuf> {
    let tools = files::root().join(".tools");
    let modules = tools.join(format!("schemathesis-{}", version()));
    if modules.exists() {
        return Ok(modules);
    }
    fs::create_dir_all(&tools).map_err(Error::file("create", &tools))?;
    // One download at a time; whoever waited finds the modules already there.
    let lock = File::create(tools.join("lock")).map_err(Error::file("lock", &tools))?;
    lock.lock().map_err(Error::file("lock", &tools))?;
    if modules.exists() {
        return Ok(modules);
    }
    let scratch = tempfile::tempdir_in(&tools).map_err(Error::file("create a directory in", &tools))?;
    install(scratch.path(), progress)?;
    fs::rename(scratch.keep(), &modules).map_err(Error::file("put in place", &modules))?;
    Ok(modules)
}

/// Runs it with modules that [`find`] found.
///
/// # Errors
/// When there is no Python.
pub fn command(modules: &Path) -> Result<Command> {
    let mut command = Command::new(python_with_pip()?);
    command.args(["-c", "from schemathesis.cli import schemathesis; schemathesis()"]);
    command.env("PYTHONPATH", modules).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

fn version() -> &'static str {
    let pinned = PINNED.lines().find_map(|line| line.strip_prefix("schemathesis=="));
    pinned.and_then(|rest| rest.split_whitespace().next()).unwrap_or("unknown")
}

fn install(dir: &Path, progress: Progress) -> Result<()> {
    let wanted = dir.join("requirements.txt");
    fs::write(&wanted, PINNED).map_err(Error::file("write", &wanted))?;
    let mut pip = Command::new(python_with_pip()?);
    pip.args(["-m", "pip", "install", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--quiet"]);
    pip.args(["--disable-pip-version-check", "--root-user-action", "ignore", "--target"]).arg(dir);
    let _step = progress.step(&format!("downloading schemathesis {}", version()));
    let output = pip.arg("--requirement").arg(&wanted).output().map_err(Error::io("run pip"))?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Command { command: format!("pip install schemathesis=={}", version()), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_by_hash() {
        assert!(version().starts_with("4."), "{}", version());
        let packages = PINNED.split("\n    --hash").next().is_some_and(|first| first.contains("=="));
        assert!(packages);
        for package in PINNED.lines().filter(|line| line.contains("==")) {
            assert!(package.ends_with('\\'), "{package} has no hash");
        }
    }
}
