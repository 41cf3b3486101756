//! `deny.toml`, as far as it can be held against the dependencies without cargo-deny: licences and crates that are not wanted;
//! and what each is for.

use std::collections::BTreeSet;
use std::process::Command;

use doorward_tests::files;
use serde_json::Value;

use crate::support::shipped::{list, string, text};

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let deny = text("deny.toml");
    let allowed: BTreeSet<&str> = quoted(section(&deny, "\nallow = [", "]")).collect();
    let exceptions = section(&deny, "\nexceptions = [", "]]");
    assert!(allowed.contains("MIT") && !exceptions.is_empty());
    for package in packages() {
        let name = string(&package["name"]);
        let licence = package["license"].as_str().unwrap_or_default();
        let excepted = exceptions.contains(&format!("\"{name}\""));
        let good =
            |one: &str| allowed.contains(one) || (excepted && exceptions.contains(&format!("\"{one}\"")));
        assert!(is_met(licence, &good), "{name} has the licence {licence:?}");
    }
}

#[test]
fn no_dependency_is_one_that_is_not_wanted() {
    let deny = text("deny.toml");
    let unwanted = section(&deny, "\ndeny = [", "]").lines().filter_map(|line| quoted(line).next());
    let unwanted: BTreeSet<&str> = unwanted.collect();
    assert!(unwanted.contains("openssl-sys"));
    for package in packages() {
        let name = string(&package["name"]);
        assert!(!unwanted.contains(name), "{name}");
        let source = package["source"].as_str().unwrap_or("registry+here");
        assert!(source.starts_with("registry+"), "{name} comes from {source}");
    }
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let asked_for = packages().into_iter().filter(|package| package["source"].is_null());
    let asked_for = asked_for.flat_map(|package| list(&package, "dependencies").clone());
    let asked_for = asked_for.filter(|dependency| dependency["path"].is_null());
    let asked_for: BTreeSet<String> = asked_for.map(|it| string(&it["name"]).to_owned()).collect();
    let page = text("docs/dependencies.md");
    let names = page.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    let explained: BTreeSet<String> =
        names.flat_map(|names| names.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    assert_eq!(explained, asked_for);
}

#[test]
fn a_licence_is_met_by_any_of_its_choices_and_all_of_its_parts() {
    let good = |one: &str| ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].contains(&one);
    for met in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "MIT AND Zlib",
        "(GPL-3.0 OR MIT) AND Zlib",
        "Zlib AND (MIT OR GPL-3.0)",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
    ] {
        assert!(is_met(met, &good), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR MIT) AND GPL-3.0", "Apache-2.0"] {
        assert!(!is_met(unmet, &good), "{unmet}");
    }
}

/// Whether a licence expression holds. `AND` binds closer than `OR`.
fn is_met(expression: &str, good: &dyn Fn(&str) -> bool) -> bool {
    let expression = expression.replace('/', " OR ");
    let any = parts(&expression, " OR ");
    if any.len() > 1 {
        return any.into_iter().any(|part| is_met(part, good));
    }
    let all = parts(&expression, " AND ");
    if all.len() > 1 {
        return all.into_iter().all(|part| is_met(part, good));
    }
    let inside = expression.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inside.map_or_else(|| good(expression.trim()), |inside| is_met(inside, good))
}

/// The parts of an expression between separators that stand in no parentheses.
fn parts<'a>(expression: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start) = (vec![], 0);
    for (place, _) in expression.match_indices(separator) {
        let before = &expression[start..place];
        if before.matches('(').count() == before.matches(')').count() {
            parts.push(before);
            start = place + separator.len();
        }
    }
    parts.push(&expression[start..]);
    parts
}

/// What is linked or run while building, for any platform.
fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(files::root()).args([
        "metadata",
        "--locked",
        "--all-features",
        "--format-version",
        "1",
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    list(&metadata, "packages").clone()
}

fn section<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split(from).nth(1).unwrap().split(to).next().unwrap()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}
