//! Somebody else makes the tokens. The providers are played by a key server of ours, under their names and over TLS,
//! with key documents and tokens of the shape that each of them publishes.

use serde_json::{Value, json};

use crate::support::example::{Example, Keys, only, plain_jwt};
use crate::support::own_key::now;
use crate::support::signer::Signer;

const SUPABASE: &str = "PROJECT.supabase.co";
const SUPABASE_KEYS: &str = "/auth/v1/.well-known/jwks.json";
const AUTH0: &str = "TENANT.eu.auth0.com";
const AUTH0_KEYS: &str = "/.well-known/jwks.json";
const KEYCLOAK: &str = "keycloak.example.test";
const KEYCLOAK_KEYS: &str = "/realms/shop/protocol/openid-connect/certs";

#[test]
fn supabase_users_come_with_the_roles_that_the_server_gave_them() {
    let key = Signer::es256("a1b2");
    let mut jwk = key.jwk().clone();
    jwk["key_ops"] = json!(["verify"]);
    jwk["ext"] = json!(true);
    let example = elsewhere("supabase.yaml", SUPABASE, SUPABASE_KEYS, &json!({ "keys": [jwk] }));
    let claims = |user: &str, roles: Value| {
        json!({
            "iss": "https://PROJECT.supabase.co/auth/v1", "sub": user, "aud": "authenticated", "iat": now(),
            "exp": now() + 3600, "email": "ada@example.test", "phone": "", "role": "authenticated", "aal": "aal1",
            "session_id": "5e55", "is_anonymous": false, "amr": [{"method": "password", "timestamp": now()}],
            "app_metadata": {"provider": "email", "providers": ["email"], "roles": roles},
            "user_metadata": {"roles": ["admin"]},
        })
    };

    let ada = plain_jwt(&key, &claims("ada", json!(["writer"])));
    example.decides(
        &ada,
        &[
            ("GET /profiles/ada", 200, ""),
            ("GET /profiles/bob", 403, "rule_denied"),
            ("POST /posts/1", 200, ""),
            // What she writes about herself is no right.
            ("GET /admin/x", 403, "rule_denied"),
        ],
    );
    let arrived = example.arrived("/profiles/ada");
    assert_eq!(only(&arrived, "x-user-id"), "ada");
    assert_eq!(only(&arrived, "x-user-email"), "ada@example.test");
    assert_eq!(only(&arrived, "x-user-roles"), "writer");
    assert_eq!(only(&arrived, "x-session-id"), "5e55");
    assert_eq!(only(&arrived, "x-auth-provider"), "supabase");
    assert!(arrived.header("authorization").is_empty());

    let admin = plain_jwt(&key, &claims("root", json!(["admin"])));
    example.decides(&admin, &[("GET /admin/x", 200, ""), ("GET /profiles/bob", 200, "")]);
    let mut anonymous = claims("ada", json!([]));
    anonymous["aud"] = json!("anon");
    example.decides(&plain_jwt(&key, &anonymous), &[("GET /profiles/ada", 401, "invalid_token")]);
    assert_eq!(example.send("GET /posts/1", &["x-user-id: eve"]).status, 200);
    assert!(example.arrived("/posts/1").header("x-user-id").is_empty());
    assert_eq!(called_once(&example, SUPABASE_KEYS), SUPABASE.to_lowercase());
}

#[test]
fn auth0_users_come_with_claims_under_urls() {
    let key = Signer::rs256("NjVB");
    let mut jwk = key.jwk().clone();
    jwk["x5t"] = json!("NjVB");
    jwk["x5c"] = json!(["MIIDDTCCAfWgAwIBAgIJ"]);
    let example = elsewhere("auth0.yaml", AUTH0, AUTH0_KEYS, &json!({ "keys": [jwk] }));
    let claims = |user: &str, permissions: Value| {
        json!({
            "iss": "https://TENANT.eu.auth0.com/", "sub": user, "iat": now(), "exp": now() + 86_400,
            "aud": ["https://api.example.test", "https://TENANT.eu.auth0.com/userinfo"], "azp": "the-client",
            "scope": "openid profile write:reports", "permissions": permissions,
            "https://api.example.test/email": "ada@example.test", "https://api.example.test/roles": ["user"],
        })
    };

    let ada = plain_jwt(&key, &claims("auth0|ada", json!(["read:reports"])));
    example.decides(
        &ada,
        &[
            ("GET /users/auth0%7Cada", 200, ""),
            ("GET /users/auth0%7Cbob", 403, "rule_denied"),
            ("GET /reports/7", 200, ""),
            // The scope is what the client asked for, not what she may do.
            ("POST /reports/7", 403, "rule_denied"),
        ],
    );
    let arrived = example.arrived("/reports/7");
    assert_eq!(only(&arrived, "x-user-id"), "auth0|ada");
    assert_eq!(only(&arrived, "x-user-email"), "ada@example.test");
    assert_eq!(only(&arrived, "x-user-roles"), "user");
    assert_eq!(only(&arrived, "x-user-permissions"), "read:reports");

    let mut id_token = claims("auth0|ada", json!(["read:reports"]));
    id_token["aud"] = json!("the-client");
    example.decides(&plain_jwt(&key, &id_token), &[("GET /reports/7", 401, "invalid_token")]);
    let mut week = claims("auth0|ada", json!([]));
    week["exp"] = json!(now() + 7 * 86_400);
    example.decides(&plain_jwt(&key, &week), &[("GET /users/auth0%7Cada", 401, "invalid_token")]);
    assert_eq!(called_once(&example, AUTH0_KEYS), AUTH0.to_lowercase());
}

#[test]
fn keycloak_users_come_with_the_roles_of_realm_and_client() {
    let (key, encryption) = (Signer::rs256("sig-1"), Signer::rs256("enc-1"));
    let mut for_encryption = encryption.jwk().clone();
    for_encryption["use"] = json!("enc");
    for_encryption["alg"] = json!("RSA-OAEP");
    let document = json!({ "keys": [for_encryption, key.jwk()] });
    let example = elsewhere("keycloak.yaml", KEYCLOAK, KEYCLOAK_KEYS, &document);
    let claims = |aud: Value, realm: Value, client: Value| {
        json!({
            "iss": "https://keycloak.example.test/realms/shop", "sub": "ada", "aud": aud, "iat": now(),
            "exp": now() + 300, "auth_time": now(), "jti": "onrtac:1", "typ": "Bearer", "azp": "web", "sid": "5e55",
            "acr": "1", "realm_access": {"roles": realm}, "resource_access": {"api": {"roles": client}},
            "scope": "openid email profile", "email_verified": true, "preferred_username": "ada.l",
            "name": "Ada", "email": "ada@example.test",
        })
    };

    let both = json!(["api", "account"]);
    let ada = plain_jwt(&key, &claims(both.clone(), json!(["customer"]), json!(["order"])));
    example.decides(
        &ada,
        &[
            ("POST /orders/1", 200, ""),
            ("GET /users/ada", 200, ""),
            ("GET /users/bob", 403, "rule_denied"),
            ("GET /admin/x", 403, "rule_denied"),
        ],
    );
    let arrived = example.arrived("/orders/1");
    assert_eq!(only(&arrived, "x-user-id"), "ada");
    assert_eq!(only(&arrived, "x-user-name"), "ada.l");
    assert_eq!(only(&arrived, "x-user-roles"), "customer");
    assert_eq!(only(&arrived, "x-user-permissions"), "order");
    assert_eq!(only(&arrived, "x-session-id"), "5e55");
    assert!(arrived.header("x-auth-provider").is_empty(), "it is not on the file's list");

    let browsing = plain_jwt(&key, &claims(both, json!(["customer"]), json!([])));
    example.decides(&browsing, &[("POST /orders/1", 403, "rule_denied")]);
    let elsewhere = plain_jwt(&key, &claims(json!("account"), json!(["admin"]), json!([])));
    example.decides(&elsewhere, &[("GET /admin/x", 401, "invalid_token")]);
    let wrong_key = plain_jwt(&encryption, &claims(json!("api"), json!(["admin"]), json!([])));
    example.decides(&wrong_key, &[("GET /admin/x", 401, "invalid_token")]);
    assert_eq!(called_once(&example, KEYCLOAK_KEYS), KEYCLOAK.to_lowercase());
}

#[test]
fn a_key_server_under_another_name_is_believed_by_none_of_the_examples() {
    let key = Signer::es256("a1b2");
    for (file, host, path, issuer, request) in [
        (
            "supabase.yaml",
            SUPABASE,
            SUPABASE_KEYS,
            "https://PROJECT.supabase.co/auth/v1",
            "GET /profiles/ada",
        ),
        ("auth0.yaml", AUTH0, AUTH0_KEYS, "https://TENANT.eu.auth0.com/", "GET /users/ada"),
        (
            "keycloak.yaml",
            KEYCLOAK,
            KEYCLOAK_KEYS,
            "https://keycloak.example.test/realms/shop",
            "GET /users/ada",
        ),
    ] {
        let document = json!({ "keys": [key.jwk()] }).to_string();
        let keys = Keys::Elsewhere { host, path, document, certificate: "evil.example.test" };
        let example = Example::start(file, &keys);
        let token = plain_jwt(&key, &json!({"iss": issuer, "sub": "ada"}));
        example.decides(&token, &[(request, 503, "keys_unavailable")]);
        assert!(!example.door.keys.called().is_empty(), "{file}: it came");
        assert!(
            example.door.keys.asked(path).is_empty(),
            "{file}: it saw the certificate and asked for nothing"
        );
        assert!(example.echo.all().is_empty());
    }
}

fn elsewhere(file: &str, host: &str, path: &str, document: &Value) -> Example {
    let keys = Keys::Elsewhere { host, path, document: document.to_string(), certificate: host };
    Example::start(file, &keys)
}

/// The name by which the key server was called, and its keys were asked for, each once.
fn called_once(example: &Example, path: &str) -> String {
    assert_eq!(example.door.keys.asked(path).len(), 1);
    let mut called = example.door.keys.called();
    assert_eq!(called.len(), 1, "{called:?}");
    called.remove(0).unwrap()
}
