//! gRPC calls over HTTP/2: what the gate answers, and what becomes of a call that waits.

use doorward_tests::parts::Answer;
use serde_json::json;

use crate::support::gateway::{Gateway, Listener, Plan, http2_cluster};
use crate::support::grpc::{Grpc, frame};
use crate::support::keyed::{Keyed, PATH};
use crate::support::settings::{claims, claims_with, provider, remote, settings, settings_for};
use crate::support::signer::{Signer, jwks};

const CALL: &str = "/users/ada";

/// A gateway with keys from a server, in front of a service.
fn keyed(service: &Grpc, answer: Answer) -> Keyed {
    let plan = |mut clusters: Vec<_>| {
        clusters.push(http2_cluster("grpc", service.port()));
        let listeners = vec![Listener::plugin(settings(&[provider(remote(PATH, "5m"))])).calling("grpc")];
        Plan { listeners, clusters, concurrency: 1, module: None }
    };
    Keyed::start_plan(&[(PATH, answer)], plan)
}

#[test]
fn a_call_passes_with_messages_and_trailers() {
    let (service, key) = (Grpc::start(), Signer::es256("k1"));
    let keyed = keyed(&service, Answer::Document(jwks(&[&key])));
    let bearer = format!("Bearer {}", key.token(&claims("ada")));
    let headers = [("authorization", bearer.as_str()), ("x-user-id", "evil"), ("x_user_roles", "admin")];
    let call = service.call(&keyed.gateway.address(), CALL, &headers).send(b"one").send(b"two");
    let answer = call.finish(&[
        ("x-sum", "7"),
        ("x-user-roles", "admin"),
        ("X_USER_ID".to_lowercase().as_str(), "evil"),
    ]);
    assert_eq!((answer.status(), &answer.body), (Some("0"), &[frame(b"one"), frame(b"two")].concat()));

    let arrived = service.arrived();
    assert_eq!(arrived.len(), 1);
    assert_eq!((arrived[0].path.as_str(), arrived[0].headers["x-user-id"].as_bytes()), (CALL, &b"ada"[..]));
    assert!(
        arrived[0].headers.get("x_user_roles").is_none() && arrived[0].headers.get("authorization").is_none()
    );
    assert_eq!(arrived[0].trailers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
}

#[test]
fn a_call_is_refused_with_a_grpc_status() {
    let (service, key) = (Grpc::start(), Signer::es256("k1"));
    let listeners = vec![Listener::plugin(settings_for(&jwks(&[&key]))).calling("grpc")];
    let clusters = vec![http2_cluster("grpc", service.port())];
    let gateway = Gateway::start(Plan { listeners, clusters, ..Plan::plugin(json!(null)) });
    let bearer = |claims| format!("Bearer {}", key.token(&claims));
    let (good, expired) =
        (bearer(claims("ada")), bearer(claims_with("ada", json!({"iat": 1000, "exp": 2000}))));
    // UNAUTHENTICATED, PERMISSION_DENIED, and INTERNAL for what is no request at all.
    let cases = [
        ("/admin/svc.Users/List", vec![], "16"),
        (CALL, vec![("authorization", expired.as_str())], "16"),
        ("/admin/svc.Users/List", vec![("authorization", good.as_str())], "7"),
        (CALL, vec![("authorization", good.as_str()), ("authorization", good.as_str())], "13"),
    ];
    for (path, headers, status) in cases {
        // A message is on its way when the answer comes, and its end never comes.
        let call = service.call(&gateway.address(), path, &headers).send(&[7; 10_000]);
        let answer = call.finish(&[("x-user-id", "evil")]);
        assert_eq!(answer.status(), Some(status), "{path}: {answer:?}");
        assert!(answer.headers.contains_key("grpc-message"), "{answer:?}");
    }
    assert!(service.arrived().is_empty());
}

#[test]
fn a_call_waits_for_keys_with_its_messages_and_trailers() {
    let (service, key) = (Grpc::start(), Signer::es256("k1"));
    let keyed = keyed(&service, Answer::Wait);
    let bearer = format!("Bearer {}", key.token(&claims("ada")));
    let call =
        service.call(&keyed.gateway.address(), CALL, &[("authorization", bearer.as_str())]).send(b"before");
    keyed.gateway.wait_for_stat("wasmcustom.doorward_held_now", 1);
    assert!(service.arrived().is_empty());
    let call = call.send(&[7; 20_000]);
    keyed.release(&jwks(&[&key]));
    let answer = call.send(b"after").finish(&[("x-sum", "7"), ("x-user-roles", "admin")]);
    assert_eq!(answer.status(), Some("0"), "{answer:?}");
    assert_eq!(answer.body, [frame(b"before"), frame(&[7; 20_000]), frame(b"after")].concat());

    let arrived = service.arrived();
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].headers["x-user-id"], "ada");
    assert_eq!(arrived[0].trailers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
}

#[test]
fn a_call_that_waits_in_vain_gets_a_grpc_status() {
    let (service, key) = (Grpc::start(), Signer::es256("k1"));
    let keyed = keyed(&service, Answer::Wait);
    let stranger = format!("Bearer {}", Signer::es256("k1").token(&claims("ada")));
    let call =
        || service.call(&keyed.gateway.address(), CALL, &[("authorization", stranger.as_str())]).send(b"one");
    // UNAVAILABLE: no keys came. UNAUTHENTICATED: they came, and it is none of theirs.
    assert_eq!(call().finish(&[]).status(), Some("14"));
    let held = call();
    keyed.gateway.wait_for_stat("wasmcustom.doorward_held_now", 1);
    keyed.release(&jwks(&[&key]));
    assert_eq!(held.finish(&[]).status(), Some("16"));
    assert!(service.arrived().is_empty());
    keyed.gateway.wait_for_stat("wasmcustom.doorward_held", 2);
}
