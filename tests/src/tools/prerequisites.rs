//! The programs that must be there before anything else.

use crate::{Error, Result, files};

/// Checks that our own programs can be compiled.
///
/// # Errors
/// Names the first missing program and what to install.
pub fn check() -> Result<()> {
    if ["cc", "gcc", "clang"].iter().all(|compiler| files::which(compiler).is_none()) {
        return Err(Error::missing(
            "a C compiler",
            "SQLite is compiled from source; `apt-get install gcc libc6-dev`",
        ));
    }
    if std::env::var_os("CARGO").is_none() && files::which("cargo").is_none() {
        return Err(Error::missing("cargo", "install Rust 1.95 or later as rust-lang.org says"));
    }
    Ok(())
}
