//! Protected headers from clients never arrive: not on protected paths, not on public ones, in no spelling.

use doorward_tests::http::raw;
use doorward_tests::parts::Received;

use crate::support::bare::Bare;

const PROTECTED: [&str; 7] = [
    "x-user-id",
    "x-user-email",
    "x-user-email-verified",
    "x-user-roles",
    "x-user-permissions",
    "x-session-id",
    "x-auth-provider",
];

#[test]
fn on_protected_paths_the_gates_own_values_are_the_only_ones() {
    let bare = Bare::start();
    let token = bare.token("ada");
    for name in PROTECTED {
        let path = format!("/users/ada?{name}");
        let authorization = format!("authorization: Bearer {token}\r\n");
        assert_eq!(send(&bare, &path, &(authorization + &forged(name))), Some(200));
    }
    let arrived = bare.echo.received("/users/ada");
    assert_eq!(arrived.len(), PROTECTED.len());
    for request in arrived {
        assert_eq!(request.header("x-user-id"), [b"ada"]);
        assert_eq!(request.header("x-user-roles"), [b"user"]);
        assert_clean(&request);
        let names = request.folded_names();
        for name in PROTECTED {
            assert!(names.iter().filter(|found| *found == name).count() <= 1, "{name} twice in {names:?}");
        }
    }
}

#[test]
fn on_public_paths_none_arrives() {
    let bare = Bare::start();
    for name in PROTECTED {
        assert_eq!(send(&bare, &format!("/auth/login?{name}"), &forged(name)), Some(200));
    }
    let arrived = bare.echo.received("/auth/login");
    assert_eq!(arrived.len(), PROTECTED.len());
    for request in arrived {
        assert_clean(&request);
        let names = request.folded_names();
        assert!(PROTECTED.iter().all(|name| !names.iter().any(|found| found == name)), "{names:?}");
    }
}

#[test]
fn other_headers_with_underscores_do_arrive() {
    let bare = Bare::start();
    assert_eq!(send(&bare, "/auth/login", "x_request_source: app\r\n"), Some(200));
    assert_eq!(bare.echo.received("/auth/login")[0].header("x_request_source"), [b"app"]);
}

#[test]
fn naming_a_protected_header_in_connection_gains_nothing() {
    let bare = Bare::start();
    let token = bare.token("ada");
    let head = format!(
        "GET /users/ada HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         x-user-id: evil\r\nconnection: close, x-user-id\r\n\r\n"
    );
    let answer = raw::exchange(&bare.envoy.address(), head.as_bytes()).unwrap();
    // Whether Envoy forwards or refuses it, the service sees the gate's value or nothing at all.
    let arrived = bare.echo.received("/users/ada");
    assert_eq!(raw::status(&answer), Some(if arrived.is_empty() { 400 } else { 200 }));
    for request in arrived {
        assert_eq!(request.header("x-user-id"), [b"ada"]);
        assert_clean(&request);
    }
}

#[test]
fn the_token_goes_where_the_rule_sends_it() {
    let bare = Bare::start();
    let token = bare.token("ada");
    for (path, arrives) in [("/users/ada", false), ("/auth/me", true), ("/auth/login", true)] {
        assert_eq!(bare.client().get_as(&token, path).unwrap().status, 200);
        let request = bare.echo.received(path).remove(0);
        assert_eq!(!request.header("authorization").is_empty(), arrives, "{path}");
    }
}

#[test]
fn paths_that_programs_read_differently_are_refused() {
    let bare = Bare::start();
    let token = bare.token("ada");
    let authorization = format!("authorization: Bearer {token}\r\n");
    for path in ["//users/ada", "/users//ada", "/auth/login%2f..%2fusers", "/users/ada;x", "/users/%00"] {
        assert_eq!(send(&bare, path, &authorization), Some(400), "{path}");
    }
    // Envoy resolves dots and backslashes first, and the filter decides on what will be sent on.
    for path in ["/auth/login/../../users/bob", "/auth\\..\\users\\bob"] {
        assert_eq!(send(&bare, path, &authorization), Some(403), "{path}");
    }
    let arrived: Vec<String> = bare.echo.all().iter().map(Received::path).collect();
    assert!(arrived.iter().all(|path| path == "/.well-known/jwks.json"), "{arrived:?}");
}

/// The header in every mix of `-` and `_`, in three cases, and the plain form twice.
fn forged(name: &str) -> String {
    let dashes: Vec<usize> = name.match_indices('-').map(|(at, _)| at).collect();
    let mut lines = String::new();
    for mix in 0..1_u32 << dashes.len() {
        let mut spelling = name.to_owned();
        for (bit, at) in dashes.iter().enumerate() {
            if mix & (1 << bit) != 0 {
                spelling.replace_range(*at..=*at, "_");
            }
        }
        for form in [spelling.clone(), spelling.to_uppercase(), title_case(&spelling)] {
            lines.push_str(&format!("{form}: evil\r\n"));
        }
    }
    lines + &format!("{name}: evil\r\n{name}: evil, evil\r\n")
}

fn title_case(name: &str) -> String {
    let mut start = true;
    let upper = |character: char| {
        let shown = if start { character.to_ascii_uppercase() } else { character };
        start = character == '-' || character == '_';
        shown
    };
    name.chars().map(upper).collect()
}

fn send(bare: &Bare, path: &str, headers: &str) -> Option<u16> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n");
    raw::status(&raw::exchange(&bare.envoy.address(), head.as_bytes()).unwrap())
}

fn assert_clean(request: &Received) {
    let head = String::from_utf8_lossy(&request.head);
    assert!(!head.contains("evil"), "{head}");
}
