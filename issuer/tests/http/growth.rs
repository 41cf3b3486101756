//! Nobody acts on a user, grants a role, or adds to a role, with permissions that he lacks; and there is always somebody who
//! can do all of it.

use serde_json::{Value, json};

use super::issuer::{Issuer, PASSWORD};
use super::wire::Answer;

/// An issuer with an administrator, a user, and a helper whose role has these permissions.
struct House {
    issuer: Issuer,
    admin: String,
    helper: String,
}

impl House {
    fn with_helper(permissions: &[&str]) -> Self {
        let issuer = Issuer::start();
        let admin = issuer.somebody_with("admin@b.com", &["admin"]);
        let put = |name: &str, permissions: &[&str]| {
            let answer = issuer.ask(
                &admin,
                &format!("PUT /admin/roles/{name}"),
                &json!({ "permissions": permissions }),
            );
            assert!([200, 201].contains(&answer.status), "{answer:?}");
        };
        put("helper", permissions);
        put("PROVIDER", &["records:read"]);
        let helper = issuer.somebody_with("helper@b.com", &["user", "helper"]);
        issuer.register("bob@b.com");
        Self { issuer, admin, helper }
    }

    fn id(&self, email: &str) -> String {
        let list = self.issuer.ask(&self.admin, &format!("GET /admin/users?q={email}"), &Value::Null).json();
        list["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// What the helper does about a user.
    fn act(&self, method: &str, email: &str, path: &str, body: &Value) -> Answer {
        self.issuer.ask(&self.helper, &format!("{method} /admin/users/{}{path}", self.id(email)), body)
    }
}

#[track_caller]
fn forbidden(answer: &Answer) {
    assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"), "{answer:?}");
}

#[test]
fn nobody_acts_on_a_user_who_may_do_more() {
    let house = House::with_helper(&["users:read", "users:write", "roles:assign"]);
    for (method, path, body) in [
        ("PATCH", "", json!({"email": "mine@b.com"})),
        ("PATCH", "", json!({})),
        ("DELETE", "", Value::Null),
        ("POST", "/suspend", Value::Null),
        ("POST", "/resume", Value::Null),
        ("POST", "/logout", Value::Null),
        ("PUT", "/roles", json!({"roles": []})),
    ] {
        forbidden(&house.act(method, "admin@b.com", path, &body));
        // Nor on one whose permissions are not the issuer's: the gateway goes by them.
        house.issuer.give_roles("bob@b.com", &["PROVIDER"]);
        forbidden(&house.act(method, "bob@b.com", path, &body));
    }
    assert_eq!(house.issuer.me(&house.admin).status, 200, "nothing happened to him");
    house.issuer.give_roles("bob@b.com", &["user"]);
    assert_eq!(house.act("POST", "bob@b.com", "/suspend", &Value::Null).status, 204);
    let other = house.issuer.somebody_with("helper2@b.com", &["helper"]);
    assert_eq!(
        house.act("POST", "helper2@b.com", "/logout", &Value::Null).status,
        204,
        "an equal is within reach"
    );
    assert_eq!(house.issuer.me(&other).status, 401);
}

#[test]
fn nobody_grants_what_he_lacks() {
    let house = House::with_helper(&["users:read", "users:write", "roles:assign"]);
    let assign = |email: &str, roles: Value| house.act("PUT", email, "/roles", &json!({ "roles": roles }));
    for email in ["bob@b.com", "helper@b.com"] {
        forbidden(&assign(email, json!(["admin"])));
        forbidden(&assign(email, json!(["user", "PROVIDER"])));
    }
    assert_eq!(assign("bob@b.com", json!(["user", "helper"])).status, 200, "what he has he may give");
    for (roles, status) in [(json!(["admin"]), 403), (json!(["PROVIDER"]), 403), (json!(["helper"]), 201)] {
        let body = json!({"email": "new@b.com", "password": PASSWORD, "roles": roles});
        let answer = house.issuer.ask(&house.helper, "POST /admin/users", &body);
        assert_eq!(answer.status, status, "{roles}: {answer:?}");
    }
}

#[test]
fn an_account_is_no_way_around_the_permission_to_assign() {
    let house = House::with_helper(&["users:write"]);
    for (roles, status) in [(json!(["helper"]), 403), (json!(["user"]), 201)] {
        let body = json!({"email": "new@b.com", "password": PASSWORD, "roles": roles});
        let answer = house.issuer.ask(&house.helper, "POST /admin/users", &body);
        assert_eq!(answer.status, status, "{roles}: {answer:?}");
    }
}

#[test]
fn nobody_adds_to_a_role_what_he_lacks() {
    let house = House::with_helper(&["roles:read", "roles:write"]);
    let put = |name: &str, permissions: Value| {
        let body = json!({ "permissions": permissions });
        house.issuer.ask(&house.helper, &format!("PUT /admin/roles/{name}"), &body)
    };
    forbidden(&put("helper", json!(["roles:read", "roles:write", "users:write"])));
    forbidden(&put("new", json!(["roles:assign"])));
    forbidden(&put("new", json!(["records:read"])));
    // What others have through a role is theirs: it is not for him to take.
    forbidden(&put("admin", json!(["roles:write"])));
    forbidden(&put("PROVIDER", json!([])));
    forbidden(&house.issuer.ask(&house.helper, "DELETE /admin/roles/PROVIDER", &Value::Null));
    assert_eq!(put("new", json!(["roles:read"])).status, 201);
    assert_eq!(put("new", json!(["roles:read", "roles:write"])).status, 200);
    assert_eq!(house.issuer.ask(&house.helper, "DELETE /admin/roles/new", &Value::Null).status, 204);
}

#[test]
fn the_last_administrator_stays() {
    let house = House::with_helper(&["users:read"]);
    let id = house.id("admin@b.com");
    let ask = |method: &str, path: &str, body: &Value| {
        house.issuer.ask(&house.admin, &format!("{method} {path}"), body)
    };
    for (method, path, body) in [
        ("DELETE", format!("/admin/users/{id}"), Value::Null),
        ("POST", format!("/admin/users/{id}/suspend"), Value::Null),
        ("PUT", format!("/admin/users/{id}/roles"), json!({"roles": ["user"]})),
        ("PUT", "/admin/roles/admin".to_owned(), json!({"permissions": ["users:read"]})),
    ] {
        let answer = ask(method, &path, &body);
        assert_eq!((answer.status, answer.problem().as_str()), (409, "conflict"), "{method} {path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("administer"), "{answer:?}");
    }
    assert_eq!(house.issuer.me(&house.admin).status, 200);

    let bob = house.id("bob@b.com");
    assert_eq!(ask("PUT", &format!("/admin/users/{bob}/roles"), &json!({"roles": ["admin"]})).status, 200);
    assert_eq!(ask("DELETE", &format!("/admin/users/{id}"), &Value::Null).status, 204, "now he may go");
}
