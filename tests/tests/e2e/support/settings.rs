//! Plugin settings for a [`super::gateway::Gateway`], and claims that fit them.

use serde_json::{Value, json};

use crate::support::own_key::now;

pub(crate) const ISSUER: &str = "https://auth.example.test";

/// A provider with these keys.
pub(crate) fn provider(keys: Value) -> Value {
    json!({"name": "doorward", "issuer": ISSUER, "audiences": ["api"], "algorithms": ["ES256"], "keys": keys})
}

/// Keys written into the settings.
pub(crate) fn inline(jwks: &str) -> Value {
    json!({ "inline": jwks })
}

/// Keys fetched from the cluster `keys`.
pub(crate) fn remote(path: &str, refresh: &str) -> Value {
    json!({"remote": {"cluster": "keys", "path": path, "authority": "keys.example.test", "refresh": refresh}})
}

/// Everything is public save what lies below `/admin` and `/users`: a rule that is walked around shows at once.
pub(crate) fn settings(providers: &[Value]) -> Value {
    json!({
        "providers": providers,
        "rules": [
            {"path": "/admin/**", "allow": {"role": "admin"}},
            {"path": "/users/{id}", "allow": {"any_of": [{"owner": "id"}, {"role": "admin"}]}},
            {"path": "/feed", "allow": "optional"},
            {"methods": ["GET"], "path": "/inventory/**", "allow": "authenticated"},
            {"path": "/inventory/**", "allow": {"role": "merchant"}},
            {"path": "/denied/**", "allow": "deny"},
            {"path": "/**", "allow": "public"},
        ],
    })
}

/// The settings above for one provider with these keys.
pub(crate) fn settings_for(jwks: &str) -> Value {
    settings(&[provider(inline(jwks))])
}

/// Claims that are right in every way, for this user.
pub(crate) fn claims(user: &str) -> Value {
    json!({
        "iss": ISSUER, "sub": user, "aud": ["api"], "client_id": "first-party", "iat": now(), "exp": now() + 600,
        "jti": "a-token", "sid": "a-session", "epoch": 0, "email": "ada@example.test", "email_verified": false,
        "roles": ["user"], "permissions": [],
    })
}

/// The claims above with some replaced; `null` takes one away.
pub(crate) fn claims_with(user: &str, changes: Value) -> Value {
    let mut claims = claims(user);
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}
