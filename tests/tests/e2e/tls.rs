//! The TLS listener.

use doorward_tests::http::Client;
use serde_json::json;

use crate::support::problem::reason;
use crate::support::whole::{PASSWORD, Whole};

#[test]
fn the_same_gate_stands_behind_tls() {
    let whole = Whole::start();
    let (url, certificate) = (whole.stack.envoy.tls_url(), &whole.stack.envoy.certificate);
    let gate = Client::trusting(&url, &certificate.pem).unwrap();
    let credentials = json!({ "email": "ada@example.test", "password": PASSWORD });
    let registered = gate.post("/auth/register", &credentials).unwrap().json().unwrap();
    let tokens = gate.post("/auth/login", &credentials).unwrap().json().unwrap();

    let path = format!("/users/{}", registered["id"].as_str().unwrap());
    assert_eq!(gate.get_as(tokens["access_token"].as_str().unwrap(), &path).unwrap().status, 200);
    assert_eq!(whole.arrived(&path).header("x-forwarded-proto"), [b"https"]);
    assert_eq!(reason(&gate.get(&path).unwrap()), "missing_credential");

    let stranger = Client::new(&url);
    assert!(stranger.get("/health").is_err(), "a client that does not know the certificate stays away");
}
