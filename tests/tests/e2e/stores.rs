//! MongoDB under the issuer, and MongoDB gone.

use serde_json::json;

use crate::support::problem::reason;
use crate::support::whole::{PASSWORD, Whole};

#[test]
fn the_whole_path_works_on_mongodb_and_ends_in_503_without_it() {
    let mut whole = Whole::start_on_mongodb();
    let ada = whole.user("ada@example.test");
    let path = format!("/users/{}", ada.id);
    assert_eq!(whole.gate.get_as(&ada.token, &path).unwrap().status, 200);
    assert_eq!(whole.arrived(&path).header("x-user-id"), [ada.id.as_bytes()]);
    let body = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(reason(&whole.gate.post("/auth/register", &body).unwrap()), "email_taken");

    whole.lose_mongodb();
    for path in ["/auth/login", "/auth/register"] {
        let reply = whole.gate.post(path, &body).unwrap();
        assert_eq!((reply.status, reason(&reply)), (503, "store_unavailable".to_owned()), "{path}");
        let told = String::from_utf8(reply.body).unwrap();
        assert!(!told.contains("127.0.0.1") && !told.to_lowercase().contains("mongo"), "{told}");
    }
    assert_eq!(whole.gate.get("/health").unwrap().status, 503);
    // The gate needs nobody for a token that it can check itself.
    assert_eq!(whole.gate.get_as(&ada.token, &path).unwrap().status, 200);
}
