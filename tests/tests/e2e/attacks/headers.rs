//! Headers that lie, that are not text, or that try to take away what the gate sets.

use doorward_tests::http::raw::Answer;
use serde_json::json;

use crate::support::gateway::{Gateway, Plan, bearer, head};
use crate::support::settings::{claims, claims_with, settings_for};
use crate::support::signer::{Signer, jwks};

fn gateway() -> (Gateway, Signer) {
    let key = Signer::es256("k1");
    (Gateway::start(Plan::plugin(settings_for(&jwks(&[&key])))), key)
}

#[test]
fn an_upgrade_that_names_a_protected_header_in_connection_is_refused() {
    let (gateway, key) = gateway();
    let bearer = bearer(&key.token(&claims("ada")));
    for named in ["x-user-id", "X-User-Id", "x_user_id", "x-user-roles", "keep-alive,  x-session-id"] {
        for path in ["/users/ada", "/public"] {
            let connection = format!("connection: Upgrade, {named}");
            let headers = ["upgrade: websocket", connection.as_str(), &bearer, "x-user-id: evil"];
            let answer = gateway.send(&format!("GET {path}"), &headers);
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (400, "protected_header"),
                "{named} {path}"
            );
        }
    }
    assert_eq!(gateway.arrived(), [""; 0]);

    // The control: an upgrade that names nothing of ours reaches the service, under its own name.
    let headers = ["upgrade: websocket", "connection: Upgrade", &bearer, "x-user-id: evil"];
    gateway.send("GET /users/ada", &headers);
    assert_eq!(gateway.echo.received("/users/ada")[0].header("x-user-id"), [b"ada"]);
}

#[test]
fn without_an_upgrade_connection_takes_nothing_away() {
    let (gateway, key) = gateway();
    let bearer = bearer(&key.token(&claims("ada")));
    for named in ["x-user-id", "close, x-user-id, x-user-roles", "X_User_Id"] {
        let connection = format!("connection: {named}");
        let headers = [connection.as_str(), &bearer, "x-user-id: evil", "x_user_id: evil"];
        let answer = gateway.send("GET /users/ada", &headers);
        assert_eq!(answer.status, 200, "{named}");
    }
    assert_eq!(gateway.echo.all().len(), 3);
    for request in gateway.echo.all() {
        assert_eq!(request.header("x-user-id"), [b"ada"]);
        assert_eq!(request.header("x-user-roles"), [b"user"]);
        assert!(!String::from_utf8_lossy(&request.head).contains("evil"));
    }
}

#[test]
fn bytes_that_are_no_text_cost_nobody_the_worker() {
    let (gateway, key) = gateway();
    let good = key.token(&claims("ada"));
    let bearer = bearer(&good);
    let lines: [&[u8]; 8] = [
        b"x-note: \xff\xfe\x80",
        b"x-\xff-note: a",
        b"\xc3\xa9: a",
        b"x-user-id\xff: evil",
        b"cookie: \xff=\xff; access_token=\xff",
        b"origin: \xff",
        b"x-request-id: \xff\xff",
        b"connection: \xff",
    ];
    for line in lines {
        for path in ["/public", "/users/ada"] {
            let mut request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{bearer}\r\n").into_bytes();
            request.extend([line, b"\r\n\r\n"].concat());
            let answer = gateway.connect().send(&request).unwrap();
            assert!([200, 400].contains(&answer.status), "{}: {}", line.escape_ascii(), answer.status);
        }
    }
    for credential in [&b"Bearer \xff\xfe"[..], b"Bearer a\xffb.c.d", b"\xff\xff", b"Bearer \xc3\xa9"] {
        let mut request = b"GET /users/ada HTTP/1.1\r\nhost: localhost\r\nauthorization: ".to_vec();
        request.extend([credential, b"\r\n\r\n"].concat());
        let answer = gateway.connect().send(&request).unwrap();
        assert!([400, 401].contains(&answer.status), "{}: {}", credential.escape_ascii(), answer.status);
    }
    assert_eq!(gateway.get("/users/ada", &good).status, 200, "the worker still serves");
    assert_never_evil(&gateway);
    assert_eq!(gateway.echo.received("/public")[0].header("x-note"), [b"\xff\xfe\x80"], "others' bytes stay");
    assert!(!gateway.process.log_text().contains("panicked"));
}

#[test]
fn a_claim_with_line_breaks_stays_one_header() {
    let (gateway, key) = gateway();
    let evil = "ada\r\nx-user-roles: admin\r\n\r\nGET /admin HTTP/1.1\r\n";
    let changes = [
        json!({"email": evil}),
        json!({"sub": evil, "email": "a@b.c"}),
        json!({"roles": [evil, "a,admin"]}),
        json!({"sid": "a\nb\0c\u{7f}\u{e9}%0d%0a"}),
    ];
    for change in changes {
        let answer = gateway.get("/feed", &key.token(&claims_with("ada", change.clone())));
        assert_eq!(answer.status, 200, "{change}");
    }
    let arrived = gateway.echo.all();
    assert_eq!(arrived.len(), 4, "no request was smuggled");
    for request in &arrived {
        assert_eq!((request.path().as_str(), request.header("x-user-roles").len()), ("/feed", 1));
        assert!(
            !request.header("x-user-roles").concat().split(|byte| *byte == b',').any(|role| role == b"admin")
        );
    }
    let encoded = b"ada%0D%0Ax-user-roles: admin%0D%0A%0D%0AGET /admin HTTP/1.1%0D%0A";
    assert_eq!(arrived[0].header("x-user-email"), [encoded]);
    assert_eq!(arrived[1].header("x-user-id"), [encoded]);
    assert!(arrived[2].header("x-user-roles")[0].ends_with(b",a%2Cadmin"));
    assert_eq!(arrived[3].header("x-session-id"), [b"a%0Ab%00c%7F%C3%A9%250d%250a"]);
}

#[test]
fn a_space_around_a_claim_does_not_make_somebody_else() {
    let (gateway, key) = gateway();
    for change in [json!({"sub": " ada"}), json!({"sub": "ada "}), json!({"roles": [" admin"]})] {
        let answer = gateway.get("/users/ada", &key.token(&claims_with("eve", change.clone())));
        assert_eq!((answer.status, answer.reason().as_str()), (401, "invalid_token"), "{change}");
    }
    assert_eq!(gateway.arrived(), [""; 0]);
}

#[test]
fn protected_names_do_not_pass_as_trailers() {
    let (gateway, key) = gateway();
    let bearer = bearer(&key.token(&claims("ada")));
    for path in ["/users/ada", "/public"] {
        let headers = ["transfer-encoding: chunked", "te: trailers", &bearer];
        let mut request = head(&format!("POST {path}"), &headers);
        request.extend(b"3\r\nabc\r\n0\r\nx-user-id: evil\r\nX_User_Roles: evil\r\nx-sum: 7\r\n\r\n");
        let answer: Answer = gateway.connect().send(&request).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        let arrived = gateway.echo.received(path).remove(0);
        assert_eq!(arrived.body, b"abc");
        assert_eq!(String::from_utf8_lossy(&arrived.trailers).trim(), "x-sum: 7", "{path}");
    }
}

fn assert_never_evil(gateway: &Gateway) {
    for request in gateway.echo.all() {
        let names = request.folded_names();
        assert!(!String::from_utf8_lossy(&request.head).contains("evil"), "{names:?}");
    }
}
