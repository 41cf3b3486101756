//! What holds for every file of `envoy/examples`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use doorward_tests::files;
use doorward_tests::prepared::Prepared;

#[test]
fn each_file_is_started_by_a_test() {
    let tests = files::root().join("tests/tests/e2e/examples");
    let sources: String = entries(&tests).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for file in examples("yaml") {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(sources.contains(&format!("\"{name}\"")), "no test starts {name}");
    }
}

#[test]
fn each_file_is_good_and_without_warnings_to_the_checker() {
    let xtask = Prepared::from_env().unwrap().xtask;
    for file in examples("yaml") {
        let output = Command::new(&xtask).args(["plugin", "--check"]).arg(&file).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains(": good: 1 provider(s)"), "{said}");
        assert!(!said.contains("warning"), "{said}");
    }
}

#[test]
fn each_issuer_configuration_is_good() {
    let issuer = Prepared::from_env().unwrap().programs.issuer;
    for file in examples("toml") {
        let output =
            Command::new(&issuer).arg("--config").arg(&file).args(["config", "check"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The examples with this extension; there is one at least.
fn examples(extension: &str) -> Vec<PathBuf> {
    let mut found = entries(&files::root().join("envoy/examples"));
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    assert!(!found.is_empty());
    found
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}
