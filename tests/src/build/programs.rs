//! The issuer and the example service.

use std::path::PathBuf;

use crate::Result;
use crate::build::cargo;
use crate::progress::Progress;

/// Builds the issuer; the development profile compiles its cryptography with optimisation.
///
/// # Errors
/// When cargo fails; its own messages are on standard error.
pub fn issuer(progress: Progress) -> Result<PathBuf> {
    progress.say("building the issuer");
    cargo::artifact(
        cargo::cargo().args(["build", "--package", "doorward-issuer", "--bins"]),
        "doorward_issuer",
        "",
    )
}

/// Builds the example service.
///
/// # Errors
/// When cargo fails; its own messages are on standard error.
pub fn user_service(progress: Progress) -> Result<PathBuf> {
    progress.say("building the example service");
    cargo::artifact(cargo::cargo().args(["build", "--package", "user-service", "--bins"]), "user_service", "")
}
