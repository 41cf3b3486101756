use super::program::{finish, program, run, text};

#[test]
fn config_check_prints_the_settings_in_force_with_secrets_masked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("issuer.toml");
    std::fs::write(&file, "[server]\nmanagement_token = 'hush'\n[token]\naccess_ttl = '5m'").unwrap();
    let output = run(folder.path(), &["config", "check", "--config", "issuer.toml"], "");
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(printed.starts_with("configuration is valid\n"), "{printed}");
    for line in [
        "server.public = \"127.0.0.1:0\"",
        "server.management_token = ********",
        "token.access_ttl = \"5m\"",
        "store.url = \"sqlite://data/doorward.db\"",
        "keys.master_key = (none)",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in {printed}");
    }
    assert!(!printed.contains("hush"), "{printed}");
    assert!(!folder.path().join("data").exists(), "looking made a database");
}

#[test]
fn config_check_prints_the_mistakes_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path(), &["config", "check"]);
    command.env("DOORWARD_TOKEN__ISSUER", "nowhere").env("DOORWARD_EVENTS__URL", "amqp:localhost");
    let output = finish(command.spawn().unwrap(), "");
    let printed = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(printed.contains("token.issuer: must be the URL"), "{printed}");
    assert!(printed.contains("events.url: must be amqp://"), "{printed}");
    assert_eq!(run(folder.path(), &["config", "check", "--config", "none.toml"], "").status.code(), Some(2));
}
