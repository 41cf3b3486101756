//! The Dockerfiles, read line by line.

use doorward_tests::files;

use super::compose::pinned;
use crate::support::shipped::text;

const DOCKERFILES: [&str; 3] = ["issuer/Dockerfile", "envoy/Dockerfile", "examples/user-service/Dockerfile"];

#[test]
fn images_begin_from_one_version_and_end_as_nobody_special() {
    for file in DOCKERFILES {
        let text = text(file);
        let stages = arguments(&text, "FROM ");
        assert!(stages.len() >= 2, "{file}: what builds does not run");
        for image in stages.iter().map(|stage| stage.split(' ').next().unwrap()) {
            assert!(image == "scratch" || pinned(image), "{file}: {image}");
        }
        let last = text.rsplit("\nFROM ").next().unwrap();
        assert_eq!(arguments(last, "USER "), ["65532:65532"], "{file}");
        assert!(arguments(&text, "ADD ").is_empty() && arguments(&text, "ENV ").is_empty(), "{file}");
    }
}

#[test]
fn what_is_copied_is_there_and_let_in() {
    let let_in = text(".dockerignore");
    for file in DOCKERFILES {
        let text = text(file);
        for copy in
            arguments(&text, "COPY ").iter().filter(|copy| !copy.starts_with("--from") && **copy != ". .")
        {
            let source = copy.split(' ').next().unwrap();
            assert!(files::root().join(source).is_file(), "{file}: {source}");
            assert!(let_in.lines().any(|line| line == format!("!{source}")), "{file}: {source}");
        }
    }
    let workspace = text("Cargo.toml");
    let members = workspace.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
    for member in members.trim_end_matches(']').split(", ").map(|member| member.trim_matches('"')) {
        let folder = member.split('/').next().unwrap();
        assert!(let_in.lines().any(|line| line == format!("!{folder}")), "cargo needs {folder}");
    }
}

#[test]
fn the_toolchain_is_the_workspaces() {
    let workspace = text("Cargo.toml");
    let version = workspace.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap();
    for file in DOCKERFILES {
        let wanted = format!("FROM rust:{}.", version.trim_end_matches('"'));
        assert!(text(file).contains(&wanted), "{file} does not begin with {wanted}");
    }
}

/// What stands behind an instruction, wherever it is used.
fn arguments<'a>(text: &'a str, instruction: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(instruction)).collect()
}
