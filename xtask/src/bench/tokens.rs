use std::collections::HashSet;
use std::num::NonZero;
use std::thread;

use clap::ValueEnum;
use doorward_tests::random;
use jwt_simple::prelude::{
    Claims, Duration, ECDSAP256KeyPairLike as _, ES256KeyPair, Ed25519KeyPair, EdDSAKeyPairLike as _,
    HS256Key, HeaderOptions, JWTClaims, MACLike as _, RS256KeyPair, RSAKeyPairLike as _,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::Error;

pub(super) const ISSUER: &str = "https://auth.example.test";
pub(super) const AUDIENCE: &str = "api";
pub(super) const ROLE: &str = "user";

/// Long enough for the longest measurement, and within the plugin's default `max_lifetime`.
const LIFETIME: Duration = Duration::from_mins(58);

/// How the tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    Hs256,
    Rs256,
    Es256,
    Eddsa,
}

impl Algorithm {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Eddsa => "EdDSA",
        }
    }
}

/// What the issuer's access tokens say beside the registered claims.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Profile {
    client_id: &'static str,
    sid: String,
    epoch: u64,
    email: String,
    email_verified: bool,
    pub(super) roles: Vec<&'static str>,
    permissions: Vec<&'static str>,
}

/// The claims of a good token for the user of this number.
pub(super) fn claims(user: usize) -> JWTClaims<Profile> {
    let profile = Profile {
        client_id: "first-party",
        sid: format!("3b0c7f3e-52a1-4c8e-9d0f-{user:012x}"),
        epoch: 3,
        email: format!("user-{user}@example.test"),
        email_verified: true,
        roles: vec![ROLE, "merchant"],
        permissions: vec!["orders:read", "orders:write"],
    };
    let mut claims = Claims::with_custom_claims(profile, LIFETIME)
        .with_issuer(ISSUER)
        .with_audiences(HashSet::from([AUDIENCE]))
        .with_subject(format!("7d1f3c52-8c1b-4e39-a4c5-{user:012x}"))
        .with_jwt_id(random::name());
    claims.invalid_before = None;
    claims
}

/// A key that lives as long as the measurement.
pub(super) struct Signer {
    pub(super) algorithm: Algorithm,
    key: Key,
}

enum Key {
    Hs256 { key: HS256Key, secret: String },
    Rs256(Box<RS256KeyPair>),
    Es256(ES256KeyPair),
    Eddsa(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn new(algorithm: Algorithm) -> Result<Self, Error> {
        let key = match algorithm {
            Algorithm::Hs256 => {
                let secret = random::master_key();
                Key::Hs256 { key: HS256Key::from_bytes(secret.as_bytes()), secret }
            }
            Algorithm::Rs256 => {
                let pair = RS256KeyPair::generate(2048).map_err(failed(algorithm))?;
                Key::Rs256(Box::new(pair.with_key_id("bench")))
            }
            Algorithm::Es256 => Key::Es256(ES256KeyPair::generate().with_key_id("bench")),
            Algorithm::Eddsa => Key::Eddsa(Ed25519KeyPair::generate().with_key_id("bench")),
        };
        Ok(Self { algorithm, key })
    }

    /// The shared secret, as the plugin is handed it.
    pub(super) fn secret(&self) -> Option<&str> {
        match &self.key {
            Key::Hs256 { secret, .. } => Some(secret),
            _ => None,
        }
    }

    /// The keys that verify its tokens.
    pub(super) fn jwks(&self) -> Result<String, Error> {
        let key = match &self.key {
            Key::Hs256 { secret, .. } => {
                Ok(json!({"kty": "oct", "alg": "HS256", "k": base64_url(secret.as_bytes())}))
            }
            Key::Rs256(pair) => serde_json::from_str(&pair.public_key().to_jwk()),
            Key::Es256(pair) => serde_json::from_str(&pair.public_key().to_jwk()),
            Key::Eddsa(pair) => serde_json::from_str::<Value>(&pair.public_key().to_jwk()),
        };
        let key = key.map_err(|why| Error::Unreadable(format!("a public key: {why}")))?;
        Ok(json!({"keys": [key]}).to_string())
    }

    pub(super) fn sign(&self, claims: JWTClaims<Profile>) -> Result<String, Error> {
        let options = HeaderOptions { signature_type: Some("at+jwt".to_owned()), ..HeaderOptions::default() };
        let signed = match &self.key {
            Key::Hs256 { key, .. } => key.authenticate_with_options(claims, &options),
            Key::Rs256(pair) => pair.sign_with_options(claims, &options),
            Key::Es256(pair) => pair.sign_with_options(claims, &options),
            Key::Eddsa(pair) => pair.sign_with_options(claims, &options),
        };
        signed.map_err(failed(self.algorithm))
    }

    /// So many good tokens, no two alike, made by all processors.
    pub(super) fn tokens(&self, count: usize) -> Result<Vec<String>, Error> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            let sign_every =
                |first| move || (first..count).step_by(threads).map(|user| self.sign(claims(user))).collect();
            let parts: Vec<_> = (0..threads).map(|first| scope.spawn(sign_every(first))).collect();
            let parts: Result<Vec<Vec<String>>, Error> = parts.into_iter().map(joined).collect();
            Ok(parts?.concat())
        })
    }
}

/// The result of a thread; its panic is ours.
pub(super) fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn failed(algorithm: Algorithm) -> impl FnOnce(jwt_simple::Error) -> Error {
    move |why| Error::Tokens { algorithm: algorithm.name(), reason: why.to_string() }
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
