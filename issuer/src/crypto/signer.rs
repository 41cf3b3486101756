use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use jwt_simple::JWTError;
use jwt_simple::prelude::{Duration as Seconds, HeaderOptions, JWTClaims, Token, VerificationOptions};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keeper::RingKeeper;
use super::ring::KeyRing;
use super::signing_key::SigningKey;
use crate::domain::email::Email;
use crate::domain::keys::SigningAlgorithm;
use crate::domain::ports::{AccessTokens, Jwks, SignError};
use crate::domain::role::{Permission, RoleName};
use crate::domain::token::{AccessClaims, TokenRefusal};
use crate::domain::username::Username;

/// Signs access tokens with the active key, and knows the tokens of every key that is trusted.
pub struct Signer {
    keys: SignerKeys,
    settings: SignerSettings,
}

enum SignerKeys {
    /// Whatever the ring has just then.
    Ring(Arc<RingKeeper>),
    /// The first signs, all verify.
    Shared(Vec<Arc<SigningKey>>),
}

/// What all tokens of this issuer have in common.
#[derive(Clone, Debug)]
pub struct SignerSettings {
    /// `iss`
    pub issuer: String,
    /// `aud`
    pub audiences: Vec<String>,
    /// `client_id`
    pub client_id: String,
}

/// How tokens are signed.
pub enum Signing {
    /// With a key of the ring, whose public half is published.
    Ring(SigningAlgorithm),
    /// HS256 with a secret that every verifier knows too: 32 bytes at least.
    Shared {
        /// Signs and verifies.
        secret: Zeroizing<Vec<u8>>,
        /// What signed before, and still verifies.
        old: Option<Zeroizing<Vec<u8>>>,
    },
}

/// Bytes that a shared secret has at least: as many as the digest it keys (RFC 7518, 3.2).
pub const MIN_SHARED_SECRET: usize = 32;

impl Signing {
    /// The kind of signing key that the ring has to hold for it.
    #[must_use]
    pub fn ring_algorithm(&self) -> Option<SigningAlgorithm> {
        match self {
            Self::Ring(algorithm) => Some(*algorithm),
            Self::Shared { .. } => None,
        }
    }
}

/// A short secret can be guessed offline from any token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token.secret and token.old_secret must have {MIN_SHARED_SECRET} bytes at least")]
pub struct ShortSecret;

impl Signer {
    /// A signer for the keys that `ring` has at any time, or for a shared secret.
    ///
    /// # Errors
    /// When a shared secret is too short.
    pub fn new(
        ring: Arc<RingKeeper>,
        signing: &Signing,
        settings: SignerSettings,
    ) -> Result<Self, ShortSecret> {
        let keys = match signing {
            Signing::Ring(_) => SignerKeys::Ring(ring),
            Signing::Shared { secret, old } => {
                let secrets = std::iter::once(secret).chain(old);
                SignerKeys::Shared(secrets.map(|secret| shared_key(secret)).collect::<Result<_, _>>()?)
            }
        };
        Ok(Self { keys, settings })
    }

    fn active(&self) -> Option<Arc<SigningKey>> {
        match &self.keys {
            SignerKeys::Ring(ring) => ring.current().signing().map(|line| Arc::clone(&line.active)),
            SignerKeys::Shared(secrets) => secrets.first().cloned(),
        }
    }

    /// The keys that may have signed a token that names `key`.
    async fn verification_keys(&self, key: Option<&str>) -> Vec<Arc<SigningKey>> {
        match &self.keys {
            SignerKeys::Ring(keeper) => {
                let ring = keeper.current();
                if let Some(found) = named(&ring, key) {
                    return vec![found];
                }
                // Another replica may have made it a moment ago.
                let ring = keeper.look_again(&ring).await;
                ring.and_then(|ring| named(&ring, key)).into_iter().collect()
            }
            // A shared secret has no name, and is tried whatever the token says.
            SignerKeys::Shared(secrets) => secrets.clone(),
        }
    }

    fn options(&self, now: Timestamp) -> VerificationOptions {
        VerificationOptions {
            required_signature_type: Some(TOKEN_TYPE.to_owned()),
            allowed_issuers: Some(HashSet::from([self.settings.issuer.clone()])),
            allowed_audiences: Some(self.settings.audiences.iter().cloned().collect()),
            artificial_time: Some(seconds(now)),
            time_tolerance: Some(Seconds::from_secs(0)),
            max_token_length: Some(MAX_TOKEN_BYTES),
            // Replicas' clocks differ a little, and our own signature says that this one is ours.
            accept_future: true,
            ..VerificationOptions::default()
        }
    }
}

#[async_trait]
impl AccessTokens for Signer {
    fn sign(&self, claims: &AccessClaims) -> Result<String, SignError> {
        let header = HeaderOptions { signature_type: Some(TOKEN_TYPE.to_owned()), content_type: None };
        let key = self.active().ok_or(SignError)?;
        key.sign(to_wire(claims, &self.settings), &header).map_err(|_| SignError)
    }

    async fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenRefusal> {
        let header = Token::decode_metadata(token).map_err(|_| TokenRefusal::Malformed)?;
        let mut verified = Err(TokenRefusal::UnknownKey);
        for key in self.verification_keys(header.key_id()).await {
            verified = key.verify(token, self.options(now)).map_err(|e| refusal(e.as_ref()));
            if !matches!(verified, Err(TokenRefusal::BadSignature)) {
                break;
            }
        }
        let wire: JWTClaims<OwnClaims> = verified?;
        let claims = from_wire(wire).ok_or(TokenRefusal::BadClaims)?;
        // The library lets a token live through the second in which it expires; RFC 7519 does not.
        if now < claims.expires_at { Ok(claims) } else { Err(TokenRefusal::Expired) }
    }
}

impl Jwks for Signer {
    fn document(&self) -> Arc<str> {
        match &self.keys {
            SignerKeys::Ring(ring) => ring.current().jwks(),
            // Secrets are not published.
            SignerKeys::Shared(_) => r#"{"keys":[]}"#.into(),
        }
    }
}

const TOKEN_TYPE: &str = "at+jwt";
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The claims that are not registered ones; and `aud`, because the library would write it in the order of a hash.
#[derive(Serialize, Deserialize)]
struct OwnClaims {
    /// Reading it, the library takes it for its own, and checks it.
    #[serde(skip_deserializing)]
    aud: Vec<String>,
    client_id: String,
    sid: String,
    epoch: u64,
    email: String,
    email_verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    roles: Vec<String>,
    permissions: Vec<String>,
    auth_time: i64,
}

fn to_wire(claims: &AccessClaims, settings: &SignerSettings) -> JWTClaims<OwnClaims> {
    JWTClaims {
        issuer: Some(settings.issuer.clone()),
        subject: Some(claims.subject.to_string()),
        // Among the claims below; here too it would be in the token twice.
        audiences: None,
        issued_at: Some(seconds(claims.issued_at)),
        expires_at: Some(seconds(claims.expires_at)),
        invalid_before: None,
        jwt_id: Some(claims.id.to_string()),
        nonce: None,
        custom: OwnClaims {
            aud: settings.audiences.clone(),
            client_id: settings.client_id.clone(),
            sid: claims.session.to_string(),
            epoch: claims.epoch,
            email: claims.email.as_str().to_owned(),
            email_verified: claims.email_verified,
            username: claims.username.as_ref().map(ToString::to_string),
            roles: claims.roles.iter().map(ToString::to_string).collect(),
            permissions: claims.permissions.iter().map(ToString::to_string).collect(),
            auth_time: claims.authenticated_at.as_second(),
        },
    }
}

/// `None` when a claim is not as [`to_wire`] writes it.
fn from_wire(wire: JWTClaims<OwnClaims>) -> Option<AccessClaims> {
    let own = wire.custom;
    Some(AccessClaims {
        id: wire.jwt_id?.parse().ok()?,
        subject: wire.subject?.parse().ok()?,
        session: own.sid.parse().ok()?,
        epoch: own.epoch,
        email: Email::parse(&own.email).ok()?,
        email_verified: own.email_verified,
        username: own.username.map(|name| Username::parse(&name)).transpose().ok()?,
        roles: own.roles.iter().map(|name| RoleName::parse(name)).collect::<Result<_, _>>().ok()?,
        permissions: own
            .permissions
            .iter()
            .map(|name| Permission::parse(name))
            .collect::<Result<_, _>>()
            .ok()?,
        authenticated_at: Timestamp::from_second(own.auth_time).ok()?,
        issued_at: timestamp(wire.issued_at?)?,
        expires_at: timestamp(wire.expires_at?)?,
    })
}

fn seconds(at: Timestamp) -> Seconds {
    Seconds::from_secs(u64::try_from(at.as_second()).unwrap_or(0))
}

fn timestamp(at: Seconds) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(at.as_secs()).ok()?).ok()
}

fn refusal(error: Option<&JWTError>) -> TokenRefusal {
    use JWTError::{
        AlgorithmMismatch, InvalidAuthenticationTag, InvalidSignature, RequiredAudienceMismatch,
        RequiredAudienceMissing, RequiredIssuerMismatch, RequiredIssuerMissing, TokenHasExpired,
    };
    match error {
        Some(InvalidSignature | InvalidAuthenticationTag | AlgorithmMismatch) => TokenRefusal::BadSignature,
        Some(TokenHasExpired) => TokenRefusal::Expired,
        Some(
            RequiredAudienceMismatch
            | RequiredAudienceMissing
            | RequiredIssuerMismatch
            | RequiredIssuerMissing,
        ) => TokenRefusal::BadClaims,
        _ => TokenRefusal::Malformed,
    }
}

fn named(ring: &KeyRing, id: Option<&str>) -> Option<Arc<SigningKey>> {
    ring.signing()?.trusted.iter().find(|key| key.id() == id).cloned()
}

fn shared_key(secret: &[u8]) -> Result<Arc<SigningKey>, ShortSecret> {
    if secret.len() < MIN_SHARED_SECRET {
        return Err(ShortSecret);
    }
    Ok(Arc::new(SigningKey::shared(secret)))
}

#[cfg(test)]
mod tests;
