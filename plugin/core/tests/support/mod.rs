//! A gate with keys of its own, and tokens of every kind for it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_gate::keys::KeySet;
use doorward_gate::policy::{Config, ConfigError, HeaderMutation, Policy};
use doorward_gate::{Decision, Gate, Host, Reason, RequestHead, SignatureCheck, UnixTime, Waiting};
use jwt_simple::prelude::*;
use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::LazyLock;
use std::time::Duration as StdDuration;

/// Now, in all these tests.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://auth.example.test";

/// A host without native crypto, whose clock can be turned.
pub(crate) struct Clock(pub(crate) Cell<u64>);

impl Host for Clock {
    fn now(&self) -> UnixTime {
        StdDuration::from_secs(self.0.get())
    }

    fn recently(&self) -> Option<UnixTime> {
        Some(StdDuration::from_secs(self.0.get() - 1))
    }

    fn verify_signature(&self, _: &SignatureCheck<'_>) -> Option<bool> {
        None
    }
}

pub(crate) fn clock() -> Clock {
    Clock(Cell::new(NOW))
}

pub(crate) static ES256: LazyLock<ES256KeyPair> =
    LazyLock::new(|| ES256KeyPair::generate().with_key_id("k1"));
pub(crate) static RS256: LazyLock<RS256KeyPair> =
    LazyLock::new(|| RS256KeyPair::generate(2048).unwrap().with_key_id("r1"));
pub(crate) static ED25519: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::generate().with_key_id("e1"));
pub(crate) static ES384: LazyLock<ES384KeyPair> =
    LazyLock::new(|| ES384KeyPair::generate().with_key_id("p1"));

/// The public keys of all the pairs above.
pub(crate) fn jwks() -> String {
    let keys = [
        ES256.public_key().to_jwk(),
        RS256.public_key().to_jwk(),
        ED25519.public_key().to_jwk(),
        ES384.public_key().to_jwk(),
    ];
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

pub(crate) fn provider() -> Value {
    json!({
        "name": "doorward", "issuer": ISSUER, "audiences": ["api"],
        "algorithms": ["ES256", "RS256", "EdDSA", "ES384"], "keys": {"inline": jwks()},
    })
}

/// The rules of the design's example.
pub(crate) fn rules() -> Value {
    json!([
        {"path": "/auth/validate", "allow": "deny"},
        {"path": "/auth/me", "allow": "authenticated", "forward_token": true},
        {"path": "/auth/**", "allow": "public"},
        {"path": "/users", "allow": {"role": "admin"}},
        {"path": "/users/{id}", "allow": {"any_of": [{"owner": "id"}, {"role": "admin"}]}},
        {"methods": ["GET"], "path": "/inventory/**", "allow": "authenticated"},
        {"path": "/inventory/**", "allow": {"any_of": [{"role": "admin"}, {"role": "merchant"}]}},
        {"path": "/orders/**", "allow": {"all_of": [{"permission": "orders:read"}, {"role": "user"}]}},
        {"path": "/feed", "allow": "optional"},
        {"path": "/**", "allow": "deny"},
    ])
}

pub(crate) fn config() -> Value {
    json!({"providers": [provider()], "rules": rules()})
}

pub(crate) fn compile(config: Value) -> Result<Policy, ConfigError> {
    let variables = |name: &str| match name {
        "SECRET" => Some("0123456789abcdef0123456789abcdef".to_owned()),
        "SECRET_OLD" => Some("fedcba9876543210fedcba9876543210".to_owned()),
        "TWO_LINES" => Some("one\r\ntwo".to_owned()),
        "SHORT" => Some("0123456789abcdef0123456789abcde".to_owned()),
        _ => None,
    };
    Policy::compile(Config::read(config)?, &variables)
}

pub(crate) fn gate_of(config: Value) -> Gate {
    Gate::new(compile(config).unwrap(), 1)
}

pub(crate) fn gate() -> Gate {
    gate_of(config())
}

pub(crate) fn key_set(document: &str) -> KeySet {
    KeySet::from_jwks(document.as_bytes(), &doorward_gate::keys::Algorithm::ALL).unwrap()
}

/// The claims of an ordinary user.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "u-1", "aud": ["api"], "client_id": "first-party",
        "iat": NOW - 10, "exp": NOW + 600, "jti": "j-1", "sid": "s-1", "epoch": 0,
        "email": "ada@example.test", "email_verified": false, "roles": ["user"], "permissions": ["orders:read"],
    })
}

/// The claims above with some replaced; `null` takes one away.
pub(crate) fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// The signing input for a header and claims, signed by whoever is asked.
pub(crate) fn assemble(header: &str, claims: &str, sign: impl FnOnce(&str) -> Vec<u8>) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(&input));
    format!("{input}.{signature}")
}

/// A raw ES256 signature of `k1` over any text, well-formed or not.
pub(crate) fn es256(input: &str) -> Vec<u8> {
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer;
    let key = SigningKey::from_slice(&ES256.to_bytes()).unwrap();
    let signature: p256::ecdsa::Signature = key.sign(input.as_bytes());
    signature.to_bytes().to_vec()
}

/// A token as the issuer would make it.
pub(crate) fn token(claims: &Value) -> String {
    assemble(r#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#, &claims.to_string(), es256)
}

/// A request, decided about.
pub(crate) struct Outcome {
    pub(crate) decision: Decision,
}

impl Outcome {
    pub(crate) fn reason(&self) -> Option<Reason> {
        match &self.decision {
            Decision::Refuse(refusal) => Some(refusal.reason),
            _ => None,
        }
    }

    pub(crate) fn mutation(&self) -> &HeaderMutation {
        match &self.decision {
            Decision::Forward(_, mutation) => mutation,
            other => panic!("not forwarded: {other:?}"),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.mutation().set().find(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
    }

    pub(crate) fn removes(&self, name: &str) -> bool {
        self.mutation().remove().any(|n| n == name)
    }
}

pub(crate) fn send(
    gate: &mut Gate,
    clock: &Clock,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Outcome {
    Outcome { decision: decide(gate, clock, method, path, headers, Waiting::Allowed) }
}

pub(crate) fn decide(
    gate: &mut Gate,
    clock: &Clock,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    waiting: Waiting,
) -> Decision {
    let pseudo = [(":method", method), (":path", path), (":authority", "gw.example.test")];
    let pairs = pseudo.iter().chain(headers).map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let head = RequestHead::from_pairs(pairs);
    gate.decide(&head, clock, waiting)
}

/// A GET with a bearer token.
pub(crate) fn get(gate: &mut Gate, path: &str, token: &str) -> Outcome {
    send(gate, &clock(), "GET", path, &[("authorization", &format!("Bearer {token}"))])
}
