//! RabbitMQ's server, from the distribution.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::progress::Progress;
use crate::{Error, Result, files};

/// RabbitMQ's programs.
#[derive(Debug, Clone)]
pub struct RabbitmqTools {
    /// The server's start script.
    pub server: PathBuf,
    /// The operator's program.
    pub control: PathBuf,
    /// Erlang's port mapper, without which no node starts.
    pub epmd: PathBuf,
}

/// Finds RabbitMQ, or installs it from the distribution's packages where we may.
///
/// # Errors
/// When it is neither installed nor can be.
pub fn find(progress: Progress) -> Result<RabbitmqTools> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    let advice = "install the package rabbitmq-server, e.g. `sudo apt-get install rabbitmq-server`";
    if !may_install() {
        return Err(Error::missing("RabbitMQ", advice));
    }
    apt_install(progress, &["rabbitmq-server"])?;
    installed().ok_or_else(|| Error::missing("RabbitMQ", advice))
}

fn installed() -> Option<RabbitmqTools> {
    // The package's own wrapper on the `PATH` insists on the service's user; the script below it does not.
    let packaged = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    let server = if packaged.exists() { packaged.to_owned() } else { files::which("rabbitmq-server")? };
    let packaged = Path::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
    let control = if packaged.exists() { packaged.to_owned() } else { files::which("rabbitmqctl")? };
    Some(RabbitmqTools { server, control, epmd: files::which("epmd")? })
}

/// Whether packages can be installed without asking anybody.
pub(crate) fn may_install() -> bool {
    nix::unistd::geteuid().is_root() && files::which("apt-get").is_some()
}

/// Installs packages of the distribution.
pub(crate) fn apt_install(progress: Progress, packages: &[&str]) -> Result<()> {
    let _step = progress.step(&format!("installing {}", packages.join(", ")));
    apt_get(&["update"])?;
    apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

fn apt_get(args: &[&str]) -> Result<()> {
    let run = Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").output();
    let output = run.map_err(Error::io("run apt-get"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.lines().last().unwrap_or("no reason given").to_owned();
    Err(Error::Command { command: format!("apt-get {}", args.join(" ")), reason })
}
