//! Keys of every kind, for tokens of any shape. RSA keys are made by one library and used by another, because the one
//! that signs cannot make them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jwt_simple::prelude::RS256KeyPair;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use crate::support::own_key::signing_input;

/// A key pair of one algorithm.
pub(crate) struct Signer {
    pub(crate) algorithm: &'static str,
    pub(crate) kid: String,
    /// The public key as an attacker finds it: PEM for RSA, the bare point otherwise.
    pub(crate) public: Vec<u8>,
    jwk: Value,
    pair: Pair,
    random: SystemRandom,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<RsaKeyPair>),
}

impl Signer {
    pub(crate) fn es256(kid: &str) -> Self {
        Self::ecdsa(kid, "ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn es384(kid: &str) -> Self {
        Self::ecdsa(kid, "ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    pub(crate) fn ed25519(kid: &str) -> Self {
        let random = SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid,
            "x": URL_SAFE_NO_PAD.encode(&public),
        });
        let pair = Pair::Ed25519(Box::new(pair));
        Self { algorithm: "EdDSA", kid: kid.to_owned(), public, jwk, pair, random }
    }

    pub(crate) fn rs256(kid: &str) -> Self {
        let made = RS256KeyPair::generate(2048).unwrap();
        let mut jwk: Value = serde_json::from_str(&made.public_key().to_jwk()).unwrap();
        jwk["alg"] = json!("RS256");
        jwk["kid"] = json!(kid);
        let pem = made.to_pem().unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap();
        let public = made.public_key().to_pem().unwrap().into_bytes();
        let pair = Pair::Rsa(Box::new(pair));
        Self { algorithm: "RS256", kid: kid.to_owned(), public, jwk, pair, random: SystemRandom::new() }
    }

    fn ecdsa(kid: &str, algorithm: &'static str, curve: &str, ring: &'static EcdsaSigningAlgorithm) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(ring, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(ring, document.as_ref(), &random).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let (x, y) = public[1..].split_at(public.len() / 2);
        let jwk = json!({
            "kty": "EC", "crv": curve, "use": "sig", "alg": algorithm, "kid": kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        Self { algorithm, kid: kid.to_owned(), public, jwk, pair: Pair::Ecdsa(Box::new(pair)), random }
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// The header that an issuer would write.
    pub(crate) fn header(&self) -> Value {
        json!({ "alg": self.algorithm, "typ": "at+jwt", "kid": self.kid })
    }

    /// A token with the usual header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign_text(&self.header().to_string(), &claims.to_string())
    }

    /// A token of any two texts.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let input = signing_input(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.signature(input.as_bytes()));
        format!("{input}.{signature}")
    }

    /// A signature over any bytes.
    pub(crate) fn signature(&self, input: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&self.random, input).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(input).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, input, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// A JWKS of these signers' public keys.
pub(crate) fn jwks(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string()
}
