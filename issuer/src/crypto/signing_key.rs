use jwt_simple::prelude::{
    ECDSAP256KeyPairLike, ECDSAP256PublicKeyLike, ES256KeyPair, ES256PublicKey, Ed25519KeyPair,
    Ed25519PublicKey, EdDSAKeyPairLike, EdDSAPublicKeyLike, HS256Key, HeaderOptions, JWTClaims, MACLike,
    RS256KeyPair, RS256PublicKey, RSAKeyPairLike, RSAPublicKeyLike, VerificationOptions,
};
use jwt_simple::{Error, JWTError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::domain::keys::SigningAlgorithm;

/// A key that signs and verifies access tokens. It owns its algorithm: no token can choose another.
pub(super) struct SigningKey {
    /// RFC 7638: the key's name for everybody who has its public half. A shared secret has none.
    id: Option<String>,
    pair: Pair,
}

enum Pair {
    Es256(ES256KeyPair, ES256PublicKey),
    Rs256(Box<RS256KeyPair>, RS256PublicKey),
    EdDsa(Ed25519KeyPair, Ed25519PublicKey),
    Hs256(HS256Key),
}

const RSA_BITS: usize = 2048;

impl SigningKey {
    /// A new key.
    pub(super) fn generate(algorithm: SigningAlgorithm) -> Option<Self> {
        Some(match algorithm {
            SigningAlgorithm::Es256 => Self::es256(ES256KeyPair::generate()),
            SigningAlgorithm::Rs256 => Self::rs256(RS256KeyPair::generate(RSA_BITS).ok()?),
            SigningAlgorithm::EdDsa => Self::ed_dsa(Ed25519KeyPair::generate()),
        })
    }

    /// The key that [`to_secret`](Self::to_secret) wrote down.
    pub(super) fn from_secret(algorithm: SigningAlgorithm, secret: &[u8]) -> Option<Self> {
        let jwk = std::str::from_utf8(secret).ok()?;
        Some(match algorithm {
            SigningAlgorithm::Es256 => Self::es256(ES256KeyPair::from_jwk(jwk).ok()?),
            SigningAlgorithm::Rs256 => Self::rs256(RS256KeyPair::from_jwk(jwk).ok()?),
            SigningAlgorithm::EdDsa => Self::ed_dsa(Ed25519KeyPair::from_jwk(jwk).ok()?),
        })
    }

    /// A secret that both sides know.
    pub(super) fn shared(secret: &[u8]) -> Self {
        Self { id: None, pair: Pair::Hs256(HS256Key::from_bytes(secret)) }
    }

    /// The whole key, as a private JWK.
    pub(super) fn to_secret(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match &self.pair {
            Pair::Es256(pair, _) => pair.to_jwk().into_bytes(),
            Pair::Rs256(pair, _) => pair.to_jwk().into_bytes(),
            Pair::EdDsa(pair, _) => pair.to_jwk().into_bytes(),
            Pair::Hs256(key) => key.to_bytes(),
        })
    }

    /// The public half as a JWK; a shared secret has none.
    pub(super) fn public_jwk(&self) -> Option<String> {
        match &self.pair {
            Pair::Es256(_, public) => Some(public.to_jwk()),
            Pair::Rs256(_, public) => Some(public.to_jwk()),
            Pair::EdDsa(_, public) => Some(public.to_jwk()),
            Pair::Hs256(_) => None,
        }
    }

    /// The key's name, unless it is a shared secret.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Signs, with the key's id in the header.
    pub(super) fn sign<C: Serialize>(
        &self,
        claims: JWTClaims<C>,
        header: &HeaderOptions,
    ) -> Result<String, Error> {
        match &self.pair {
            Pair::Es256(pair, _) => pair.sign_with_options(claims, header),
            Pair::Rs256(pair, _) => pair.sign_with_options(claims, header),
            Pair::EdDsa(pair, _) => pair.sign_with_options(claims, header),
            Pair::Hs256(key) => key.authenticate_with_options(claims, header),
        }
    }

    /// Checks the signature first, then what `options` asks for.
    pub(super) fn verify<C: DeserializeOwned>(
        &self,
        token: &str,
        options: VerificationOptions,
    ) -> Result<JWTClaims<C>, Option<JWTError>> {
        let options = Some(options);
        match &self.pair {
            Pair::Es256(_, public) => public.verify_token(token, options),
            Pair::Rs256(_, public) => public.verify_token(token, options),
            Pair::EdDsa(_, public) => public.verify_token(token, options),
            Pair::Hs256(key) => key.verify_token(token, options),
        }
        .map_err(|error| error.downcast().ok())
    }

    fn es256(pair: ES256KeyPair) -> Self {
        let id = pair.jwk_thumbprint();
        let pair = pair.with_key_id(&id);
        let public = pair.public_key();
        Self { id: Some(id), pair: Pair::Es256(pair, public) }
    }

    fn rs256(pair: RS256KeyPair) -> Self {
        let id = pair.jwk_thumbprint();
        let pair = pair.with_key_id(&id);
        let public = pair.public_key();
        Self { id: Some(id), pair: Pair::Rs256(Box::new(pair), public) }
    }

    fn ed_dsa(pair: Ed25519KeyPair) -> Self {
        let id = pair.jwk_thumbprint();
        let pair = pair.with_key_id(&id);
        let public = pair.public_key();
        Self { id: Some(id), pair: Pair::EdDsa(pair, public) }
    }
}
