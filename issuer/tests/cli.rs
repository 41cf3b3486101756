//! The program as an operator runs it: its arguments, what it prints, how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const PASSWORD: &str = "S3cureP@ss";

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward-issuer"));
    command.args(arguments).env_clear().current_dir(folder);
    command.envs([
        ("DOORWARD_SERVER__PUBLIC", "127.0.0.1:0"),
        ("DOORWARD_SERVER__MANAGEMENT", "127.0.0.1:0"),
        ("DOORWARD_PASSWORD__COST", "4"),
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    finish(program(folder, arguments).spawn().unwrap(), input)
}

fn finish(mut child: Child, input: &str) -> Output {
    // A program that does not read its input has closed it.
    let _written = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

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
    command.env("DOORWARD_TOKEN__ISSUER", "nowhere").env("DOORWARD_EVENTS__URL", "amqp://localhost");
    let output = finish(command.spawn().unwrap(), "");
    let printed = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(printed.contains("token.issuer: must be the URL"), "{printed}");
    assert!(printed.contains("events.url: publishing events is not part of this version"), "{printed}");
    assert_eq!(run(folder.path(), &["config", "check", "--config", "none.toml"], "").status.code(), Some(2));
}

#[test]
fn users_are_created_from_the_command_line_and_can_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        ["users", "create", "--email", "Root@example.test", "--username", "root", "--role", "admin"];
    let output = run(folder.path(), &arguments, &format!("{PASSWORD}\n"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let user: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&user["email"], &user["username"]), (&json!("root@example.test"), &json!("root")));
    assert_eq!(user["roles"], json!(["admin"]));

    let password_file = folder.path().join("password");
    std::fs::write(&password_file, "An0ther-g00d-one\n").unwrap();
    let arguments = ["users", "create", "--email", "user@example.test", "--password-file", "password"];
    let output = run(folder.path(), &arguments, "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let user: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(user["roles"], json!(["user"]));

    let serving = Serving::start(folder.path());
    for (login, password) in [("root", PASSWORD), ("user@example.test", "An0ther-g00d-one")] {
        let (status, tokens) = serving.post("/auth/login", &json!({"login": login, "password": password}));
        assert_eq!(status, 200, "{login}: {tokens}");
    }
    let (_, tokens) = serving.post("/auth/login", &json!({"login": "root", "password": PASSWORD}));
    let (_, answer) = serving.post("/auth/validate", &json!({"token": tokens["access_token"]}));
    let permissions = &answer["user"]["permissions"];
    assert_eq!(
        permissions,
        &json!(["audit:read", "roles:assign", "roles:read", "roles:write", "users:read", "users:write"])
    );
}

#[test]
fn the_command_line_holds_to_the_same_rules() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, input, sentence) in [
        (&["--email", "a@b.com"][..], "short", "password must have at least 10 characters"),
        (&["--email", "nobody"], PASSWORD, "email must have the form name@domain"),
        (&["--email", "a@b.com", "--role", "PILOT"], PASSWORD, "roles has no role PILOT"),
        (&["--email", "a@b.com", "--password-file", "none"], "", "the password cannot be read from none"),
    ] {
        let output = run(folder.path(), &[&["users", "create"], arguments].concat(), input);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(sentence), "{sentence} is not in {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    assert_eq!(
        run(folder.path(), &["users", "create", "--email", "a@b.com"], PASSWORD).status.code(),
        Some(0)
    );
    let output = run(folder.path(), &["users", "create", "--email", "a@b.com"], PASSWORD);
    assert!(text(&output.stderr).contains("the e-mail address is taken"), "{output:?}");
}

#[test]
fn serve_ends_in_good_order_with_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let (status, _) = serving.post("/auth/register", &json!({"email": "a@b.com", "password": PASSWORD}));
    assert_eq!(status, 201);
    // Idle connections must not hold it up.
    let _idle = TcpStream::connect(serving.public).unwrap();
    let log = serving.terminate();
    assert!(log.contains("draining") && log.contains("stopped"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let body = json!({"email": "a@b.com", "password": PASSWORD}).to_string();
    let (first, rest) = body.split_at(10);
    let mut stream = TcpStream::connect(serving.public).unwrap();
    write!(
        stream,
        "POST /auth/register HTTP/1.1\r\nhost: issuer\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    // The interim answer proves that the request has begun.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(text(&interim), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(first.as_bytes()).unwrap();
    serving.signal();
    serving.wait_for_log("draining");
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    serving.ended();
}

#[test]
fn what_keeps_it_from_starting_is_one_sentence_and_1() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, value, sentence) in [
        ("DOORWARD_SERVER__PUBLIC", address.as_str(), "server.public: cannot listen on"),
        ("DOORWARD_STORE__URL", "sqlite:///proc/nowhere/doorward.db", "store.url: /proc/nowhere"),
        ("DOORWARD_SERVER__PUBLIC", "nowhere", "server.public: must be an address"),
    ] {
        let child = program(folder.path(), &["serve"]).env(variable, value).spawn().unwrap();
        let output = finish(child, "");
        let printed = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(printed.lines().last().unwrap().contains(sentence), "{sentence} is not in {printed}");
    }
}

#[test]
fn another_master_key_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        run(folder.path(), &["users", "create", "--email", "a@b.com"], PASSWORD).status.code(),
        Some(0)
    );
    let other = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let child = program(folder.path(), &["serve"]).env("DOORWARD_KEYS__MASTER_KEY", other).spawn().unwrap();
    let output = finish(child, "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("keys.master_key does not open the keys"), "{output:?}");
}

/// `doorward-issuer serve`, killed when dropped.
struct Serving {
    child: std::cell::RefCell<Child>,
    log: std::cell::RefCell<BufReader<std::process::ChildStderr>>,
    seen: std::cell::RefCell<String>,
    public: SocketAddr,
}

impl Serving {
    fn start(folder: &Path) -> Self {
        let mut child = program(folder, &["serve"]).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Self {
            child: child.into(),
            log: log.into(),
            seen: String::new().into(),
            public: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        let line: Value = serde_json::from_str(&serving.wait_for_log(r#""listener":"public""#)).unwrap();
        serving.public = line["address"].as_str().unwrap().parse().unwrap();
        serving.wait_for_log(r#""listener":"management""#);
        serving
    }

    /// Reads the log until a line holds that text; the log ends when the program does.
    fn wait_for_log(&self, wanted: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.log.borrow_mut().read_line(&mut line).unwrap();
            assert!(read > 0, "{wanted} is not in {}", self.seen.borrow());
            self.seen.borrow_mut().push_str(&line);
            if line.contains(wanted) {
                return line;
            }
        }
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.public).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: issuer\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    fn signal(&self) {
        let pid = Pid::from_raw(self.child.borrow().id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
    }

    /// Sends SIGTERM, asserts a good end, and hands over the whole log.
    fn terminate(self) -> String {
        self.signal();
        self.ended()
    }

    fn ended(self) -> String {
        let stopwatch = doorward_issuer::telemetry::Stopwatch::start();
        // The log is open as long as the program runs.
        self.log.borrow_mut().read_to_string(&mut self.seen.borrow_mut()).unwrap();
        let status = self.child.borrow_mut().wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.seen.borrow());
        assert!(stopwatch.milliseconds() < 15_000.0, "the end took {} ms", stopwatch.milliseconds());
        self.seen.take()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut child = self.child.borrow_mut();
        // Ends at once if it has ended already.
        let _killed = child.kill();
        let _waited = child.wait();
    }
}
