use std::fmt;

use jiff::Timestamp;

/// Names a key of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Takes the text as a key's name.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How access tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256.
    Es256,
    /// RSA, PKCS #1.
    Rs256,
    /// Ed25519.
    EdDsa,
}

/// What a key of the ring is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Signs access tokens.
    Signing(SigningAlgorithm),
    /// Goes into password hashes.
    Pepper,
    /// Authenticates refresh tokens.
    Refresh,
    /// Seals what waits in the store to be mailed.
    Mail,
}

impl KeyKind {
    /// Its stable name, in stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signing(SigningAlgorithm::Es256) => "signing:ES256",
            Self::Signing(SigningAlgorithm::Rs256) => "signing:RS256",
            Self::Signing(SigningAlgorithm::EdDsa) => "signing:EdDSA",
            Self::Pepper => "pepper",
            Self::Refresh => "refresh",
            Self::Mail => "mail",
        }
    }

    /// The kind with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        use SigningAlgorithm::{EdDsa, Es256, Rs256};
        let signing = [Es256, Rs256, EdDsa].map(Self::Signing);
        signing
            .into_iter()
            .chain([Self::Pepper, Self::Refresh, Self::Mail])
            .find(|kind| kind.as_str() == name)
    }
}

/// How far a key has come in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// The newest active key of a kind makes new things; every active key checks old ones.
    Active,
    /// Trusted no more.
    Revoked,
}

impl KeyState {
    /// Its stable name, in stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    /// The state with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Active, Self::Revoked].into_iter().find(|state| state.as_str() == name)
    }
}

/// A key as the store keeps it: encrypted under the master key, which the store never sees.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// Unique in the ring.
    pub id: KeyId,
    /// What it is for.
    pub kind: KeyKind,
    /// Counts the keys of one kind from 1. `(kind, number)` is unique, so that replicas which make a key at the
    /// same time end up with one.
    pub number: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// How far it has come.
    pub state: KeyState,
    /// Nonce and ciphertext.
    pub sealed: Vec<u8>,
}

/// Leaves the ciphertext out.
impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedKey({} {} #{})", self.id, self.kind.as_str(), self.number)
    }
}

/// A secret that waits in the store, readable with a key of the ring alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The key that opens it.
    pub key: KeyId,
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
}

/// Leaves the ciphertext out.
impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret(by {})", self.key)
    }
}
