//! The example service behind the gate.

use doorward_tests::stack::Behind;
use serde_json::{Value, json};

use crate::support::problem;
use crate::support::whole::{Whole, text};

#[test]
fn a_profile_is_there_at_first_sight_and_belongs_to_its_owner() {
    let whole = Whole::start_with(|mut plan| {
        plan.behind = Behind::UserService;
        plan
    });
    let ada = whole.user("ada@example.test");
    let path = format!("/users/{}", ada.id);

    let profile = whole.gate.get_as(&ada.token, &path).unwrap();
    assert_eq!(profile.status, 200, "{profile:?}");
    let profile = profile.json().unwrap();
    assert_eq!((&profile["id"], &profile["email"]), (&json!(ada.id), &json!("ada@example.test")));

    let changed = write(&whole, "PUT", &path, &ada.token, &json!({ "name": "Ada", "bio": "Counts." }));
    assert_eq!((&changed["name"], &changed["bio"]), (&json!("Ada"), &json!("Counts.")));

    whole.stack.issuer.create_user("root@example.test", "a long and quiet evening", "admin").unwrap();
    let admin = text(&whole.log_in("root@example.test", "a long and quiet evening"), "access_token");
    let page = whole.gate.get_as(&admin, "/users?limit=10").unwrap().json().unwrap();
    assert_eq!(page, json!({ "items": [changed], "next_cursor": null }));

    write(&whole, "DELETE", &path, &ada.token, &Value::Null);
    let gone = whole.gate.get_as(&admin, &path).unwrap();
    assert_eq!(gone.status, 404);
    assert_eq!(gone.json().unwrap()["type"], "urn:doorward:problem:not_found");
    let other = whole.user("bob@example.test");
    assert_eq!(problem::reason(&whole.gate.get_as(&other.token, &path).unwrap()), "rule_denied");
}

fn write(whole: &Whole, method: &str, path: &str, token: &str, body: &Value) -> Value {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let reply = whole.gate.send(method, path, &headers, body.to_string().into_bytes()).unwrap();
    assert!(matches!(reply.status, 200 | 204), "{reply:?}");
    if reply.body.is_empty() { Value::Null } else { reply.json().unwrap() }
}
