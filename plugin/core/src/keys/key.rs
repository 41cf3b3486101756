//! A key that owns its algorithm, and what it says to a signature.

use jwt_simple::prelude::{
    ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, ES256PublicKey, ES384PublicKey, Ed25519PublicKey,
    EdDSAPublicKeyLike, NoCustomClaims, RS256PublicKey, RS384PublicKey, RS512PublicKey, RSAPublicKeyLike,
    UnixTimeStamp, VerificationOptions,
};

use super::Algorithm;
use crate::{Host, SignatureCheck};

/// The shortest shared secret that is accepted, in bytes (RFC 7518 section 3.2).
pub(crate) const MIN_SECRET: usize = 32;

/// One key that can verify with one algorithm.
pub struct Key {
    pub(crate) kid: Option<String>,
    material: Material,
    /// SubjectPublicKeyInfo in DER, for the host; empty for what the host cannot check.
    spki: Vec<u8>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

type Secret = Box<[u8]>;

enum Material {
    Hs256(Secret),
    Hs384(Secret),
    Hs512(Secret),
    Rs256(RS256PublicKey),
    Rs384(RS384PublicKey),
    Rs512(RS512PublicKey),
    Es256(ES256PublicKey),
    Es384(ES384PublicKey),
    EdDsa(Ed25519PublicKey),
}

impl Key {
    /// A public key from a JWK that is meant for `algorithm`. jwt-simple checks it strictly: type, curve and
    /// algorithm agree, the point is on the curve, RSA has 2048 to 4096 bits and exponent 65537, `use` and
    /// `key_ops` allow verifying, no private part is in it.
    pub(super) fn from_jwk(jwk: &str, kid: Option<String>, algorithm: Algorithm) -> Option<Self> {
        let (material, spki) = match algorithm {
            Algorithm::Rs256 => {
                let key = RS256PublicKey::from_jwk(jwk).ok()?;
                let der = key.to_der();
                (Material::Rs256(key), der)
            }
            Algorithm::Rs384 => {
                let key = RS384PublicKey::from_jwk(jwk).ok()?;
                let der = key.to_der();
                (Material::Rs384(key), der)
            }
            Algorithm::Rs512 => {
                let key = RS512PublicKey::from_jwk(jwk).ok()?;
                let der = key.to_der();
                (Material::Rs512(key), der)
            }
            Algorithm::Es256 => {
                let key = ES256PublicKey::from_jwk(jwk).ok()?;
                let der = key.to_der();
                (Material::Es256(key), der)
            }
            Algorithm::Es384 => {
                let key = ES384PublicKey::from_jwk(jwk).ok()?;
                let der = key.to_der();
                (Material::Es384(key), der)
            }
            Algorithm::EdDsa => (Material::EdDsa(Ed25519PublicKey::from_jwk(jwk).ok()?), Ok(Vec::new())),
            // A shared secret in a document that anybody can fetch is not a secret.
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return None,
        };
        Some(Self { kid, material, spki: spki.ok()? })
    }

    /// A shared secret; it has no name, since a token's `kid` says nothing about it. `None` if it is too short.
    pub(super) fn from_secret(secret: &[u8], algorithm: Algorithm) -> Option<Self> {
        let material = match algorithm {
            _ if secret.len() < MIN_SECRET => return None,
            Algorithm::Hs256 => Material::Hs256(secret.into()),
            Algorithm::Hs384 => Material::Hs384(secret.into()),
            Algorithm::Hs512 => Material::Hs512(secret.into()),
            _ => return None,
        };
        Some(Self { kid: None, material, spki: Vec::new() })
    }

    /// The one algorithm that this key verifies with.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Hs256(_) => Algorithm::Hs256,
            Material::Hs384(_) => Algorithm::Hs384,
            Material::Hs512(_) => Algorithm::Hs512,
            Material::Rs256(_) => Algorithm::Rs256,
            Material::Rs384(_) => Algorithm::Rs384,
            Material::Rs512(_) => Algorithm::Rs512,
            Material::Es256(_) => Algorithm::Es256,
            Material::Es384(_) => Algorithm::Es384,
            Material::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// Whether this key made the signature: a MAC is computed here, a signature is checked by the host, which has
    /// native code for it, and otherwise by jwt-simple.
    pub(crate) fn verifies(
        &self,
        token: &str,
        signing_input: &str,
        signature: &[u8],
        host: &impl Host,
    ) -> bool {
        let native = self.host_verifies(signing_input, signature, host);
        host.signature_checked(native.is_some());
        native
            .or_else(|| self.mac_verifies(signing_input.as_bytes(), signature))
            .unwrap_or_else(|| self.jwt_simple_verifies(token))
    }

    /// jwt-simple would decode and read the whole token again, which takes longer than the MAC itself; so these
    /// are the two crates that it uses for it. Both compare in constant time.
    fn mac_verifies(&self, text: &[u8], mac: &[u8]) -> Option<bool> {
        match &self.material {
            Material::Hs256(secret) => {
                Some(mac.try_into().is_ok_and(|m| hmac_sha256::HMAC::verify(text, secret, m)))
            }
            Material::Hs384(secret) => {
                Some(mac.try_into().is_ok_and(|m| hmac_sha512::sha384::HMAC::verify(text, secret, m)))
            }
            Material::Hs512(secret) => {
                Some(mac.try_into().is_ok_and(|m| hmac_sha512::HMAC::verify(text, secret, m)))
            }
            _ => None,
        }
    }

    fn host_verifies(&self, signing_input: &str, signature: &[u8], host: &impl Host) -> Option<bool> {
        let (hash, ecdsa_size) = match self.algorithm() {
            Algorithm::Rs256 => ("sha256", None),
            Algorithm::Rs384 => ("sha384", None),
            Algorithm::Rs512 => ("sha512", None),
            Algorithm::Es256 => ("sha256", Some(32)),
            Algorithm::Es384 => ("sha384", Some(48)),
            Algorithm::EdDsa | Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return None,
        };
        let der;
        let signature = match ecdsa_size {
            Some(size) => match ecdsa_der(signature, size) {
                Some(encoded) => {
                    der = encoded;
                    &der
                }
                None => return Some(false),
            },
            None => signature,
        };
        let text = signing_input.as_bytes();
        host.verify_signature(&SignatureCheck { hash, public_key: &self.spki, signature, text })
    }

    /// jwt-simple offers no bare signature check, so it gets a time at which nothing is expired or in the future,
    /// and its reading of the claims is thrown away: they were parsed strictly before, and are checked after.
    fn jwt_simple_verifies(&self, token: &str) -> bool {
        let options = VerificationOptions {
            accept_future: true,
            artificial_time: Some(UnixTimeStamp::from_secs(0)),
            time_tolerance: None,
            ..VerificationOptions::default()
        };
        let verified = match &self.material {
            Material::Hs256(_) | Material::Hs384(_) | Material::Hs512(_) => return false,
            Material::Rs256(key) => key.verify_token::<NoCustomClaims>(token, Some(options)),
            Material::Rs384(key) => key.verify_token::<NoCustomClaims>(token, Some(options)),
            Material::Rs512(key) => key.verify_token::<NoCustomClaims>(token, Some(options)),
            Material::Es256(key) => key.verify_token::<NoCustomClaims>(token, Some(options)),
            Material::Es384(key) => key.verify_token::<NoCustomClaims>(token, Some(options)),
            Material::EdDsa(key) => key.verify_token::<NoCustomClaims>(token, Some(options)),
        };
        verified.is_ok()
    }
}

/// The `r || s` of RFC 7518 section 3.4 as the DER sequence that native code wants. `None` for a wrong length.
fn ecdsa_der(signature: &[u8], size: usize) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(size).filter(|(_, s)| s.len() == size)?;
    let body = [der_integer(r)?, der_integer(s)?].concat();
    Some([&[0x30, u8::try_from(body.len()).ok()?], body.as_slice()].concat())
}

/// An unsigned integer in the fewest bytes, with a zero in front where the top bit would mean "negative".
fn der_integer(bytes: &[u8]) -> Option<Vec<u8>> {
    let leading = bytes.iter().take_while(|b| **b == 0).count();
    let digits = bytes.get(leading..)?;
    let pad: &[u8] = if digits.first().is_none_or(|b| *b >= 0x80) { &[0] } else { &[] };
    let length = u8::try_from(digits.len().checked_add(pad.len())?).ok()?;
    Some([&[0x02, length], pad, digits].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_integers_are_minimal_and_positive() {
        assert_eq!(der_integer(&[0, 0, 1]).unwrap(), [2, 1, 1]);
        assert_eq!(der_integer(&[0x80]).unwrap(), [2, 2, 0, 0x80]);
        assert_eq!(der_integer(&[0, 0]).unwrap(), [2, 1, 0]);
        assert_eq!(ecdsa_der(&[0; 63], 32), None);
        assert_eq!(ecdsa_der(&[0xff; 96], 48).unwrap().len(), 2 + 2 * (2 + 49));
    }
}
