//! The issuer and the example service.

use std::path::PathBuf;

use crate::Result;
use crate::build::cargo;
use crate::progress::Progress;

/// Our own programs, built; the development profile compiles their cryptography with optimisation.
#[derive(Debug)]
pub struct Ours {
    /// The issuer.
    pub issuer: PathBuf,
    /// The example service.
    pub user_service: PathBuf,
}

/// What else cargo builds in the same run. Cargo chooses the features of shared crates by what is built together,
/// so programs that are built alone and tests that are built next would compile most crates twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// The two programs, to be run.
    Nothing,
    /// All tests of the workspace.
    Tests,
}

/// Builds both programs.
///
/// # Errors
/// When cargo fails; its own messages are on standard error.
pub fn build(beside: Beside, progress: Progress) -> Result<Ours> {
    let selection: &[&str] = match beside {
        Beside::Nothing => &["--package", "doorward-issuer", "--package", "user-service", "--bins"],
        Beside::Tests => &["--workspace", "--bins", "--tests"],
    };
    progress.say("building the issuer and the example service");
    let built = cargo::build(cargo::cargo().arg("build").args(selection))?;
    Ok(Ours { issuer: built.file("doorward_issuer", "")?, user_service: built.file("user_service", "")? })
}

/// What is measured, built as it is shipped.
#[derive(Debug)]
pub struct Measured {
    /// The issuer.
    pub issuer: PathBuf,
    /// What it is compared with: bcrypt and MongoDB's driver alone.
    pub ceiling: PathBuf,
}

/// Builds the issuer as it is shipped, and what it is compared with.
///
/// # Errors
/// When cargo fails; its own messages are on standard error.
pub fn build_measured(progress: Progress) -> Result<Measured> {
    const SELECTION: [&str; 7] =
        ["build", "--release", "--package", "doorward-issuer", "--bins", "--example", "ceiling"];
    progress.say("building the issuer as it is shipped");
    let built = cargo::build(cargo::cargo().args(SELECTION))?;
    Ok(Measured { issuer: built.file("doorward_issuer", "")?, ceiling: built.file("ceiling", "")? })
}
