use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::issuer::{Issuer, PASSWORD, claims};
use super::wire::send;

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn registration_answers_with_the_account_and_nothing_else() {
    let issuer = Issuer::start();
    let answer = issuer.post("/auth/register", &json!({"email": "A@b.com", "password": PASSWORD}));
    assert_eq!(answer.status, 201, "{answer:?}");
    let body = answer.json();
    assert_eq!(keys(&body), ["created_at", "email", "id"]);
    assert_eq!(body["email"], "a@b.com");
    assert!(body["id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok(), "{body}");
    assert!(body["created_at"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{body}");

    let named = json!({"email": "c@d.com", "password": PASSWORD, "username": "Carol", "more": "is ignored"});
    let answer = issuer.post("/auth/register", &named);
    assert_eq!((answer.status, &answer.json()["username"]), (201, &json!("carol")));
}

#[test]
fn login_takes_the_email_the_username_or_either() {
    let issuer = Issuer::start();
    let account = json!({"email": "a@b.com", "password": PASSWORD, "username": "alice"});
    assert_eq!(issuer.post("/auth/register", &account).status, 201);
    for (field, name) in [
        ("email", "a@b.com"),
        ("email", "A@B.COM"),
        ("username", "alice"),
        ("login", "a@b.com"),
        ("login", "Alice"),
    ] {
        let answer = issuer.post("/auth/login", &json!({field: name, "password": PASSWORD}));
        assert_eq!(answer.status, 200, "{field} {name}: {answer:?}");
    }
    // Only `login` takes either.
    for (field, name) in [("email", "alice"), ("username", "a@b.com")] {
        let answer = issuer.post("/auth/login", &json!({field: name, "password": PASSWORD}));
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (401, "invalid_credentials"),
            "{field} {name}"
        );
    }
}

#[test]
fn login_answers_with_tokens() {
    let issuer = Issuer::start();
    let account = issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    assert_eq!(
        keys(&tokens),
        ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "token_type"]
    );
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(tokens["refresh_expires_in"], 86_400);
    let claims = claims(tokens["access_token"].as_str().unwrap());
    assert_eq!(claims["sub"], account["id"]);
    assert_eq!(claims["iss"], "http://localhost:8080");
    assert_eq!(claims["aud"], json!(["api"]));
    assert_eq!(claims["roles"], json!(["user"]));
}

#[test]
fn settings_reach_the_token() {
    let issuer = Issuer::start_with(&[
        ("token.issuer", "https://auth.example.test"),
        ("token.audiences", "web,mobile"),
        ("token.client_id", "shop"),
        ("token.access_ttl", "5m"),
        ("token.refresh_ttl", "1h"),
        ("token.session_ttl", "2h"),
    ]);
    issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    assert_eq!((&tokens["expires_in"], &tokens["refresh_expires_in"]), (&json!(300), &json!(3600)));
    let claims = claims(tokens["access_token"].as_str().unwrap());
    assert_eq!(claims["iss"], "https://auth.example.test");
    assert_eq!(claims["aud"], json!(["web", "mobile"]));
    assert_eq!(claims["client_id"], "shop");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
}

#[test]
fn me_is_the_account_as_it_is_now() {
    let issuer = Issuer::start();
    let account = issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    let answer = issuer.me(tokens["access_token"].as_str().unwrap());
    assert_eq!(answer.status, 200, "{answer:?}");
    let me = answer.json();
    assert_eq!((&me["id"], &me["email"]), (&account["id"], &json!("a@b.com")));
    assert_eq!((&me["email_verified"], &me["status"]), (&json!(false), &json!("active")));
    assert_eq!((&me["roles"], &me["permissions"]), (&json!(["user"]), &json!([])));
    assert_eq!(me.get("username"), None);
}

#[test]
fn validate_tells_good_tokens_from_all_others() {
    let issuer = Issuer::start();
    let account = issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    let answer = issuer.post("/auth/validate", &json!({"token": tokens["access_token"]}));
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["valid"], true);
    assert_eq!(keys(&body["user"]), ["email", "expires_at", "id", "permissions", "role", "roles"]);
    assert_eq!((&body["user"]["id"], &body["user"]["role"]), (&account["id"], &json!("user")));

    for token in ["", "not a token", "a.b.c", tokens["refresh_token"].as_str().unwrap()] {
        let answer = issuer.post("/auth/validate", &json!({"token": token}));
        assert_eq!((answer.status, answer.json()), (200, json!({"valid": false})), "{token}");
    }
    issuer.clock.advance(Duration::from_secs(901));
    let answer = issuer.post("/auth/validate", &json!({"token": tokens["access_token"]}));
    assert_eq!((answer.status, answer.json()), (200, json!({"valid": false})));
}

#[test]
fn the_public_keys_may_be_cached() {
    let issuer = Issuer::start();
    let answer = issuer.get("/.well-known/jwks.json");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    let key = &answer.json()["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("EC"), &json!("P-256"), &json!("ES256")));
    assert_eq!(key.get("d"), None, "the private half must stay at home");
    let tag = answer.header("etag").unwrap();
    assert!(tag.starts_with('"'), "{tag} is not a strong tag");

    for known in [tag.to_owned(), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = issuer.get_with("/.well-known/jwks.json", &[("if-none-match", &known)]);
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.header("etag")),
            (304, "", Some(tag)),
            "{known}"
        );
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    }
    let answer = issuer.get_with("/.well-known/jwks.json", &[("if-none-match", "\"other\"")]);
    assert_eq!(answer.status, 200);
}

#[test]
fn a_shared_secret_is_not_published() {
    let secret = ("token.secret", "a secret of more than thirty-two bytes");
    let issuer = Issuer::start_with(&[("token.algorithm", "HS256"), secret]);
    assert_eq!(issuer.get("/.well-known/jwks.json").json(), json!({"keys": []}));
    issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    assert_eq!(issuer.me(tokens["access_token"].as_str().unwrap()).status, 200);
}

#[test]
fn health_names_the_parts() {
    let issuer = Issuer::start();
    let answer = issuer.get("/health");
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"status": "ok", "store": "ok", "events": "off"}))
    );
}

#[test]
fn the_management_listener_is_apart() {
    let issuer = Issuer::start();
    for path in ["/health/live", "/health/ready"] {
        let answer = send(issuer.management, &format!("GET {path}"), &[], b"");
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")), "{path}");
        assert_eq!(issuer.get(path).problem(), "not_found");
    }
    assert_eq!(send(issuer.management, "GET /auth/me", &[], b"").problem(), "not_found");
}

#[test]
fn the_management_token_guards_every_path() {
    let issuer = Issuer::start_with(&[("server.management_token", "open sesame".replace(' ', "-").as_str())]);
    let ask =
        |path: &str, headers: &[(&str, &str)]| send(issuer.management, &format!("GET {path}"), headers, b"");
    assert_eq!(ask("/health/ready", &[("authorization", "Bearer open-sesame")]).status, 200);
    for path in ["/health/live", "/health/ready", "/nothing"] {
        let answer = ask(path, &[]);
        assert_eq!(answer.problem(), "missing_credential");
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="doorward""#));
    }
    for wrong in ["open-sesam", "open-sesamE", "open-sesame1"] {
        let answer = ask("/health/ready", &[("authorization", &format!("Bearer {wrong}"))]);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid_token"), "{wrong}");
    }
}

#[test]
fn what_the_document_lists_is_there() {
    let issuer = Issuer::start();
    let document = issuer.get("/openapi.json");
    assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
    let document = document.json();
    let operations: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (path.as_str(), method.as_str()))
        })
        .collect();
    // Whatever it says to an empty request.
    for (path, method) in operations {
        let answer = send(issuer.public, &format!("{} {path}", method.to_uppercase()), &[], b"");
        assert!(![404, 405].contains(&answer.status), "{method} {path}: {answer:?}");
    }
    let login = &document["paths"]["/auth/login"]["post"];
    assert!(login["responses"]["401"]["content"]["application/problem+json"].is_object(), "{login}");
    assert_eq!(document["paths"]["/auth/me"]["get"]["security"], json!([{"access_token": []}]));
    assert_eq!(document["components"]["schemas"]["RegisterBody"]["required"], json!(["email", "password"]));
}

#[test]
fn the_page_to_try_it_needs_no_other_host() {
    let issuer = Issuer::start();
    let page = issuer.get("/docs");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(!policy.contains("http"), "{policy}");
    // Neither a script nor a style nor a frame comes from elsewhere: all of it is in the page.
    for outside in ["<script src", "<link", "<iframe", "@import", "url(http", "url(//"] {
        assert!(!page.body.contains(outside), "the page has {outside}");
    }
    assert!(page.body.contains("/auth/register"), "the page does not hold the document");
}

#[test]
fn keys_and_accounts_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("kept.db").display());
    let settings = [("store.url", url.as_str())];
    let issuer = Issuer::start_with(&settings);
    issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    drop(issuer);
    let issuer = Issuer::start_with(&settings);
    assert_eq!(issuer.me(tokens["access_token"].as_str().unwrap()).status, 200);
    issuer.login("a@b.com");
}
