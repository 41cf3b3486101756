use std::fmt::Display;
use std::path::Path;
use std::process::Command;

use super::Error;

/// Where and when it was measured.
#[derive(Debug)]
pub(super) struct Conditions {
    date: String,
    processor: String,
    load: String,
    beneath: String,
}

impl Conditions {
    /// Now, with this Envoy or MongoDB.
    #[expect(clippy::disallowed_methods, reason = "the day on which a person measured")]
    pub(super) fn now(name: &str, program: &Path) -> Result<Self, Error> {
        let version = Command::new(program).arg("--version").output();
        let version = version.map_err(Error::io(format!("ask {name} its version")))?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let processor = read("/proc/cpuinfo")?;
        let processor =
            processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let version = version_number(&version).unwrap_or("of an unknown version");
        Ok(Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            processor: format!("{}, {processors} processors", processor.trim_start_matches([' ', '\t', ':'])),
            load: read("/proc/loadavg")?.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            beneath: format!("{name} {version}"),
        })
    }

    /// Prints what came out of the command; in markdown with what it came out of.
    pub(super) fn print(&self, report: &dyn Display, command: &str, markdown: bool) {
        match markdown {
            true => println!("{}\n{report}", self.describe(command)),
            false => println!("\n{report}"),
        }
    }

    /// Half a sentence on each, and the command.
    fn describe(&self, command: &str) -> String {
        let Self { date, processor, load, beneath } = self;
        format!("Measured on {date} with `{command}`: {beneath}, {processor}, load average before {load}.\n")
    }
}

/// From `/path/of/envoy  version: HASH/1.40.0/Clean/RELEASE/BoringSSL` or `db version v6.0.5`.
fn version_number(text: &str) -> Option<&str> {
    let envoy = text.split_once("version:").and_then(|(_, rest)| rest.split('/').nth(1));
    let mongodb = || text.split_once("db version v").and_then(|(_, rest)| rest.split_whitespace().next());
    envoy.or_else(mongodb)
}

fn read(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::io(format!("read {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_behind_any_path() {
        assert_eq!(
            version_number("/opt/x/envoy  version: 9e5/1.40.0/Clean/RELEASE/BoringSSL"),
            Some("1.40.0")
        );
        assert_eq!(version_number("db version v6.0.5\nBuild Info: {"), Some("6.0.5"));
        assert_eq!(version_number("nothing"), None);
    }
}
