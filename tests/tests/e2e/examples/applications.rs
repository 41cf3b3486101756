//! Whole sets of rules, with Doorward's issuer or a shared secret.

use ring::hmac;
use serde_json::{Value, json};

use crate::support::edits::encode;
use crate::support::example::{Example, Keys, only};
use crate::support::own_key::{now, signing_input};
use crate::support::settings::claims_with;
use crate::support::signer::Signer;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OLD_SECRET: &str = "fedcba9876543210fedcba9876543210";

#[test]
fn a_shared_secret_opens_the_gate_and_two_of_them_change_it() {
    let example = Example::start("hs256.yaml", &Keys::Environment(&[("JWT_SECRET", SECRET)]));
    let (ada, forged) = (shared(SECRET, "ada"), shared(OLD_SECRET, "ada"));
    example.decides(&ada, &[("GET /users/ada", 200, ""), ("GET /users/bob", 403, "rule_denied")]);
    example.decides(&forged, &[("GET /users/ada", 401, "invalid_token")]);
    let arrived = example.arrived("/users/ada");
    assert_eq!(
        (only(&arrived, "x-user-id"), only(&arrived, "x-auth-provider")),
        ("ada".into(), "backend".into())
    );
    assert_eq!(example.send("GET /healthz", &["x-user-id: eve"]).status, 200);
    assert!(example.arrived("/healthz").header("x-user-id").is_empty());

    let changing = Example::start_edited(
        "hs256.yaml",
        &Keys::Environment(&[("JWT_SECRET", SECRET), ("JWT_SECRET_OLD", OLD_SECRET)]),
        &[
            ("secret_env: [JWT_SECRET]", "secret_env: [JWT_SECRET, JWT_SECRET_OLD]"),
            ("host_env_keys: [JWT_SECRET]", "host_env_keys: [JWT_SECRET, JWT_SECRET_OLD]"),
        ],
    );
    for secret in [SECRET, OLD_SECRET] {
        changing.decides(&shared(secret, "ada"), &[("GET /users/ada", 200, "")]);
    }
    let neither = shared("another secret of thirty-two bytes", "ada");
    changing.decides(&neither, &[("GET /users/ada", 401, "invalid_token")]);
}

#[test]
fn in_the_house_of_health_everybody_sees_his_own() {
    let key = Signer::es256("k1");
    let example = Example::start("health-care.yaml", &Keys::Issuer(&key));
    let token = |user: &str, role: &str| key.token(&claims_with(user, json!({"roles": [role]})));

    example.decides(
        &token("pat", "PATIENT"),
        &[
            ("GET /patients/pat", 200, ""),
            ("GET /patients/pat/records/2030", 200, ""),
            ("GET /patients/pat/records", 200, ""),
            ("PUT /patients/pat/records/2030", 403, "rule_denied"),
            ("GET /patients/sam/records/2030", 403, "rule_denied"),
            ("POST /patients/pat/appointments", 200, ""),
            ("POST /patients/sam/appointments", 403, "rule_denied"),
            ("GET /providers/doc/calendar", 200, ""),
            ("PUT /providers/doc/calendar", 403, "rule_denied"),
            ("GET /patients", 403, "rule_denied"),
            ("GET /staff/pat", 403, "rule_denied"),
            ("GET /anything", 403, "no_rule"),
        ],
    );
    example.decides(
        &token("doc", "PROVIDER"),
        &[
            ("GET /patients", 200, ""),
            ("PUT /patients/pat/records/2030", 200, ""),
            ("GET /patients/pat", 403, "rule_denied"),
            ("PUT /providers/doc/calendar", 200, ""),
            ("PUT /providers/ann/calendar", 403, "rule_denied"),
        ],
    );
    let arrived = example.arrived("/patients/pat/records/2030");
    assert_eq!(
        (only(&arrived, "x-user-id"), only(&arrived, "x-user-roles")),
        ("doc".into(), "PROVIDER".into())
    );
    example.decides(
        &token("boss", "ADMIN"),
        &[
            ("GET /staff/doc", 200, ""),
            ("GET /patients/pat", 200, ""),
            ("GET /patients/pat/records/2030", 403, "rule_denied"),
        ],
    );
    // A name is not a role: the letters count.
    example.decides(&token("eve", "admin"), &[("GET /staff/doc", 403, "rule_denied")]);
    assert_eq!(example.send("GET /patients/pat", &[]).status, 401);
    issuer_doors(&example, &token("pat", "PATIENT"));
}

#[test]
fn in_the_shop_merchants_keep_the_stock_and_customers_their_baskets() {
    let key = Signer::es256("k1");
    let example = Example::start("shop.yaml", &Keys::Issuer(&key));
    let token = |user: &str, roles: Value, permissions: Value| {
        key.token(&claims_with(user, json!({"roles": roles, "permissions": permissions})))
    };

    assert_eq!(example.send("GET /goods/7", &["x-user-roles: merchant"]).status, 200);
    assert!(example.arrived("/goods/7").header("x-user-roles").is_empty());
    assert_eq!(example.send("PUT /goods/7", &["content-length: 0"]).status, 401);

    example.decides(
        &token("ada", json!(["user"]), json!([])),
        &[
            ("GET /goods/7", 200, ""),
            ("PUT /goods/7", 403, "rule_denied"),
            ("GET /inventory/7", 403, "rule_denied"),
            ("PUT /baskets/ada/7", 200, ""),
            ("GET /baskets/bob", 403, "rule_denied"),
            ("POST /customers/ada/orders", 200, ""),
            ("POST /customers/bob/orders", 403, "rule_denied"),
            ("GET /customers/ada/orders/1", 200, ""),
            ("DELETE /customers/ada/orders/1", 403, "no_rule"),
        ],
    );
    assert_eq!(only(&example.arrived("/goods/7"), "x-user-id"), "ada");
    example.decides(
        &token("mia", json!(["user", "merchant"]), json!(["inventory:write", "orders:read"])),
        &[
            ("PUT /goods/7", 200, ""),
            ("PUT /inventory/7", 200, ""),
            ("GET /customers/ada/orders/1", 200, ""),
            ("GET /baskets/ada", 403, "rule_denied"),
        ],
    );
    let arrived = example.arrived("/inventory/7");
    assert_eq!(only(&arrived, "x-user-roles"), "user,merchant");
    assert_eq!(only(&arrived, "x-user-permissions"), "inventory:write,orders:read");
    let reader = token("tom", json!(["merchant"]), json!([]));
    example.decides(&reader, &[("GET /inventory/7", 200, ""), ("PUT /inventory/7", 403, "rule_denied")]);
    issuer_doors(&example, &reader);
}

/// The issuer's routes arrive at the issuer, with the token where it needs it, and `/auth/validate` at nobody.
fn issuer_doors(example: &Example, token: &str) {
    // The key server plays the issuer: it knows no other document, and says so.
    example.decides(token, &[("POST /auth/validate", 403, "no_rule")]);
    let arrived = |path: &str| example.door.keys.asked(path).len();
    assert_eq!(example.send_as(token, "POST /auth/login").status, 404);
    assert_eq!(example.send_as(token, "GET /auth/me").status, 404);
    assert_eq!(example.send("GET /auth/me", &[]).status, 401);
    assert_eq!((arrived("/auth/login"), arrived("/auth/me"), arrived("/auth/validate")), (1, 1, 0));
}

/// A token under a shared secret, signed by another library than the gate's.
fn shared(secret: &str, user: &str) -> String {
    let claims = json!({
        "iss": "https://backend.example.test", "sub": user, "aud": ["api"], "iat": now(), "exp": now() + 600,
    });
    let input = signing_input(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{input}.{}", encode(hmac::sign(&key, input.as_bytes())))
}
