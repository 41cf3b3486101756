//! One `cargo build`, and what it made.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::{Error, Result, files};

/// The cargo that runs us, so that no second toolchain gets involved.
pub(super) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo)
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    profile: Option<Profile>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// What one build made.
pub(super) struct Built(Vec<Message>);

/// Runs a build, cargo's own progress visible.
pub(super) fn build(command: &mut Command) -> Result<Built> {
    let shown = format!("{command:?}");
    command.current_dir(files::root()).arg("--message-format=json-render-diagnostics");
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(Error::io("run cargo"))?;
    if !output.status.success() {
        return Err(Error::Command { command: shown, reason: output.status.to_string() });
    }
    let messages =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    Ok(Built(messages.filter(|message: &Message| message.reason == "compiler-artifact").collect()))
}

impl Built {
    /// The file made for the target of this name; not its tests.
    pub(super) fn file(&self, target: &str, extension: &str) -> Result<PathBuf> {
        self.0
            .iter()
            .filter(|message| {
                message.target.as_ref().is_some_and(|made| made.name.replace('-', "_") == target)
            })
            .filter(|message| message.profile.as_ref().is_some_and(|profile| !profile.test))
            .flat_map(|message| message.executable.iter().chain(&message.filenames))
            .find(|file| file.extension().map_or("", |found| found.to_str().unwrap_or_default()) == extension)
            .cloned()
            .ok_or_else(|| Error::unexpected("cargo", format!("it built no {target}")))
    }
}
