//! `cargo xtask up` and `down` as people use them, and what is left when they are killed: nothing.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use doorward_tests::http::Client;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use doorward_tests::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const UP: [&str; 3] = ["up", "--detach", "--prepared"];
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn the_printed_commands_work_and_down_ends_it() {
    let workdir = Workdir::new().unwrap();
    let up = xtask(&UP, workdir.path());
    let said = String::from_utf8_lossy(&up.stdout).into_owned();
    let stack = stack(workdir.path());
    let members = [
        "gateway",
        "issuer",
        "management",
        "envoy_admin",
        "upstream",
        "plugin_wasm",
        "envoy_bin",
        "envoy_config",
        "logs",
    ];
    assert!(members.iter().all(|member| stack[member].is_string()), "{stack}");
    assert!(stack["admin"]["email"].is_string() && stack["admin"]["password"].is_string());

    try_printed(&said);

    let second = run(&["up", "--prepared"], workdir.path());
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("already running"));

    xtask(&["down"], workdir.path());
    assert_gone(&stack, workdir.path());
    let logs = workdir.path().join("logs");
    let issuer = std::fs::read_to_string(logs.join("issuer.log")).unwrap();
    assert!(issuer.contains("stopped"), "the issuer was given time to stop:\n{issuer}");
    let nothing = xtask(&["down"], workdir.path());
    assert!(String::from_utf8_lossy(&nothing.stdout).contains("no stack is running"));
}

#[test]
fn a_killed_stack_leaves_nothing_and_comes_up_again_with_its_users() {
    let workdir = Workdir::new().unwrap();
    xtask(&UP, workdir.path());
    let first = stack(workdir.path());
    let pid = std::fs::read_to_string(workdir.path().join("lock")).unwrap().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    assert_gone(&first, workdir.path());

    xtask(&UP, workdir.path());
    assert_eq!(stack(workdir.path())["admin"], first["admin"]);
    xtask(&["down"], workdir.path());
}

#[test]
fn a_full_stack_has_both_servers_and_keeps_its_users() {
    let workdir = Workdir::new().unwrap();
    let full = ["up", "--full", "--detach", "--prepared"];
    let said = String::from_utf8_lossy(&xtask(&full, workdir.path()).stdout).into_owned();
    let first = stack(workdir.path());
    assert!(first["mongodb"].as_str().unwrap().starts_with("mongodb://127.0.0.1:"), "{first}");
    assert!(first["amqp"].as_str().unwrap().starts_with("amqp://"), "{first}");
    try_printed(&said);
    xtask(&["down"], workdir.path());
    assert_gone(&first, workdir.path());

    xtask(&full, workdir.path());
    let second = stack(workdir.path());
    assert_eq!(second["admin"], first["admin"]);
    let login = Client::new(second["gateway"].as_str().unwrap()).post("/auth/login", &second["admin"]);
    assert_eq!(login.unwrap().status, 200);
    xtask(&["down"], workdir.path());
    assert_gone(&second, workdir.path());

    let data = std::fs::read_dir(workdir.path().join("rabbitmq/data")).unwrap();
    let names: Vec<String> =
        data.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    let brokers = names.iter().filter(|name| name.ends_with("@localhost")).count();
    assert_eq!(brokers, 1, "the second broker went on where the first stopped: {names:?}");
}

#[test]
fn an_administrator_with_another_password_is_explained() {
    let workdir = Workdir::new().unwrap();
    xtask(&UP, workdir.path());
    xtask(&["down"], workdir.path());
    let store = workdir.path().join("issuer");
    let forgotten = json!({ "email": "admin@example.test", "password": "not the one that was made" });
    std::fs::write(store.join("admin.json"), forgotten.to_string()).unwrap();

    let refused = run(&UP, workdir.path());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains(&format!("delete {}, and all its users", store.display())), "{said}");
}

/// Runs the three commands that are printed for people to paste.
fn try_printed(said: &str) {
    let commands: Vec<&str> = said
        .lines()
        .filter(|line| ["ID=", "TOKEN=", "curl "].iter().any(|start| line.starts_with(start)))
        .collect();
    assert_eq!(commands.len(), 3, "{said}");
    let shell = Command::new("sh").arg("-c").arg(commands.join("\n")).output().unwrap();
    let printed = String::from_utf8_lossy(&shell.stdout);
    assert!(printed.contains("HTTP/1.1 200") && printed.contains(r#""email":"ada-"#), "{printed}");
}

fn xtask(args: &[&str], state: &Path) -> Output {
    let output = run(args, state);
    assert!(output.status.success(), "{output:?}");
    output
}

fn run(args: &[&str], state: &Path) -> Output {
    let xtask = Prepared::from_env().unwrap().xtask;
    Command::new(xtask).args(args).arg("--state").arg(state).output().unwrap()
}

fn stack(state: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(state.join("stack.json")).unwrap()).unwrap()
}

/// Nobody listens any more, and nothing says that somebody does.
fn assert_gone(stack: &Value, state: &Path) {
    for part in ["gateway", "issuer", "management", "envoy_admin", "upstream", "mongodb", "amqp"] {
        let Some(address) = stack[part].as_str().map(host_and_port) else { continue };
        let closed = wait::until(LIMIT, || TcpStream::connect(&address).is_err().then_some(()));
        assert!(closed.is_some(), "{part} still listens");
    }
    let removed = wait::until(LIMIT, || (!state.join("stack.json").exists()).then_some(()));
    assert!(removed.is_some(), "stack.json is still there");
}

/// Of an address, with or without an account before it and a path behind it.
fn host_and_port(url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap();
    let authority = rest.split('/').next().unwrap();
    authority.rsplit('@').next().unwrap().replace("localhost", "127.0.0.1")
}
