use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

pub(crate) const PASSWORD: &str = "S3cureP@ss";

pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Command {
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

pub(crate) fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    finish(program(folder, arguments).spawn().unwrap(), input)
}

pub(crate) fn finish(mut child: Child, input: &str) -> Output {
    // A program that does not read its input has closed it.
    let _written = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `doorward-issuer serve`, killed when dropped.
pub(crate) struct Serving {
    child: RefCell<Child>,
    log: RefCell<BufReader<ChildStderr>>,
    seen: RefCell<String>,
    pub(crate) public: SocketAddr,
}

impl Serving {
    pub(crate) fn start(folder: &Path) -> Self {
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
    pub(crate) fn wait_for_log(&self, wanted: &str) -> String {
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

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(&format!("POST {path}"), &body.to_string())
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(&format!("GET {path}"), "");
        assert_eq!(status, 200, "{body}");
        body
    }

    fn send(&self, request: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.public).unwrap();
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: issuer\r\nconnection: close\r\ncontent-type: application/json\r\n\
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

    pub(crate) fn signal(&self) {
        let pid = Pid::from_raw(self.child.borrow().id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
    }

    /// Sends SIGTERM, asserts a good end, and hands over the whole log.
    pub(crate) fn terminate(self) -> String {
        self.signal();
        self.ended()
    }

    pub(crate) fn ended(self) -> String {
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

/// Waits for a condition, with a deadline.
#[expect(clippy::disallowed_methods, reason = "the one loop of these tests that waits for conditions")]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
