//! gRPC calls, over HTTP/2 from end to end.

use serde_json::json;

use crate::support::example::{Door, Keys};
use crate::support::grpc::{Grpc, Message, frame};
use crate::support::settings::claims_with;
use crate::support::signer::Signer;

const OK: Option<&str> = Some("0");
const PERMISSION_DENIED: Option<&str> = Some("7");
const UNAUTHENTICATED: Option<&str> = Some("16");

#[test]
fn a_call_is_answered_with_a_grpc_status_whoever_answers_it() {
    let (key, service) = (Signer::es256("k1"), Grpc::start());
    let door = Door::start("grpc.yaml", &Keys::Issuer(&key), service.port(), &[]);
    let token = |role: &str| format!("Bearer {}", key.token(&claims_with("ada", json!({"roles": [role]}))));
    let call_as = |token: Option<&str>, path: &str| {
        let mut headers = vec![("x-user-id", "eve")];
        headers.extend(token.map(|token| ("authorization", token)));
        service.call(&door.address(), path, &headers).send(b"abc").finish(&[])
    };
    let (user, merchant) = (token("user"), token("merchant"));

    let placed = call_as(Some(&user), "/shop.v1.Orders/Place");
    assert_eq!((placed.status(), placed.body.as_slice()), (OK, &frame(b"abc")[..]));
    assert!(placed.trailers.contains_key("grpc-status"), "the service's own: {placed:?}");
    let arrived = service.arrived().remove(0);
    assert_eq!(
        (arrived.path.as_str(), arrived.body.as_slice()),
        ("/shop.v1.Orders/Place", &frame(b"abc")[..])
    );
    assert_eq!(all(&arrived, "x-user-id"), ["ada"]);
    assert_eq!(all(&arrived, "x-user-roles"), ["user"]);
    assert!(all(&arrived, "authorization").is_empty());

    for (token, path, status) in [
        (None, "/shop.v1.Catalog/List", OK),
        (None, "/grpc.health.v1.Health/Check", OK),
        (Some(&user), "/shop.v1.Orders/Watch", OK),
        (Some(&merchant), "/shop.v1.Stock/Set", OK),
        (None, "/shop.v1.Orders/Place", UNAUTHENTICATED),
        (Some(&merchant), "/shop.v1.Orders/Place", PERMISSION_DENIED),
        (Some(&user), "/shop.v1.Stock/Set", PERMISSION_DENIED),
        (Some(&user), "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", PERMISSION_DENIED),
    ] {
        let answer = call_as(token.map(String::as_str), path);
        assert_eq!(answer.status(), status, "{path}: {answer:?}");
    }
    assert_eq!(service.arrived().len(), 5, "a refused call does not arrive");
    assert!(service.arrived()[1..3].iter().all(|public| all(public, "x-user-id").is_empty()));
}

/// Every value of a header.
fn all(call: &Message, name: &str) -> Vec<String> {
    call.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}
