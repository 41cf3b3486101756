//! Administration through the gate: it hands the issuer the token, and the issuer decides.

use doorward_tests::http::Reply;
use serde_json::{Value, json};

use crate::support::problem::{reason, refusal};
use crate::support::whole::{PASSWORD, Whole, text};

#[test]
fn an_administrator_administers() {
    administers(&Whole::start());
}

#[test]
fn an_administrator_on_mongodb_administers() {
    administers(&Whole::start_on_mongodb());
}

fn administers(whole: &Whole) {
    whole.stack.issuer.create_user("admin@example.test", PASSWORD, "admin").unwrap();
    let admin = text(&whole.log_in("admin@example.test", PASSWORD), "access_token");
    let bob = whole.user("bob@example.test");
    let ask = |method: &str, path: &str, body: &Value| send(whole, &admin, method, path, body);
    let bobs = format!("/admin/users/{}", bob.id);

    // The gate keeps strangers out; that bob is no administrator is for the issuer to say.
    let reply = whole.gate.get("/admin/users").unwrap();
    assert_eq!(refusal(&reply), (401, "missing_credential".to_owned(), Some(r#"Bearer realm="doorward""#)));
    for (method, path) in
        [("GET", "/admin/users"), ("GET", "/admin/audit"), ("POST", &format!("{bobs}/suspend"))]
    {
        let reply = send(whole, &bob.token, method, path, &Value::Null);
        assert_eq!((reply.status, reason(&reply)), (403, "forbidden".to_owned()), "{method} {path}");
    }

    let found = ok(&ask("GET", "/admin/users?q=BOB%40&status=active", &Value::Null));
    assert_eq!(
        (found["items"].as_array().unwrap().len(), text(&found["items"][0], "id")),
        (1, bob.id.clone())
    );

    // The list of users is for the role `admin`: the gate goes by the token, and the token by the store.
    let users = |token: &str| whole.gate.get_as(token, "/users").unwrap().status;
    assert_eq!(users(&bob.token), 403);
    assert_eq!(
        ok(&ask("PUT", &format!("{bobs}/roles"), &json!({"roles": ["user", "admin"]})))["roles"][1],
        "admin"
    );
    let risen = text(&whole.log_in("bob@example.test", PASSWORD), "access_token");
    assert_eq!(users(&risen), 200);

    assert_eq!(ask("POST", &format!("{bobs}/suspend"), &Value::Null).status, 204);
    let login = json!({ "email": "bob@example.test", "password": PASSWORD });
    assert_eq!(whole.gate.post("/auth/login", &login).unwrap().status, 401);
    let alone = ask("PUT", "/admin/roles/admin", &json!({"permissions": []}));
    assert_eq!((alone.status, reason(&alone)), (409, "conflict".to_owned()));
    assert_eq!(ask("DELETE", &bobs, &Value::Null).status, 204);

    let audit = ok(&ask("GET", "/admin/audit", &Value::Null));
    let actions: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|item| text(item, "action")).collect();
    // The last one is the operator's, who made the administrator.
    assert_eq!(actions, ["user.deleted", "user.suspended", "user.roles_assigned", "user.created"]);
    assert_eq!(audit["items"][2]["after"], json!({"roles": ["user", "admin"]}));
}

fn ok(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json().unwrap()
}

fn send(whole: &Whole, token: &str, method: &str, path: &str, body: &Value) -> Reply {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    whole.gate.send(method, path, &headers, body).unwrap()
}
