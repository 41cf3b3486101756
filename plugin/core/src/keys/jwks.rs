//! JWKS documents (RFC 7517 section 5) into key sets.

use serde_json::{Map, Value};
use std::collections::HashMap;

use super::{Algorithm, Key};
use crate::json;

/// The largest document that is read, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;
/// The most keys that are taken from one document.
const MAX_KEYS: usize = 100;

/// The keys of one provider, at one time.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    version: u64,
    refused: usize,
}

/// Why a document yields no key set at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Over 256 KiB.
    #[error("the document is larger than 256 KiB")]
    TooLarge,
    /// Not JSON, or JSON with a member that stands twice.
    #[error("the document is not a JSON object with a list called keys")]
    Malformed,
    /// Not one key in it can be used with the provider's algorithms.
    #[error("the document holds no usable key")]
    NoUsableKey,
}

/// The keys that a token may have been signed with.
#[derive(Debug)]
pub enum Selected<'a> {
    /// Try these; one, but for shared secrets in rotation.
    Candidates(Vec<&'a Key>),
    /// There is a key of that name, for another algorithm.
    OtherAlgorithm,
    /// No key of that name; perhaps the provider has made one since.
    Nothing,
}

impl KeySet {
    /// Takes every usable key of a JWKS document. A key that is not usable does not spoil the others; a name that
    /// stands for two keys stands for none.
    ///
    /// # Errors
    /// See [`JwksError`].
    pub fn from_jwks(document: &[u8], algorithms: &[Algorithm]) -> Result<Self, JwksError> {
        if document.len() > MAX_DOCUMENT {
            return Err(JwksError::TooLarge);
        }
        let document = json::parse_object(document).map_err(|_| JwksError::Malformed)?;
        let entries = document.get("keys").and_then(Value::as_array).ok_or(JwksError::Malformed)?;
        let mut names: HashMap<&str, usize> = HashMap::new();
        for kid in entries.iter().filter_map(|e| e.get("kid")?.as_str()) {
            let count = names.entry(kid).or_default();
            *count = count.saturating_add(1);
        }
        let unique =
            |e: &&Value| e.get("kid").and_then(Value::as_str).is_none_or(|kid| names.get(kid) == Some(&1));
        let keys: Vec<Key> = entries
            .iter()
            .take(MAX_KEYS)
            .filter(unique)
            .filter_map(Value::as_object)
            .filter_map(|jwk| read_key(jwk, algorithms))
            .collect();
        if keys.is_empty() {
            return Err(JwksError::NoUsableKey);
        }
        let refused = entries.len().saturating_sub(keys.len());
        Ok(Self { keys, version: 0, refused })
    }

    /// Shared secrets, all valid at once. `None` if one is too short.
    pub fn from_secrets(secrets: &[Vec<u8>], algorithms: &[Algorithm]) -> Option<Self> {
        let pairs = secrets.iter().flat_map(|s| algorithms.iter().map(move |a| (s, a)));
        let keys =
            pairs.map(|(secret, algorithm)| Key::from_secret(secret, *algorithm)).collect::<Option<_>>()?;
        Some(Self { keys, version: 0, refused: 0 })
    }

    /// The same keys under a version, by which tokens that were verified with other keys are told apart.
    #[must_use]
    pub fn with_version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// The version of this set.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many keys there are to verify with.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many entries of the document were passed over.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// The keys for a token. Without a `kid`, a key counts only if it is the one that fits.
    pub(crate) fn select(&self, kid: Option<&str>, algorithm: Algorithm) -> Selected<'_> {
        let fits = |key: &&Key| key.algorithm() == algorithm;
        if algorithm.is_shared_secret() {
            return Selected::Candidates(self.keys.iter().filter(fits).collect());
        }
        let named = self.keys.iter().filter(|key| kid.is_none() || key.kid.as_deref() == kid);
        let candidates: Vec<_> = named.clone().filter(fits).collect();
        match (candidates.len(), kid) {
            (1, _) => Selected::Candidates(candidates),
            (0, Some(_)) if named.count() > 0 => Selected::OtherAlgorithm,
            _ => Selected::Nothing,
        }
    }
}

fn read_key(jwk: &Map<String, Value>, algorithms: &[Algorithm]) -> Option<Key> {
    let member = |name| jwk.get(name).and_then(Value::as_str);
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    let fits = |algorithm: &&Algorithm| match (member("kty"), member("crv")) {
        (Some("RSA"), _) => matches!(algorithm, Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512),
        (Some("EC"), Some("P-256")) => **algorithm == Algorithm::Es256,
        (Some("EC"), Some("P-384")) => **algorithm == Algorithm::Es384,
        (Some("OKP"), Some("Ed25519")) => **algorithm == Algorithm::EdDsa,
        _ => false,
    };
    // An RSA key that does not say which it is for serves the first RSA algorithm that the provider may use.
    let algorithm = match jwk.get("alg") {
        Some(alg) => *algorithms.iter().filter(fits).find(|a| alg.as_str() == Some(a.name()))?,
        None => *algorithms.iter().find(fits)?,
    };
    // An empty `key_ops` allows nothing, and jwt-simple lets it pass.
    if jwk
        .get("key_ops")
        .is_some_and(|ops| ops.as_array().is_none_or(|ops| !ops.iter().any(|op| op == "verify")))
    {
        return None;
    }
    Key::from_jwk(&serde_json::to_string(jwk).ok()?, kid, algorithm)
}
