//! `cargo xtask up` and `down` as people use them, and what is left when they are killed: nothing.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use doorward_tests::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

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

    let commands: Vec<&str> = said
        .lines()
        .filter(|line| ["ID=", "TOKEN=", "curl "].iter().any(|start| line.starts_with(start)))
        .collect();
    assert_eq!(commands.len(), 3, "{said}");
    let shell = Command::new("sh").arg("-c").arg(commands.join("\n")).output().unwrap();
    let printed = String::from_utf8_lossy(&shell.stdout);
    assert!(printed.contains("HTTP/1.1 200") && printed.contains(r#""email":"ada-"#), "{printed}");

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
    for part in ["gateway", "issuer", "management", "envoy_admin", "upstream"] {
        let address =
            stack[part].as_str().unwrap().trim_start_matches("http://").replace("localhost", "127.0.0.1");
        let closed = wait::until(LIMIT, || TcpStream::connect(&address).is_err().then_some(()));
        assert!(closed.is_some(), "{part} still listens");
    }
    let removed = wait::until(LIMIT, || (!state.join("stack.json").exists()).then_some(()));
    assert!(removed.is_some(), "stack.json is still there");
}
