//! `docs/threats.md` is a promise: each attack in it has a test, by name.

use std::path::Path;

use doorward_tests::files;

use crate::support::stricter::STRICTER;

#[test]
fn every_test_that_the_threats_name_exists() {
    let sources = ["tests/tests/e2e", "plugin/core/tests", "plugin/core/src", "issuer/tests", "issuer/src"]
        .map(|dir| source(&files::root().join(dir)))
        .concat();
    let mut named = 0;
    for row in rows() {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().to_owned();
        let tests: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            let exists = ["(", "<"].iter().any(|next| sources.contains(&format!("fn {test}{next}")));
            assert!(exists, "there is no test called {test}: {row}");
            named += 1;
        }
    }
    assert!(named >= 40, "{named} tests are named");
}

#[test]
fn every_deliberate_strictness_is_written_down() {
    let threats = threats();
    for rule in &STRICTER {
        assert!(threats.contains(rule.why), "docs/threats.md does not say: {}", rule.why);
    }
}

fn threats() -> String {
    std::fs::read_to_string(files::root().join("docs/threats.md")).unwrap()
}

/// The rows of all tables that name tests.
fn rows() -> Vec<String> {
    let threats = threats();
    let mut rows = Vec::new();
    let mut names_tests = false;
    for line in threats.lines() {
        if !line.starts_with('|') {
            names_tests = false;
        } else if line.trim_end_matches([' ', '|']).ends_with("| test") {
            names_tests = true;
        } else if names_tests && !line.starts_with("|--") {
            rows.push(line.to_owned());
        }
    }
    rows
}

/// Every Rust source below a directory, as one text.
fn source(dir: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&source(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
    text
}
