//! The programs that must be there before anything else.

use crate::{Error, Result, files};

const TOOLCHAIN: &str = "`apt-get install build-essential`";

/// Checks that our own programs can be compiled.
///
/// # Errors
/// Names the first missing program and what to install.
pub fn check() -> Result<()> {
    if none_of(&["cc", "gcc", "clang"]) {
        return Err(Error::missing("a C compiler", format!("SQLite is compiled from source; {TOOLCHAIN}")));
    }
    if std::env::var_os("CARGO").is_none() && files::which("cargo").is_none() {
        return Err(Error::missing("cargo", "install Rust 1.95 or later as rust-lang.org says"));
    }
    Ok(())
}

/// Checks that the fuzz targets, which every test run compiles too, can be compiled.
///
/// # Errors
/// Names the missing program and what to install.
pub fn check_fuzzing() -> Result<()> {
    if none_of(&["c++", "g++", "clang++"]) {
        return Err(Error::missing(
            "a C++ compiler",
            format!("the fuzz targets compile libFuzzer from source; {TOOLCHAIN}"),
        ));
    }
    Ok(())
}

fn none_of(programs: &[&str]) -> bool {
    programs.iter().all(|program| files::which(program).is_none())
}
