//! `cargo xtask fuzz`: coverage-guided fuzzing of everything that reads what a stranger wrote.
//!
//! libFuzzer, with the compiler's own coverage instrumentation: no nightly toolchain is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use doorward_tests::progress::Progress;
use doorward_tests::{files, tools};

use crate::error::Error;

/// All targets, each a binary `fuzz-NAME` of the package `doorward-fuzz`.
const TARGETS: [&str; 6] = ["bearer", "jws", "jwks", "path", "config", "revocations"];

/// What libFuzzer needs to see which way an input took.
const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What to fuzz.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// One target; otherwise all, one after the other
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// How long each target runs, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Builds the targets and runs them. Findings are kept in `target/fuzz/NAME`.
pub(crate) fn fuzz(options: &Options) -> Result<u8, Error> {
    tools::prerequisites::check()?;
    tools::prerequisites::check_fuzzing()?;
    let progress = Progress::detect();
    progress.say("building the fuzz targets");
    let programs = build()?;
    for name in TARGETS.into_iter().filter(|name| options.target.as_ref().is_none_or(|only| only == name)) {
        progress.say(&format!("fuzzing {name} for {} s", options.seconds));
        let code = run(&programs, name, options.seconds)?;
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

fn build() -> Result<PathBuf, Error> {
    let host = host_triple()?;
    let target_dir = files::root().join("target/fuzz");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // With `--target`, build scripts and macros are left without instrumentation.
    let status = Command::new(cargo)
        .current_dir(files::root())
        .args(["build", "--profile", "fuzz", "--package", "doorward-fuzz", "--target", &host, "--target-dir"])
        .arg(&target_dir)
        .env("RUSTFLAGS", INSTRUMENTATION)
        .status()
        .map_err(Error::io("run cargo build"))?;
    if status.success() { Ok(target_dir.join(host).join("fuzz")) } else { Err(Error::FuzzBuild) }
}

fn host_triple() -> Result<String, Error> {
    let output = Command::new("rustc").arg("-vV").output().map_err(Error::io("run rustc"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or(Error::FuzzBuild)
}

fn run(programs: &Path, name: &str, seconds: u32) -> Result<u8, Error> {
    let found = files::root().join("target/fuzz").join(name);
    std::fs::create_dir_all(&found).map_err(Error::io(format!("make {}", found.display())))?;
    let status = Command::new(programs.join(format!("fuzz-{name}")))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-max_len=4096", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0"])
        .arg(format!("-artifact_prefix={}/crash-", found.display()))
        .arg(&found)
        .arg(files::root().join("plugin/fuzz/seeds").join(name))
        .status()
        .map_err(Error::io(format!("run fuzz-{name}")))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
