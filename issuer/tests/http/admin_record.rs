use serde_json::{Value, json};

use super::issuer::{Issuer, PASSWORD};
use super::wire::send;

#[test]
fn what_administrators_do_is_on_record() {
    let issuer = Issuer::start();
    let admin = issuer.somebody_with("admin@b.com", &["admin"]);
    let actor = issuer.me(&admin).json()["id"].clone();
    let ask = |line: &str, body: &Value| {
        let answer = issuer.ask(&admin, line, body);
        assert!(answer.status < 300, "{line}: {answer:?}");
        answer
    };
    let new = json!({"email": "bob@b.com", "password": PASSWORD, "username": "bob"});
    let bob = ask("POST /admin/users", &new).json()["id"].as_str().unwrap().to_owned();
    ask("PUT /admin/roles/x", &json!({"description": "An X", "permissions": ["a"]}));
    ask(&format!("PUT /admin/users/{bob}/roles"), &json!({"roles": ["x"]}));
    ask(&format!("PATCH /admin/users/{bob}"), &json!({"email": "bob@c.org", "username": null}));
    ask(&format!("PATCH /admin/users/{bob}"), &json!({"email": "bob@c.org"}));
    for act in ["suspend", "suspend", "resume", "logout"] {
        ask(&format!("POST /admin/users/{bob}/{act}"), &Value::Null);
    }
    ask(&format!("DELETE /admin/users/{bob}"), &Value::Null);
    let last = [("authorization", &*format!("Bearer {admin}")), ("x-request-id", "audited-1")];
    assert_eq!(send(issuer.public, "DELETE /admin/roles/x", &last, b"").status, 204);

    let audit = ask("GET /admin/audit", &Value::Null);
    let list = audit.json();
    let items = list["items"].as_array().unwrap();
    let user = |before: Value, after: Value| (json!({"type": "user", "id": bob}), before, after);
    let whole = |email: &str, username: Value, roles: Value| json!({"email": email, "email_verified": false, "username": username, "status": "active", "roles": roles});
    let x = json!({"description": "An X", "permissions": ["a"]});
    let expected = [
        ("role.deleted", (json!({"type": "role", "id": "x"}), x.clone(), json!({}))),
        ("user.deleted", user(whole("bob@c.org", Value::Null, json!(["x"])), json!({}))),
        ("user.logged_out", user(json!({}), json!({}))),
        ("user.resumed", user(json!({"status": "suspended"}), json!({"status": "active"}))),
        ("user.suspended", user(json!({"status": "active"}), json!({"status": "suspended"}))),
        (
            "user.updated",
            user(
                json!({"email": "bob@b.com", "username": "bob"}),
                json!({"email": "bob@c.org", "username": null}),
            ),
        ),
        ("user.roles_assigned", user(json!({"roles": ["user"]}), json!({"roles": ["x"]}))),
        ("role.created", (json!({"type": "role", "id": "x"}), json!({}), x)),
        ("user.created", user(json!({}), whole("bob@b.com", json!("bob"), json!(["user"])))),
    ];
    let seen: Vec<_> = items.iter().map(|item| item["action"].as_str().unwrap()).collect();
    let mut kinds: Vec<_> = expected.iter().map(|(action, _)| *action).collect();
    // Deeds of one millisecond stand in any order.
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(sorted, kinds, "each deed once, and what changed nothing not at all");
    for (action, (subject, before, after)) in expected {
        let item = items.iter().find(|item| item["action"] == action).unwrap();
        assert_eq!(
            (&item["subject"], &item["before"], &item["after"]),
            (&subject, &before, &after),
            "{action}"
        );
        assert_eq!((&item["actor"], &item["address"]), (&actor, &json!("127.0.0.1")));
    }
    let deleted = items.iter().find(|item| item["action"] == "role.deleted").unwrap();
    assert_eq!(deleted["request_id"], "audited-1");
    assert!(!audit.body.contains(PASSWORD) && !audit.body.contains("$2b$"), "{}", audit.body);

    let page = ask("GET /admin/audit?limit=4", &Value::Null).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = ask(&format!("GET /admin/audit?limit=200&cursor={cursor}"), &Value::Null).json();
    let (page, rest) = (page["items"].as_array().unwrap(), rest["items"].as_array().unwrap());
    assert_eq!([page.as_slice(), rest].concat(), *items);
}

#[test]
fn the_rest_of_the_system_hears_of_it() {
    let issuer = Issuer::start();
    let admin = issuer.somebody_with("admin@b.com", &["admin"]);
    let actor = issuer.me(&admin).json()["id"].as_str().unwrap().to_owned();
    let new = json!({"email": "bob@b.com", "password": PASSWORD});
    let bob = issuer.ask(&admin, "POST /admin/users", &new).json()["id"].as_str().unwrap().to_owned();
    issuer.login("bob@b.com");
    let ask = |line: &str, body: &Value| assert!(issuer.ask(&admin, line, body).status < 300, "{line}");
    ask("PUT /admin/roles/auditor", &json!({"permissions": ["audit:read", "a"]}));
    ask(&format!("PUT /admin/users/{bob}/roles"), &json!({"roles": ["user", "auditor"]}));
    ask(&format!("PUT /admin/users/{bob}/roles"), &json!({"roles": ["auditor"]}));
    ask(&format!("PATCH /admin/users/{bob}"), &json!({"username": "bob", "email_verified": true}));
    ask(&format!("POST /admin/users/{bob}/suspend"), &Value::Null);
    ask(&format!("DELETE /admin/users/{bob}"), &Value::Null);

    let told = events(&issuer, &bob);
    let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "user.created",
            "user.login",
            "user.updated",
            "security.alert",
            "user.updated",
            "user.updated",
            "user.updated",
            "user.logout",
            "user.deleted",
        ]
    );
    assert_eq!(told[2].1, json!({"id": bob, "roles": ["user", "auditor"]}));
    let details = json!({
        "actor": actor, "permissions": ["audit:read"], "address": "127.0.0.1", "user_agent": null,
    });
    assert_eq!(told[3].1, json!({"kind": "role_escalation", "details": details}));
    assert_eq!(told[5].1, json!({"id": bob, "username": "bob", "email_verified": true}));
    assert_eq!(told[6].1, json!({"id": bob, "status": "suspended"}));
    // A role that administers more from now on has no owner yet, so the alert is about who made it.
    let (kind, alert) = events(&issuer, &actor).pop().unwrap();
    assert_eq!((kind.as_str(), &alert["kind"]), ("security.alert", &json!("role_escalation")));
    assert_eq!(
        (&alert["details"]["role"], &alert["details"]["permissions"]),
        (&json!("auditor"), &json!(["audit:read"]))
    );
}

/// What waits to be published about a user, in its order.
fn events(issuer: &Issuer, user: &str) -> Vec<(String, Value)> {
    let database = rusqlite::Connection::open(issuer.database()).unwrap();
    let mut events =
        database.prepare("SELECT kind, data FROM outbox WHERE user = ? ORDER BY sequence").unwrap();
    let user: uuid::Uuid = user.parse().unwrap();
    let found =
        events.query_map([user.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
    found.map(Result::unwrap).map(|(kind, data)| (kind, serde_json::from_str(&data).unwrap())).collect()
}
