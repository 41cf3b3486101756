//! The gate as a whole: who passes, what the service is told, what is taken away.

mod support;

use doorward_gate::keys::KeySet;
use doorward_gate::{Decision, Lookups, Need, Reason, RequestHead, Waiting};
use jwt_simple::prelude::*;
use serde_json::{Value, json};
use support::{claims, claims_with, clock, config, gate, gate_of, get, send, token};

#[test]
fn a_good_token_becomes_headers() {
    let outcome = get(&mut gate(), "/users/u-1", &token(&claims()));
    for (name, value) in [
        ("x-user-id", "u-1"),
        ("x-user-email", "ada@example.test"),
        ("x-user-email-verified", "false"),
        ("x-user-roles", "user"),
        ("x-user-permissions", "orders:read"),
        ("x-session-id", "s-1"),
        ("x-auth-provider", "doorward"),
    ] {
        assert_eq!(outcome.header(name).as_deref(), Some(value), "{name}");
    }
    assert!(outcome.removes("authorization"));
}

#[test]
fn a_missing_claim_leaves_its_header_out() {
    let claims = claims_with(json!({"email": null, "roles": null, "sid": null, "email_verified": null}));
    let outcome = get(&mut gate(), "/users/u-1", &token(&claims));
    let names: Vec<_> = outcome.mutation().set().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, ["x-user-id", "x-user-permissions", "x-auth-provider"]);
}

#[test]
fn rules_decide_who_may() {
    let admin = token(&claims_with(json!({"sub": "boss", "roles": ["admin"]})));
    let user = token(&claims());
    let merchant = token(&claims_with(json!({"roles": ["merchant"], "permissions": []})));
    let denied = Some(Reason::RuleDenied);
    for (token, path, want) in [
        (&user, "/users/u-1", None),
        (&user, "/users/u-1/", None),
        (&user, "/users/%75-1", None),
        (&user, "/users/u-2", denied),
        (&user, "/users/U-1", denied),
        (&user, "/users", denied),
        (&admin, "/users", None),
        (&admin, "/users/u-1", None),
        (&user, "/inventory/a/b", None),
        (&user, "/orders/7", None),
        (&merchant, "/orders/7", denied),
        (&user, "/users/u-1/more", Some(Reason::NoRule)),
        (&user, "/auth/validate", Some(Reason::NoRule)),
        (&user, "/", Some(Reason::NoRule)),
    ] {
        assert_eq!(get(&mut gate(), path, token).reason(), want, "{path}");
    }
    let post = |token: &str| {
        let bearer = format!("Bearer {token}");
        send(&mut gate(), &clock(), "POST", "/inventory/a", &[("authorization", &bearer)]).reason()
    };
    assert_eq!(post(&user), denied);
    assert_eq!(post(&merchant), None);
}

#[test]
fn without_a_token_only_public_and_optional_pass() {
    let mut gate = gate();
    let mut anonymous = |path: &str| send(&mut gate, &clock(), "GET", path, &[("x-user-id", "root")]);
    for path in ["/auth/login", "/auth", "/feed"] {
        let outcome = anonymous(path);
        assert!(outcome.removes("x-user-id"), "{path}");
        assert_eq!(outcome.mutation().set().count(), 0, "{path}");
    }
    for path in ["/users/u-1", "/auth/me", "/inventory", "/orders/1"] {
        assert_eq!(anonymous(path).reason(), Some(Reason::MissingCredential), "{path}");
    }
}

#[test]
fn a_token_is_left_where_nobody_asks_and_must_be_good_where_it_is_optional() {
    let bad = [("authorization", "Bearer not.a.token")];
    let outcome = send(&mut gate(), &clock(), "GET", "/auth/login", &bad);
    assert!(!outcome.removes("authorization"));
    assert_eq!(send(&mut gate(), &clock(), "GET", "/feed", &bad).reason(), Some(Reason::MalformedToken));
    let outcome = get(&mut gate(), "/feed", &token(&claims()));
    assert_eq!(outcome.header("x-user-id").as_deref(), Some("u-1"));
    assert!(outcome.removes("authorization"));
}

#[test]
fn forward_token_leaves_the_credential() {
    let outcome = get(&mut gate(), "/auth/me", &token(&claims()));
    assert!(!outcome.removes("authorization"));
    assert!(outcome.header("x-user-id").is_some());
}

#[test]
fn every_algorithm_verifies_and_only_with_its_own_key() {
    let custom = |value: Value| {
        let claims: serde_json::Map<_, _> = value.as_object().unwrap().clone();
        let standard = ["iss", "sub", "aud", "iat", "exp", "jti"];
        let extra: serde_json::Map<_, _> =
            claims.into_iter().filter(|(k, _)| !standard.contains(&k.as_str())).collect();
        let mut c = Claims::with_custom_claims(extra, Duration::from_secs(600))
            .with_issuer(support::ISSUER)
            .with_subject("u-1")
            .with_audience("api");
        c.issued_at = Some(UnixTimeStamp::from_secs(support::NOW));
        c.expires_at = Some(UnixTimeStamp::from_secs(support::NOW + 600));
        c.invalid_before = None;
        c
    };
    let options = HeaderOptions { signature_type: Some("at+jwt".into()), content_type: None };
    let tokens = [
        support::ES256.sign_with_options(custom(claims()), &options).unwrap(),
        support::RS256.sign_with_options(custom(claims()), &options).unwrap(),
        support::ED25519.sign_with_options(custom(claims()), &options).unwrap(),
        support::ES384.sign_with_options(custom(claims()), &options).unwrap(),
    ];
    for token in &tokens {
        assert_eq!(get(&mut gate(), "/users/u-1", token).reason(), None);
        let mut cut = token.clone();
        let last = cut.pop().unwrap();
        cut.push(if last == 'A' { 'E' } else { 'A' });
        assert!(get(&mut gate(), "/users/u-1", &cut).reason().is_some());
    }
    let mut config = config();
    config["providers"][0]["algorithms"] = json!(["ES256"]);
    let es256 = support::ES256.public_key().to_jwk();
    config["providers"][0]["keys"] = json!({"inline": format!(r#"{{"keys":[{es256}]}}"#)});
    let mut only_es256 = gate_of(config);
    assert_eq!(get(&mut only_es256, "/users/u-1", &tokens[0]).reason(), None);
    for token in &tokens[1..] {
        assert_eq!(get(&mut only_es256, "/users/u-1", token).reason(), Some(Reason::BadSignature));
    }
}

#[test]
fn shared_secrets_rotate_and_ignore_kid() {
    let mut config = config();
    config["providers"][0]["algorithms"] = json!(["HS256"]);
    config["providers"][0]["keys"] = json!({"secret_env": ["SECRET", "SECRET_OLD"]});
    let mut gate = gate_of(config);
    let sign = |secret: &str| {
        let header = r#"{"alg":"HS256","typ":"at+jwt","kid":"whatever"}"#;
        support::assemble(header, &claims().to_string(), |input| {
            HMAC_SHA256(input.as_bytes(), secret.as_bytes())
        })
    };
    assert_eq!(get(&mut gate, "/users/u-1", &sign("0123456789abcdef0123456789abcdef")).reason(), None);
    assert_eq!(get(&mut gate, "/users/u-1", &sign("fedcba9876543210fedcba9876543210")).reason(), None);
    let wrong = sign("another secret of quite some size.");
    assert_eq!(get(&mut gate, "/users/u-1", &wrong).reason(), Some(Reason::BadSignature));
}

#[expect(non_snake_case, reason = "named as in RFC 7518")]
fn HMAC_SHA256(text: &[u8], secret: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    let header = r#"{"alg":"HS256","kid":"r1","typ":"at+jwt"}"#;
    let pem = support::RS256.public_key().to_pem().unwrap();
    let der = support::RS256.public_key().to_der().unwrap();
    for secret in [pem.as_bytes(), &der] {
        let forged =
            support::assemble(header, &claims().to_string(), |input| HMAC_SHA256(input.as_bytes(), secret));
        assert_eq!(get(&mut gate(), "/users/u-1", &forged).reason(), Some(Reason::BadSignature));
    }
}

#[test]
fn keys_that_are_on_their_way_hold_the_request() {
    let mut config = config();
    config["providers"][0]["keys"] =
        json!({"remote": {"cluster": "issuer", "path": "/.well-known/jwks.json", "authority": "issuer"}});
    let mut gate = gate_of(config);
    let token = token(&claims());
    let outcome = get(&mut gate, "/users/u-1", &token);
    let Decision::Hold(Need::Keys(0)) = outcome.decision else { panic!("{:?}", outcome.decision) };

    let bearer = format!("Bearer {token}");
    let head = RequestHead::from_pairs([
        (&b":method"[..], &b"GET"[..]),
        (b":path", b"/users/u-1"),
        (b"authorization", bearer.as_bytes()),
    ]);
    assert_eq!(gate.take_lookups(), Lookups::default(), "counted when it is decided");
    let waited = gate.decide(&head, &clock(), Waiting::Over);
    assert_eq!(gate.take_lookups(), Lookups { hits: 0, misses: 1 });
    assert!(matches!(waited, Decision::Refuse(refusal) if refusal.reason == Reason::KeysUnavailable));

    gate.install(0, Some(support::key_set(&support::jwks())));
    assert_eq!(get(&mut gate, "/users/u-1", &token).reason(), None);
    let other = ES256KeyPair::generate().with_key_id("k2").public_key().to_jwk();
    gate.install(0, Some(support::key_set(&format!(r#"{{"keys":[{other}]}}"#))));
    let outcome = get(&mut gate, "/users/u-1", &token);
    assert!(matches!(outcome.decision, Decision::Hold(Need::Keys(0))), "a cached token goes with its key");
    gate.install(0, None::<KeySet>);
    assert!(matches!(get(&mut gate, "/users/u-1", &token).decision, Decision::Hold(_)));
}

#[test]
fn a_warm_token_still_ends() {
    let mut gate = gate();
    let clock = clock();
    let bearer = format!("Bearer {}", token(&claims()));
    let mut call = || send(&mut gate, &clock, "GET", "/users/u-1", &[("authorization", &bearer)]).reason();
    assert_eq!((call(), call()), (None, None));
    clock.0.set(support::NOW + 629);
    assert_eq!(call(), None, "within the skew");
    clock.0.set(support::NOW + 630);
    assert_eq!(call(), Some(Reason::Expired));
}

#[test]
fn the_cache_stays_within_its_bounds_and_can_be_off() {
    for (entries, bytes) in [(0, 1_000_000), (3, 1_000_000), (1_000, 3_000), (1_000, 0)] {
        let mut config = config();
        config["cache"] = json!({"entries": entries, "bytes": bytes});
        let mut gate = gate_of(config);
        for user in 0..20 {
            let id = format!("u-{user}");
            let token = token(&claims_with(json!({"sub": id, "exp": support::NOW + 100 + user})));
            for _ in 0..2 {
                let outcome = get(&mut gate, &format!("/users/{id}"), &token);
                assert_eq!(outcome.header("x-user-id"), Some(id.clone()));
            }
        }
    }
}

#[test]
fn foreign_providers_are_read_where_they_keep_things() {
    let mut config = config();
    config["providers"][0]["token_type"] = json!("JWT");
    config["providers"][0]["claims"] = json!({
        "user_id": "user.id",
        "roles": ["roles", ["realm_access", "roles"], ["https://example.test/roles"]],
        "permissions": "scope",
        "tenant": "org",
    });
    config["headers"] =
        json!({"x-user-id": "user_id", "x-roles": "roles", "x-scope": "permissions", "x-tenant": "tenant"});
    let mut gate = gate_of(config);
    let header = r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#;
    let mut call = |changes: Value| {
        let claims = claims_with(changes).to_string();
        get(&mut gate, "/inventory", &support::assemble(header, &claims, support::es256))
    };
    let keycloak = call(
        json!({"roles": null, "user": {"id": 42}, "realm_access": {"roles": ["a,b", "c"]}, "scope": "x y", "org": true}),
    );
    let set: Vec<_> = keycloak.mutation().set().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(set, ["x-roles=a%2Cb,c", "x-scope=x,y", "x-tenant=true", "x-user-id=42"]);
    let auth0 = call(
        json!({"roles": null, "user": {"id": "auth0|1"}, "https://example.test/roles": ["d"], "permissions": null}),
    );
    assert_eq!(auth0.header("x-roles").as_deref(), Some("d"));
    assert_eq!(call(json!({"user": {}})).reason(), Some(Reason::BadClaims));
}

#[test]
fn two_providers_do_not_vouch_for_each_others_users() {
    let mut config = config();
    let other = json!({
        "name": "partner", "issuer": "https://partner.example.test", "audiences": ["api"], "keys": {"inline": support::jwks()},
        "algorithms": ["ES256", "RS256", "EdDSA", "ES384"],
    });
    config["providers"].as_array_mut().unwrap().push(other);
    config["rules"] = json!([
        {"path": "/ours", "allow": {"role": "admin"}, "providers": ["doorward"]},
        {"path": "/both", "allow": "authenticated"},
        {"path": "/theirs", "allow": {"provider": "partner"}},
    ]);
    let mut gate = gate_of(config);
    let admin = |issuer: &str| token(&claims_with(json!({"iss": issuer, "roles": ["admin"]})));
    let (ours, theirs) = (admin(support::ISSUER), admin("https://partner.example.test"));
    assert_eq!(get(&mut gate, "/ours", &ours).reason(), None);
    assert_eq!(get(&mut gate, "/ours", &theirs).reason(), Some(Reason::RuleDenied));
    assert_eq!(get(&mut gate, "/theirs", &ours).reason(), Some(Reason::RuleDenied));
    assert_eq!(get(&mut gate, "/both", &theirs).header("x-auth-provider").as_deref(), Some("partner"));
    let stranger = admin("https://evil.test");
    assert_eq!(get(&mut gate, "/both", &stranger).reason(), Some(Reason::UnknownProvider));
}

#[test]
fn a_preflight_passes_stripped_if_it_may() {
    let preflight = [
        ("origin", "https://app.example.test"),
        ("access-control-request-method", "PUT"),
        ("x-user-id", "root"),
    ];
    assert_eq!(
        send(&mut gate(), &clock(), "OPTIONS", "/users/u-1", &preflight).reason(),
        Some(Reason::MissingCredential)
    );
    let mut config = config();
    config["cors_preflight"] = json!("allow");
    let mut gate = gate_of(config);
    assert!(send(&mut gate, &clock(), "OPTIONS", "/users/u-1", &preflight).removes("x-user-id"));
    assert!(send(&mut gate, &clock(), "OPTIONS", "/users/u-1", &preflight[..1]).reason().is_some());
    assert!(send(&mut gate, &clock(), "GET", "/users/u-1", &preflight).reason().is_some());
}

#[test]
fn shadow_mode_lets_through_stripped_and_without_an_identity() {
    let mut config = config();
    config["mode"] = json!("shadow");
    let gate = gate_of(config);
    let head =
        RequestHead::from_pairs([(&b":method"[..], &b"GET"[..]), (b":path", b"//"), (b"x_user_id", b"root")]);
    let mutation = gate.shadow(&head).unwrap();
    assert!(mutation.remove().eq(["x_user_id"]));
    assert_eq!(mutation.set().count(), 0);
    assert!(support::gate().shadow(&head).is_none());
}
