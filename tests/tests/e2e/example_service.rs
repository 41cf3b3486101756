//! The example service behind the gate.

use doorward_tests::http::Reply;
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
    assert_eq!((gone.status, problem::reason(&gone)), (404, "not_found".to_owned()));
    let other = whole.user("bob@example.test");
    assert_eq!(problem::reason(&whole.gate.get_as(&other.token, &path).unwrap()), "rule_denied");
}

#[test]
fn a_body_that_is_too_much_is_refused_in_the_common_form() {
    let whole = Whole::start_with(|mut plan| {
        plan.behind = Behind::UserService;
        plan
    });
    let ada = whole.user("ada@example.test");
    let path = format!("/users/{}", ada.id);
    let put = |body: String| send(&whole, "PUT", &path, &ada.token, body);
    let refusal = |reply: Reply| (reply.status, problem::reason(&reply));

    let full = json!({ "name": "a".repeat(200), "bio": "a".repeat(2000) });
    assert_eq!(put(full.to_string()).status, 200);
    let long = put(json!({ "name": "a".repeat(201) }).to_string());
    assert_eq!(
        long.json().unwrap()["errors"],
        json!([{ "field": "name", "message": "at most 200 characters" }])
    );
    assert_eq!(refusal(long), (422, "validation_failed".to_owned()));
    let bio = put(json!({ "bio": "a".repeat(2001) }).to_string());
    assert_eq!(refusal(bio), (422, "validation_failed".to_owned()));
    let flood = put(json!({ "bio": "a".repeat(64 * 1024) }).to_string());
    assert_eq!(refusal(flood), (413, "payload_too_large".to_owned()));

    let broken = put("{\"name\": canary".to_owned());
    assert!(!String::from_utf8_lossy(&broken.body).contains("canary"), "{broken:?}");
    assert_eq!(refusal(broken), (400, "malformed_body".to_owned()));
    let strange = send(&whole, "PATCH", &path, &ada.token, String::new());
    assert_eq!(refusal(strange), (405, "method_not_allowed".to_owned()));
    let kept = whole.gate.get_as(&ada.token, &path).unwrap().json().unwrap();
    assert_eq!((&kept["name"], &kept["bio"]), (&full["name"], &full["bio"]));
}

fn write(whole: &Whole, method: &str, path: &str, token: &str, body: &Value) -> Value {
    let reply = send(whole, method, path, token, body.to_string());
    assert!(matches!(reply.status, 200 | 204), "{reply:?}");
    if reply.body.is_empty() { Value::Null } else { reply.json().unwrap() }
}

fn send(whole: &Whole, method: &str, path: &str, token: &str, body: String) -> Reply {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    whole.gate.send(method, path, &headers, body.into_bytes()).unwrap()
}
