//! What Envoy says to the shipped configuration, and to one that is wrong.

use std::process::Command;
use std::time::Duration;

use doorward_tests::parts::Envoy;
use doorward_tests::parts::envoy::{Setup, Upstreams};
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;

/// What is written instead of what, and the key whose path the log must show.
const MISTAKES: [(&str, &str, &str); 8] = [
    ("cluster: issuer\n                                    path", "path", "providers[0].keys.remote.cluster"),
    ("audiences: [api]", "audience: [api]", "providers[0].audience"),
    ("audiences: [api]", "audiences: 7", "providers[0].audiences"),
    ("algorithms: [ES256]", "algorithms: [none]", "providers[0].algorithms[0]"),
    ("refresh: 5m", "refresh: soon", "providers[0].keys.remote.refresh"),
    ("rules:\n", "rulez:\n", "rulez"),
    ("{path: /health, allow: public}", "{path: /health, allow: everybody}", "rules[5].allow"),
    ("{path: /health, allow: public}", "{path: health, allow: public}", "rules[5].path"),
];

#[test]
fn envoy_validates_the_shipped_file() {
    let (prepared, workdir) = (Prepared::from_env().unwrap(), Workdir::new().unwrap());
    let envoy = launch(&prepared, &workdir, "shipped", &[]);
    let validated = Command::new(&prepared.programs.envoy)
        .args(["--mode", "validate", "--config-path"])
        .arg(&envoy.config)
        .output()
        .unwrap();
    assert!(validated.status.success(), "{}", String::from_utf8_lossy(&validated.stderr));
}

#[test]
fn a_mistake_in_the_plugins_part_is_refused_with_the_keys_path() {
    let (prepared, workdir) = (Prepared::from_env().unwrap(), Workdir::new().unwrap());
    for (number, (from, to, key)) in MISTAKES.into_iter().enumerate() {
        let mut envoy = launch(&prepared, &workdir, &number.to_string(), &[(from, to)]);
        envoy.process.ended(Duration::from_secs(30)).unwrap();
        let log = envoy.process.log_text();
        assert!(log.contains(&format!("{key}:")), "{key} is not in the log:\n{log}");
    }
}

fn launch(prepared: &Prepared, workdir: &Workdir, name: &str, edits: &[(&str, &str)]) -> Envoy {
    let dir = workdir.sub(name).unwrap();
    let nobody = Upstreams { issuer: 1, management: 1, users: 1 };
    let setup = Setup::for_test(&prepared.programs, &dir, "https://auth.example.test", nobody).unwrap();
    Envoy::launch(Setup { edits, ..setup }).unwrap()
}
