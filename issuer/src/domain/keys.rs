use std::fmt;

/// What the store keeps of the ring, and how that changes.
mod sealed;

/// A key's life: when it makes new things, how long it is trusted, when the next one is due.
pub mod rules;

pub use self::sealed::{KeyEntry, RingChange, SealedKey, SealedRing, SealedSecret};

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

impl SigningAlgorithm {
    /// Its name in tokens (RFC 7518).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// What a key of the ring is for: keys of one purpose follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Signs access tokens, whatever the algorithm.
    Signing,
    /// Goes into password hashes.
    Pepper,
    /// Authenticates refresh tokens.
    Refresh,
    /// Seals what waits in the store to be mailed.
    Mail,
}

impl KeyPurpose {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Signing, Self::Pepper, Self::Refresh, Self::Mail];

    /// Its name, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Pepper => "pepper",
            Self::Refresh => "refresh",
            Self::Mail => "mail",
        }
    }
}

/// A purpose, and how a key serves it.
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
    /// What it is for.
    #[must_use]
    pub fn purpose(self) -> KeyPurpose {
        match self {
            Self::Signing(_) => KeyPurpose::Signing,
            Self::Pepper => KeyPurpose::Pepper,
            Self::Refresh => KeyPurpose::Refresh,
            Self::Mail => KeyPurpose::Mail,
        }
    }

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
