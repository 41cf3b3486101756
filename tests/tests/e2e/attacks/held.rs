//! Requests that wait for keys: what they carry arrives whole and once, and who goes away leaves nothing behind.

use doorward_tests::http::raw::Connection;
use doorward_tests::parts::Answer;

use crate::support::gateway::{bearer, head};
use crate::support::keyed::Keyed;
use crate::support::settings::claims;
use crate::support::signer::{Signer, jwks};

const LINE: &str = "POST /users/ada";

/// A gateway whose keys do not come until they are let go.
fn waiting() -> (Keyed, Signer) {
    let key = Signer::es256("k1");
    (Keyed::start(1, "5m", Answer::Wait), key)
}

#[test]
fn a_body_on_a_held_request_arrives_whole_and_once() {
    let (keyed, key) = waiting();
    let bearer = bearer(&key.token(&claims("ada")));
    let body: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    let length = format!("content-length: {}", body.len());
    let mut connection = keyed.gateway.connect();
    connection.write(&[head(LINE, &[&bearer, &length]), body.clone()].concat()).unwrap();
    keyed.release_once_held(1, &jwks(&[&key]));
    assert_eq!(connection.answer().unwrap().status, 200);

    let arrived = keyed.gateway.echo.received("/users/ada");
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].body, body);
    assert_eq!(arrived[0].header("x-user-id"), [b"ada"]);
    assert!(arrived[0].header("authorization").is_empty());
}

#[test]
fn chunks_and_trailers_on_a_held_request_arrive_whole_and_once() {
    let (keyed, key) = waiting();
    let bearer = bearer(&key.token(&claims("ada")));
    let mut request = head(LINE, &[&bearer, "transfer-encoding: chunked", "te: trailers"]);
    let mut body = Vec::new();
    for number in 0..200_u32 {
        let chunk = format!("chunk {number};").repeat(40);
        request.extend(format!("{:x}\r\n{chunk}\r\n", chunk.len()).into_bytes());
        body.extend(chunk.into_bytes());
    }
    request.extend(b"0\r\nx-sum: 7\r\nx-user-roles: admin\r\n\r\n");
    let mut connection = keyed.gateway.connect();
    connection.write(&request).unwrap();
    keyed.release_once_held(1, &jwks(&[&key]));
    assert_eq!(connection.answer().unwrap().status, 200);

    let arrived = keyed.gateway.echo.received("/users/ada");
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].body, body);
    assert_eq!(String::from_utf8_lossy(&arrived[0].trailers).trim(), "x-sum: 7", "whole, and stripped");
}

#[test]
fn a_body_does_not_set_a_held_request_free() {
    let (keyed, key) = waiting();
    let stranger = Signer::es256("k1");
    let mut connections: Vec<Connection> = Vec::new();
    for token in [stranger.token(&claims("ada")), key.token(&claims("bob"))] {
        let mut connection = keyed.gateway.connect();
        let headers = [&bearer(&token), "content-length: 5"];
        connection.write(&[head(LINE, &headers), b"hello".to_vec()].concat()).unwrap();
        connections.push(connection);
    }
    keyed.release_once_held(2, &jwks(&[&key]));
    let statuses: Vec<u16> = connections.iter_mut().map(|c| c.answer().unwrap().status).collect();
    assert_eq!(statuses, [401, 403]);
    assert!(keyed.gateway.echo.all().is_empty());
}

#[test]
fn a_client_gone_while_held_leaves_nothing_behind() {
    let (keyed, key) = waiting();
    let bearer = bearer(&key.token(&claims("ada")));
    let connections: Vec<Connection> = (0..20)
        .map(|_| {
            let mut connection = keyed.gateway.connect();
            connection.write(&head("GET /users/ada?gone", &[&bearer])).unwrap();
            connection
        })
        .collect();
    let mut stays = keyed.gateway.connect();
    stays.write(&head("GET /users/ada?stays", &[&bearer])).unwrap();
    keyed.gateway.wait_for_stat("http.door_0.downstream_rq_active", 21);
    drop(connections);
    keyed.gateway.wait_for_stat("http.door_0.downstream_cx_destroy_remote_active_rq", 20);
    keyed.release(&jwks(&[&key]));
    assert_eq!(stays.answer().unwrap().status, 200);
    assert_eq!(keyed.gateway.send("GET /users/ada?next", &[&bearer]).status, 200);
    assert_eq!(keyed.gateway.arrived(), ["/users/ada?stays", "/users/ada?next"]);
}

#[test]
fn the_waiting_room_is_bounded() {
    let (keyed, key) = waiting();
    let bearer = bearer(&key.token(&claims("ada")));
    // Four megabytes of heads may wait, and these are five.
    let ballast = format!("x-ballast: {}", "x".repeat(50_000));
    let mut connections: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = keyed.gateway.connect();
            connection.write(&head("GET /users/ada", &[&bearer, &ballast])).unwrap();
            connection
        })
        .collect();
    keyed.gateway.wait_for_stat("http.door_0.downstream_rq_total", 100);
    keyed.release(&jwks(&[&key]));
    let answers: Vec<(u16, String)> = connections
        .iter_mut()
        .map(|connection| connection.answer().unwrap())
        .map(|answer| (answer.status, answer.reason()))
        .collect();
    let served = answers.iter().filter(|(status, _)| *status == 200).count();
    let refused = answers.iter().filter(|(_, reason)| reason == "keys_unavailable").count();
    assert_eq!(served + refused, 100, "{answers:?}");
    assert!(served > 0 && refused >= 10, "{served} served, {refused} refused");
    assert_eq!(keyed.gateway.arrived().len(), served);
}
