use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::issuer::Issuer;
use super::wire::send;

const REQUEST: &[u8] = b"GET /auth/me HTTP/1.1\r\nhost: issuer\r\n\r\n";

fn connect(issuer: &Issuer) -> TcpStream {
    let stream = TcpStream::connect(issuer.public).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// One request on a connection that stays open.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(REQUEST).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(answer).unwrap()
}

/// How long the server keeps the connection, if it answers nothing.
fn kept(mut stream: TcpStream) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "measures")]
    let since = Instant::now();
    let mut rest = Vec::new();
    // Closed, or reset because of what was not read.
    let _end = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    since.elapsed()
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let issuer = Issuer::start();
    let beginnings: [&[u8]; 5] = [
        b"",
        b"G",
        b"\r\n\r\n",
        b"POST /auth/login HTTP/1.1\r\nhost: issuer\r\n",
        b"POST /auth/login HTTP/1.1\r\nhost: issuer\r\ncontent-type: application/json\r\nx-slow: ",
    ];
    let mut slow: Vec<_> = beginnings
        .iter()
        .map(|beginning| {
            let mut stream = connect(&issuer);
            stream.write_all(beginning).unwrap();
            stream
        })
        .collect();
    // On a connection that has been good so far, too.
    let mut second = connect(&issuer);
    assert!(ask(&mut second).starts_with("HTTP/1.1 401"));
    second.write_all(b"GET / HTTP/1.1\r\nx: y").unwrap();
    slow.push(second);
    let held: Vec<_> = slow.into_iter().map(|stream| std::thread::spawn(|| kept(stream))).collect();
    for held in held {
        let held = held.join().unwrap();
        assert!((5..25).contains(&held.as_secs()), "{held:?}");
    }
}

#[test]
fn a_trickle_does_not_buy_time() {
    let issuer = Issuer::start();
    let mut stream = connect(&issuer);
    #[expect(clippy::disallowed_methods, reason = "measures")]
    let since = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // A read with a short limit is a wait for the end that ends at the end.
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let still_open = |read: std::io::Result<usize>| match read {
        Ok(read) => read > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    };
    while stream.write_all(b"x-more: and more\r\n").is_ok() && still_open(stream.read(&mut [0])) {
        assert!(since.elapsed() < Duration::from_secs(25), "it is kept for as long as something trickles");
    }
    assert!(since.elapsed() > Duration::from_secs(5), "{:?}", since.elapsed());
}

#[test]
fn an_idle_connection_makes_room_for_a_request() {
    let issuer = Issuer::start_with(&[("server.max_connections", "16")]);
    let mut idle: Vec<_> = (0..16).map(|_| connect(&issuer)).collect();
    for stream in &mut idle {
        assert!(ask(stream).starts_with("HTTP/1.1 401"));
    }
    // All places are taken, and yet everybody is served: whoever is idle longest goes.
    for _ in 0..5 {
        assert_eq!(issuer.get("/auth/me").status, 401);
    }
    let first = kept(idle.remove(0));
    assert!(first < Duration::from_secs(5), "{first:?}");
    assert!(ask(idle.last_mut().unwrap()).starts_with("HTTP/1.1 401"), "the youngest is still there");
    // The management listener has room of its own.
    assert_eq!(send(issuer.management, "GET /health/live", &[], b"").status, 200);
}

#[test]
fn a_crowd_of_silent_clients_keeps_nobody_out() {
    let issuer = Issuer::start_with(&[("server.max_connections", "16")]);
    let crowd: Vec<_> = (0..64).map(|_| connect(&issuer)).collect();
    let mut client = connect(&issuer);
    assert!(ask(&mut client).starts_with("HTTP/1.1 401"));
    drop(crowd);
}

#[test]
fn http_2_is_for_the_gateway() {
    let issuer = Issuer::start();
    let mut stream = connect(&issuer);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    assert!(kept(stream) < Duration::from_secs(5));
}
