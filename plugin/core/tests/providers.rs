//! Tokens of other issuers, in the shape in which they make them, with the configuration that reads them.

mod support;

use doorward_gate::Reason;
use serde_json::{Value, json};
use support::{NOW, assemble, es256, gate_of, get};

/// A gate that trusts one foreign provider, with rules about roles, permissions and owners.
fn config(provider: Value) -> Value {
    let mut provider = provider;
    provider["algorithms"] = json!(["ES256"]);
    let key = support::ES256.public_key().to_jwk();
    provider["keys"] = json!({"inline": format!(r#"{{"keys":[{key}]}}"#)});
    json!({
        "providers": [provider],
        "rules": [
            {"path": "/users/{id}", "allow": {"owner": "id"}},
            {"path": "/admin", "allow": {"role": "admin"}},
            {"path": "/orders", "allow": {"permission": "orders:read"}},
        ],
    })
}

/// A token with the usual times, whose `typ` is `JWT`.
fn jwt(mut claims: Value) -> String {
    claims["iat"] = json!(NOW - 5);
    claims["exp"] = json!(NOW + 3000);
    assemble(r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#, &claims.to_string(), es256)
}

#[test]
fn supabase_auth() {
    let mut gate = gate_of(config(json!({
        "name": "supabase", "issuer": "https://abc.supabase.co/auth/v1", "audiences": ["authenticated"], "token_type": "JWT",
        "claims": {"roles": "app_metadata.roles", "session_id": "session_id"},
    })));
    let token = jwt(json!({
        "iss": "https://abc.supabase.co/auth/v1", "aud": "authenticated", "sub": "5a1c", "role": "authenticated", "aal": "aal1",
        "amr": [{"method": "password", "timestamp": NOW}], "session_id": "b7e2", "email": "ada@example.test", "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"], "roles": ["admin"]},
        "user_metadata": {"roles": ["root"]}, "is_anonymous": false,
    }));
    let outcome = get(&mut gate, "/users/5a1c", &token);
    assert_eq!(
        outcome.header("x-user-roles").as_deref(),
        Some("admin"),
        "what users write about themselves is no role"
    );
    assert_eq!(outcome.header("x-session-id").as_deref(), Some("b7e2"));
    assert_eq!(outcome.header("x-auth-provider").as_deref(), Some("supabase"));
    assert_eq!(outcome.header("x-user-email-verified"), None);
    assert_eq!(get(&mut gate, "/admin", &token).reason(), None);
    assert_eq!(get(&mut gate, "/orders", &token).reason(), Some(Reason::RuleDenied));
}

#[test]
fn auth0() {
    let mut gate = gate_of(config(json!({
        "name": "auth0", "issuer": "https://tenant.eu.auth0.com/", "audiences": ["https://api.example.test"], "token_type": "JWT",
        "max_lifetime": "24h",
        "claims": {"roles": [["https://example.test/roles"]], "permissions": ["permissions", "scope"]},
    })));
    let claims = json!({
        "iss": "https://tenant.eu.auth0.com/", "sub": "auth0|5f7c8ec7", "azp": "client", "scope": "openid orders:read",
        "aud": ["https://api.example.test", "https://tenant.eu.auth0.com/userinfo"], "https://example.test/roles": ["admin"],
    });
    let token = jwt(claims.clone());
    assert_eq!(get(&mut gate, "/users/auth0%7C5f7c8ec7", &token).reason(), None);
    assert_eq!(get(&mut gate, "/admin", &token).reason(), None);
    assert_eq!(
        get(&mut gate, "/orders", &token).header("x-user-permissions").as_deref(),
        Some("openid,orders:read")
    );
    let mut with_rbac = claims;
    with_rbac["permissions"] = json!(["reports:read"]);
    assert_eq!(
        get(&mut gate, "/orders", &jwt(with_rbac)).reason(),
        Some(Reason::RuleDenied),
        "the first path that exists counts, not the one that suits"
    );
}

#[test]
fn keycloak() {
    let mut gate = gate_of(config(json!({
        "name": "keycloak", "issuer": "https://id.example.test/realms/shop", "audiences": ["account"], "token_type": "JWT",
        "claims": {"roles": "realm_access.roles", "permissions": [["resource_access", "shop.api", "roles"], "scope"],
            "username": "preferred_username"},
    })));
    let token = jwt(json!({
        "iss": "https://id.example.test/realms/shop", "aud": "account", "sub": "f1e9", "typ": "Bearer", "azp": "shop", "acr": "1",
        "sid": "0c3d", "realm_access": {"roles": ["offline_access", "admin"]},
        "resource_access": {"shop.api": {"roles": ["orders:read"]}}, "scope": "email profile", "email_verified": true,
        "preferred_username": "ada", "email": "ada@example.test",
    }));
    let outcome = get(&mut gate, "/users/f1e9", &token);
    assert_eq!(outcome.header("x-user-roles").as_deref(), Some("offline_access,admin"));
    assert_eq!(outcome.header("x-user-email-verified").as_deref(), Some("true"));
    assert_eq!(outcome.header("x-session-id").as_deref(), Some("0c3d"));
    assert_eq!(get(&mut gate, "/orders", &token).reason(), None);
    assert_eq!(get(&mut gate, "/admin", &token).reason(), None);
}
