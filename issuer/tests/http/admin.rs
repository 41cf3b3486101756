use serde_json::{Value, json};

use super::issuer::{Issuer, PASSWORD, claims};
use super::wire::Answer;

const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

fn admin() -> (Issuer, String) {
    let issuer = Issuer::start();
    let token = issuer.somebody_with("admin@b.com", &["admin"]);
    (issuer, token)
}

#[track_caller]
fn done(answer: &Answer) {
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{answer:?}");
}

#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, problem: &str) -> Value {
    assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{answer:?}");
    answer.json()
}

fn emails(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect()
}

#[test]
fn users_are_listed_searched_and_seen() {
    let (issuer, admin) = admin();
    let get = |path: &str| issuer.ask(&admin, &format!("GET {path}"), &Value::Null);
    let bob = issuer.register("bob@b.com");
    issuer.register("carol@c.org");
    let list = ok(&get("/admin/users"));
    assert_eq!(emails(&list), ["carol@c.org", "bob@b.com", "admin@b.com"]);
    assert_eq!(list.get("next_cursor"), None);

    let first = ok(&get("/admin/users?limit=2"));
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = ok(&get(&format!("/admin/users?limit=2&cursor={cursor}")));
    assert_eq!((emails(&first), emails(&rest)), (vec!["carol@c.org", "bob@b.com"], vec!["admin@b.com"]));
    assert_eq!(rest.get("next_cursor"), None);
    assert_eq!(emails(&ok(&get("/admin/users?q=B.com&role=admin&status=active"))), ["admin@b.com"]);
    assert_eq!(emails(&ok(&get("/admin/users?q=%2A"))), [""; 0], "a star is a star");
    assert_eq!(emails(&ok(&get("/admin/users?q=&role=&status="))).len(), 3, "as an empty form sends it");
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("cursor=x", "cursor"),
        ("status=asleep", "status"),
        ("role=a,b", "role"),
        (&format!("q={}", "x".repeat(255)), "q"),
    ] {
        let body = refused(&get(&format!("/admin/users?{query}")), 422, "validation_failed");
        assert_eq!(body["errors"][0]["field"], field, "{query}");
    }

    let seen = ok(&get(&format!("/admin/users/{}", bob["id"].as_str().unwrap())));
    assert_eq!((&seen["email"], &seen["status"]), (&json!("bob@b.com"), &json!("active")));
    assert_eq!((&seen["roles"], &seen["permissions"]), (&json!(["user"]), &json!([])));
    for id in [NOBODY, "x", "%00", "..%2f"] {
        refused(&get(&format!("/admin/users/{id}")), 404, "not_found");
    }
}

#[test]
fn an_account_is_made_for_somebody() {
    let (issuer, admin) = admin();
    let create = |body: &Value| issuer.ask(&admin, "POST /admin/users", body);
    let plain = create(&json!({"email": "Bob@b.com", "password": PASSWORD, "username": "Bob"}));
    assert_eq!(plain.status, 201, "{plain:?}");
    let bob = plain.json();
    assert_eq!((&bob["email"], &bob["username"]), (&json!("bob@b.com"), &json!("bob")));
    assert_eq!((&bob["roles"], &bob["email_verified"]), (&json!(["user"]), &json!(false)));
    let deputy = create(&json!({"email": "d@b.com", "password": PASSWORD, "roles": ["admin", "user"]}));
    assert_eq!(deputy.json()["roles"], json!(["admin", "user"]));
    let token = issuer.token("d@b.com");
    assert_eq!(issuer.ask(&token, "GET /admin/users", &Value::Null).status, 200);

    let taken = create(&json!({"email": "bob@b.com", "password": PASSWORD}));
    refused(&taken, 409, "email_taken");
    for (body, field) in [
        (json!({"email": "x@b.com", "password": "password123"}), "password"),
        (json!({"email": "x@b.com"}), "password"),
        (json!({"email": "x", "password": PASSWORD}), "email"),
        (json!({"email": "x@b.com", "password": PASSWORD, "roles": ["nobody"]}), "roles"),
        (json!({"email": "x@b.com", "password": PASSWORD, "roles": "user"}), "roles"),
    ] {
        let refusal = refused(&create(&body), 422, "validation_failed");
        assert_eq!(refusal["errors"][0]["field"], field, "{body}");
    }
}

#[test]
fn what_is_known_about_a_user_is_changed() {
    let (issuer, admin) = admin();
    let bob = issuer.register("bob@b.com")["id"].as_str().unwrap().to_owned();
    let edit = |body: &Value| issuer.ask(&admin, &format!("PATCH /admin/users/{bob}"), body);
    let tokens = issuer.login("bob@b.com");
    let access = tokens["access_token"].as_str().unwrap();

    let named = ok(&edit(&json!({"username": "Bobby", "email_verified": true})));
    assert_eq!((&named["username"], &named["email_verified"]), (&json!("bobby"), &json!(true)));
    assert_eq!(issuer.me(access).status, 200, "another name cuts nothing off");
    let same = ok(&edit(&json!({"email": "BOB@b.com", "username": "bobby"})));
    assert_eq!(same["updated_at"], named["updated_at"], "nothing is different, and so nothing is written");
    assert_eq!(ok(&edit(&json!({})))["updated_at"], named["updated_at"]);

    let moved = ok(&edit(&json!({"email": "bob@c.org", "username": null})));
    assert_eq!((&moved["email"], &moved["email_verified"]), (&json!("bob@c.org"), &json!(false)));
    assert_eq!(moved.get("username"), None);
    refused(&issuer.me(access), 401, "revoked");
    issuer.login("bob@c.org");

    refused(&edit(&json!({"email": "admin@b.com"})), 409, "email_taken");
    for (body, field) in [
        (json!({"email": "x"}), "email"),
        (json!({"email": {"$ne": 1}}), "email"),
        (json!({"username": "x"}), "username"),
        (json!({"roles": ["admin"]}), "roles"),
        (json!({"status": "suspended"}), "status"),
        (json!({"password": PASSWORD}), "password"),
    ] {
        let refusal = refused(&edit(&body), 422, "validation_failed");
        assert_eq!(refusal["errors"][0]["field"], field, "{body}");
    }
    let nobody = issuer.ask(&admin, &format!("PATCH /admin/users/{NOBODY}"), &json!({}));
    refused(&nobody, 404, "not_found");
}

#[test]
fn other_roles_are_in_the_next_token() {
    let (issuer, admin) = admin();
    let bob = issuer.register("bob@b.com")["id"].as_str().unwrap().to_owned();
    let tokens = issuer.login("bob@b.com");
    let old = tokens["access_token"].as_str().unwrap();
    let made = json!({"description": "Cares", "permissions": ["records:write", "records:read"]});
    assert_eq!(issuer.ask(&admin, "PUT /admin/roles/PROVIDER", &made).status, 201);
    let assign = |roles: Value| {
        issuer.ask(&admin, &format!("PUT /admin/users/{bob}/roles"), &json!({ "roles": roles }))
    };
    let body = ok(&assign(json!(["PROVIDER", "user", "PROVIDER"])));
    assert_eq!(body["roles"], json!(["PROVIDER", "user"]));
    assert_eq!(body["permissions"], json!(["records:read", "records:write"]));

    refused(&issuer.me(old), 401, "revoked");
    let next = ok(&issuer.post("/auth/refresh", &json!({"refresh_token": tokens["refresh_token"]})));
    let said = claims(next["access_token"].as_str().unwrap());
    assert_eq!((&said["roles"], &said["epoch"]), (&json!(["PROVIDER", "user"]), &json!(1)));
    assert_eq!(said["permissions"], json!(["records:read", "records:write"]));

    for wrong in [json!(["nobody"]), json!(["a b"]), json!(vec!["user"; 33])] {
        let refusal = refused(&assign(wrong), 422, "validation_failed");
        assert_eq!(refusal["errors"][0]["field"], "roles");
    }
    assert_eq!(ok(&assign(json!([])))["roles"], json!([]));
}

#[test]
fn an_account_is_closed_opened_and_removed() {
    let (issuer, admin) = admin();
    let bob = issuer.register("bob@b.com")["id"].as_str().unwrap().to_owned();
    let act = |method: &str, path: &str| {
        issuer.ask(&admin, &format!("{method} /admin/users/{bob}{path}"), &Value::Null)
    };
    let login = json!({"email": "bob@b.com", "password": PASSWORD});
    let token = issuer.token("bob@b.com");
    done(&act("POST", "/logout"));
    refused(&issuer.me(&token), 401, "revoked");

    let tokens = issuer.login("bob@b.com");
    done(&act("POST", "/suspend"));
    done(&act("POST", "/suspend"));
    refused(&issuer.me(tokens["access_token"].as_str().unwrap()), 401, "revoked");
    refused(
        &issuer.post("/auth/refresh", &json!({"refresh_token": tokens["refresh_token"]})),
        401,
        "invalid_token",
    );
    refused(&issuer.post("/auth/login", &login), 401, "invalid_credentials");
    assert_eq!(ok(&act("GET", ""))["status"], "suspended");
    done(&act("POST", "/resume"));
    done(&act("POST", "/resume"));

    let token = issuer.token("bob@b.com");
    done(&act("DELETE", ""));
    refused(&issuer.me(&token), 401, "revoked");
    refused(&issuer.post("/auth/login", &login), 401, "invalid_credentials");
    for (method, path) in [
        ("DELETE", ""),
        ("GET", ""),
        ("POST", "/suspend"),
        ("POST", "/resume"),
        ("POST", "/logout"),
        ("GET", "/sessions"),
    ] {
        refused(&act(method, path), 404, "not_found");
    }
    issuer.register("bob@b.com");
}

#[test]
fn the_sessions_of_a_user_are_seen() {
    let (issuer, admin) = admin();
    let bob = issuer.register("bob@b.com")["id"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        issuer.login("bob@b.com");
    }
    let get = |query: &str| {
        ok(&issuer.ask(&admin, &format!("GET /admin/users/{bob}/sessions{query}"), &Value::Null))
    };
    let first = get("?limit=2");
    let rest = get(&format!("?limit=2&cursor={}", first["next_cursor"].as_str().unwrap()));
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!((rest["items"].as_array().unwrap().len(), rest.get("next_cursor")), (1, None));
    assert_eq!(
        (&first["items"][0]["address"], &first["items"][0]["current"]),
        (&json!("127.0.0.1"), &json!(false))
    );
}

#[test]
fn roles_are_made_changed_and_removed() {
    let (issuer, admin) = admin();
    let ask = |line: &str, body: &Value| issuer.ask(&admin, line, body);
    let list = ok(&ask("GET /admin/roles", &Value::Null));
    let names: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!((names, list.get("next_cursor")), (vec!["admin", "user"], None));

    let made = ask("PUT /admin/roles/x", &json!({"description": "An X", "permissions": ["b", "a", "b"]}));
    let x = json!({"name": "x", "description": "An X", "permissions": ["a", "b"]});
    assert_eq!((made.status, made.json()), (201, x.clone()));
    assert_eq!(ok(&ask("GET /admin/roles/x", &Value::Null)), x);
    assert_eq!(ok(&ask("PUT /admin/roles/x", &json!({"permissions": ["c"]})))["permissions"], json!(["c"]));
    done(&ask("DELETE /admin/roles/x", &Value::Null));
    for line in ["GET /admin/roles/x", "DELETE /admin/roles/x", "GET /admin/roles/a,b"] {
        refused(&ask(line, &Value::Null), 404, "not_found");
    }

    for (name, body, field) in [
        ("a,b", json!({"permissions": []}), "name"),
        ("x", json!({}), "permissions"),
        ("x", json!({"permissions": ["a b"]}), "permissions"),
        ("x", json!({"permissions": vec!["a"; 129]}), "permissions"),
        ("x", json!({"permissions": [], "description": "x".repeat(1001)}), "description"),
    ] {
        let refusal = refused(&ask(&format!("PUT /admin/roles/{name}"), &body), 422, "validation_failed");
        assert_eq!(refusal["errors"][0]["field"], field, "{body}");
    }
    for name in ["user", "admin"] {
        refused(&ask(&format!("DELETE /admin/roles/{name}"), &Value::Null), 409, "conflict");
    }
    ask("PUT /admin/roles/owned", &json!({"permissions": []}));
    issuer.register("bob@b.com");
    issuer.give_roles("bob@b.com", &["owned"]);
    refused(&ask("DELETE /admin/roles/owned", &Value::Null), 409, "conflict");
}
