//! The plugin, by whichever toolchain can be had.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::cargo;
use crate::build::trim::trim;
use crate::progress::Progress;
use crate::tools::rabbitmq::{apt_install, may_install};
use crate::{Error, Result, files};

const TARGET: &str = "wasm32-wasip1";
const BUILD: [&str; 7] = ["build", "--profile", "plugin", "--target", TARGET, "--package", "doorward-plugin"];

/// A compiler for wasm, the standard library for it and a linker, as Debian packages them.
const PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc", "lld-22"];

/// The compiler would look for `rust-lld`, a link to this that comes with yet another package.
const LINKER: &str = "/usr/bin/wasm-ld-22";

/// Which toolchain may build the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// The running one, and where it lacks the target, the distribution's.
    Any,
    /// The running one alone.
    Rustup,
    /// The distribution's alone.
    Distribution,
}

/// Builds the plugin and returns its module.
///
/// # Errors
/// When no permitted toolchain can be had, saying why for each; or when the code does not compile.
pub fn plugin(toolchain: Toolchain, progress: Progress) -> Result<PathBuf> {
    trim(&compile(toolchain, progress)?)
}

fn compile(toolchain: Toolchain, progress: Progress) -> Result<PathBuf> {
    if toolchain == Toolchain::Distribution {
        return with_distribution(progress);
    }
    match (add_target(progress), toolchain) {
        (Ok(()), _) => {
            progress.say("building the plugin");
            cargo::build(cargo::cargo().args(BUILD))?.file("doorward_plugin", "wasm")
        }
        (Err(rustup), Toolchain::Rustup) => Err(rustup),
        (Err(rustup), _) => with_distribution(progress).map_err(|distribution| Error::NoWasmToolchain {
            rustup: rustup.into(),
            distribution: distribution.into(),
        }),
    }
}

/// Makes sure that the running toolchain has the target.
fn add_target(progress: Progress) -> Result<()> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).exists() {
        return Ok(());
    }
    if files::which("rustup").is_none() {
        return Err(Error::missing("rustup", "it adds the target wasm32-wasip1 to the Rust toolchain"));
    }
    let _step = progress.step("adding the target wasm32-wasip1");
    output(Command::new("rustup").args(["target", "add", TARGET])).map(drop)
}

fn with_distribution(progress: Progress) -> Result<PathBuf> {
    if !distribution_is_installed() {
        if !may_install() {
            let install = format!("`sudo apt-get install {}`", PACKAGES.join(" "));
            return Err(Error::missing("the distribution's toolchain for wasm", install));
        }
        apt_install(progress, &PACKAGES)?;
    }
    progress.say("building the plugin with the distribution's toolchain");
    let mut command = Command::new("/usr/bin/cargo");
    command.args(BUILD).arg("-Zbuild-std=std,panic_abort");
    // Another compiler's files would invalidate ours at every change between the two.
    command.arg("--target-dir").arg(files::root().join("target/distribution"));
    command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    command.env("RUSTFLAGS", "-L /usr/lib/wasm32-wasi").env("CARGO_TARGET_WASM32_WASIP1_LINKER", LINKER);
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    cargo::build(&mut command)?.file("doorward_plugin", "wasm")
}

fn distribution_is_installed() -> bool {
    ["/usr/bin/cargo", "/usr/bin/rustc", "/usr/lib/rustlib/src/rust", "/usr/lib/wasm32-wasi", LINKER]
        .iter()
        .all(|path| Path::new(path).exists())
}

fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}").replace('"', "");
    let output = command.output().map_err(Error::io(format!("run {shown}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.lines().last().unwrap_or("no reason given").to_owned();
    Err(Error::Command { command: shown, reason })
}
