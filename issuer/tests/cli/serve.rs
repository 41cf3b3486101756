use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::program::{PASSWORD, Serving, eventually, finish, program, run, text};

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
fn the_document_of_the_api_is_printed_as_it_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["openapi"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, Serving::start(folder.path()).get("/openapi.json"));
}

/// Begins a request, and returns what is missing of it.
fn begin_to_register(stream: &mut TcpStream) -> String {
    let body = json!({"email": "a@b.com", "password": PASSWORD}).to_string();
    let (first, rest) = body.split_at(10);
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
    rest.to_owned()
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let mut stream = TcpStream::connect(serving.public).unwrap();
    let rest = begin_to_register(&mut stream);
    serving.signal();
    serving.wait_for_log("draining");
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    serving.ended();
}

/// Reads an answer to its end.
fn head_of_answer(kept: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(kept.read_line(&mut head).unwrap() > 0, "closed after {head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    kept.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
    head
}

#[test]
fn a_connection_that_is_kept_is_told_to_end_and_a_new_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let mut kept = BufReader::new(TcpStream::connect(serving.public).unwrap());
    kept.get_mut().write_all(b"GET /health HTTP/1.1\r\nhost: issuer\r\n\r\n").unwrap();
    assert!(!head_of_answer(&mut kept).contains("connection: close"));
    // With a request under way it is kept for longer than a busy machine needs to close the listener.
    let rest = begin_to_register(kept.get_mut());
    serving.signal();
    serving.wait_for_log("draining");
    eventually("a listener that is closed", || TcpStream::connect(serving.public).is_err());
    kept.get_mut().write_all(rest.as_bytes()).unwrap();
    let last = head_of_answer(&mut kept);
    assert!(last.starts_with("HTTP/1.1 201 ") && last.contains("connection: close"), "{last}");
    assert_eq!(kept.read(&mut [0]).unwrap(), 0);
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
