//! A client that knows nothing but `/openapi.json`, and tries what nobody of us would think of.

use std::process::Output;

use doorward_tests::prepared::Prepared;
use doorward_tests::tools::schemathesis;

use crate::support::alone::Alone;
use crate::support::whole::{PASSWORD, text};

/// Nothing is wrong on our side, and nothing is answered that the document does not promise.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method";

#[test]
fn a_stranger_finds_no_500_and_nothing_undocumented() {
    let alone = Alone::start(&[]);
    try_everything(&alone, &[]);
    alone.assert_calm();
}

#[test]
fn an_administrator_finds_no_500_and_nothing_undocumented() {
    let alone = Alone::start(&[]);
    alone.issuer.create_user("root@example.test", PASSWORD, "admin").unwrap();
    let tokens = alone.log_in("root@example.test").json().unwrap();
    let bearer = format!("Authorization: Bearer {}", text(&tokens, "access_token"));
    // It learns its own id and ends its own session where it can; from there on all doors would be closed.
    try_everything(&alone, &["--header", &bearer, "--exclude-path-regex", "logout"]);
    let me = alone.door.get_as(&text(&tokens, "access_token"), "/auth/me").unwrap();
    assert_eq!(me.status, 200, "it was an administrator to the end");
    alone.assert_calm();
}

fn try_everything(alone: &Alone, options: &[&str]) {
    let modules = Prepared::from_env().unwrap().schemathesis;
    let url = alone.url();
    let output = schemathesis::command(&modules)
        .unwrap()
        .current_dir(alone.workdir.path())
        .args(["run", &format!("{url}/openapi.json"), "--url", &url, "--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--continue-on-failure"])
        .args(["--generation-deterministic", "--no-color"])
        .args(options)
        .output()
        .unwrap();
    let Output { status, stdout, stderr } = output;
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success(), "{said}");
    let generated =
        said.lines().find_map(|line| line.trim().split_once(" generated")?.0.parse::<usize>().ok());
    assert!(generated.is_some_and(|generated| generated > 200), "{said}");
}
