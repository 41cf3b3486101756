use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::issuer::Issuer;
use super::wire::{Answer, send};

/// Who may enter.
#[derive(Clone, Copy)]
enum Door {
    /// Everybody.
    Open,
    /// Everybody who is logged in.
    Bearer,
    /// Whoever has that permission.
    Needs(&'static str),
}

use Door::{Bearer, Needs, Open};

/// Every operation of the OpenAPI document. One that is added there and not here fails the test.
const DOORS: &[(&str, Door)] = &[
    ("GET /.well-known/jwks.json", Open),
    ("GET /.well-known/oauth-authorization-server", Open),
    ("GET /admin/alerts", Needs("audit:read")),
    ("GET /admin/audit", Needs("audit:read")),
    ("GET /admin/roles", Needs("roles:read")),
    ("DELETE /admin/roles/{name}", Needs("roles:write")),
    ("GET /admin/roles/{name}", Needs("roles:read")),
    ("PUT /admin/roles/{name}", Needs("roles:write")),
    ("GET /admin/users", Needs("users:read")),
    ("POST /admin/users", Needs("users:write")),
    ("DELETE /admin/users/{id}", Needs("users:write")),
    ("GET /admin/users/{id}", Needs("users:read")),
    ("PATCH /admin/users/{id}", Needs("users:write")),
    ("GET /admin/users/{id}/login-history", Needs("audit:read")),
    ("POST /admin/users/{id}/logout", Needs("users:write")),
    ("POST /admin/users/{id}/resume", Needs("users:write")),
    ("PUT /admin/users/{id}/roles", Needs("roles:assign")),
    ("GET /admin/users/{id}/sessions", Needs("audit:read")),
    ("POST /admin/users/{id}/suspend", Needs("users:write")),
    ("POST /admin/users/{id}/unlock", Needs("users:write")),
    ("POST /auth/change-password", Bearer),
    ("POST /auth/login", Open),
    ("GET /auth/login-history", Bearer),
    ("POST /auth/logout", Open),
    ("POST /auth/logout-all", Bearer),
    ("GET /auth/me", Bearer),
    ("POST /auth/password-reset", Open),
    ("POST /auth/password-reset/confirm", Open),
    ("POST /auth/refresh", Open),
    ("POST /auth/register", Open),
    ("GET /auth/sessions", Bearer),
    ("DELETE /auth/sessions/{sid}", Bearer),
    ("POST /auth/validate", Open),
    ("POST /auth/verify-email", Open),
    ("POST /auth/verify-email/resend", Open),
    ("GET /health", Open),
];

#[test]
fn every_operation_has_a_line_in_the_matrix() {
    let document = Issuer::start().get("/openapi.json").json();
    let operations: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let known: BTreeSet<String> = DOORS.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(operations, known);
    // The document says the same to whoever reads it: what is not open asks for a token.
    for (route, door) in DOORS {
        let (method, path) = route.split_once(' ').unwrap();
        let asks = document["paths"][path][method.to_lowercase()]["security"].is_array();
        assert_eq!(asks, !matches!(door, Open), "{route}");
    }
}

#[test]
fn each_route_lets_in_those_it_is_for_and_nobody_else() {
    let issuer = Issuer::start();
    let admin = issuer.somebody_with("admin@b.com", &["admin"]);
    let auditor = json!({"permissions": ["audit:read"]});
    assert_eq!(issuer.ask(&admin, "PUT /admin/roles/auditor", &auditor).status, 201);
    issuer.somebody_with("user@b.com", &["user"]);
    issuer.somebody_with("auditor@b.com", &["user", "auditor"]);
    let suspended = issuer.somebody_with("suspended@b.com", &["user", "auditor"]);
    let id = issuer.me(&suspended).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(issuer.ask(&admin, &format!("POST /admin/users/{id}/suspend"), &Value::Null).status, 204);
    let forged = format!("{}AAAA", &admin[..admin.len() - 4]);

    for (route, door) in DOORS {
        let enter = |token: Option<&str>| enter(&issuer, route, token);
        if matches!(door, Open) {
            assert_let_in(route, "nobody", &enter(None));
            continue;
        }
        assert_kept_out(route, "nobody", &enter(None), (401, "missing_credential"));
        assert_kept_out(route, "a forger", &enter(Some(&forged)), (401, "invalid_token"));
        assert_kept_out(route, "a suspended user", &enter(Some(&suspended)), (401, "revoked"));
        for (email, permissions) in
            [("user@b.com", &[][..]), ("auditor@b.com", &["audit:read"]), ("admin@b.com", ADMINISTRATION)]
        {
            // Each time anew: some of the routes end sessions.
            let answer = enter(Some(&issuer.token(email)));
            match door {
                Needs(permission) if !permissions.contains(permission) => {
                    assert_kept_out(route, email, &answer, (403, "forbidden"));
                }
                _ => assert_let_in(route, email, &answer),
            }
        }
    }
}

const ADMINISTRATION: &[&str] =
    &["users:read", "users:write", "roles:read", "roles:write", "roles:assign", "audit:read"];

/// Asks for what is not there, with a body that says nothing: nobody is harmed by whoever gets in.
fn enter(issuer: &Issuer, route: &str, token: Option<&str>) -> Answer {
    let nothing = uuid::Uuid::nil().to_string();
    let line = route.replace("{id}", &nothing).replace("{sid}", &nothing).replace("{name}", "nothing");
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.iter().map(|bearer| ("authorization", bearer.as_str())));
    send(issuer.public, &line, &headers, b"{}")
}

#[track_caller]
fn assert_kept_out(route: &str, who: &str, answer: &Answer, expected: (u16, &str)) {
    assert_eq!((answer.status, answer.problem().as_str()), expected, "{route}, {who}: {answer:?}");
}

#[track_caller]
fn assert_let_in(route: &str, who: &str, answer: &Answer) {
    assert!(![401, 403, 405].contains(&answer.status) && answer.status < 500, "{route}, {who}: {answer:?}");
}
