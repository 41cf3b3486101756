//! What is known about the caller, from "some bytes" to "this user, now".

/// Verified tokens, so that a warm one costs a look-up.
mod cache;
/// Claims that hold now, as an identity.
mod claims;
/// Exactly one credential.
mod extract;
/// Tokens that are dead before they end.
pub mod revocation;
/// Strict parsing of the compact form.
mod unverified;
/// The only way to a verified token.
mod verify;

pub use cache::TokenCache;
pub use claims::{ClaimMap, ClaimPath, Identity};
pub(crate) use extract::Removal;
pub use extract::{Credential, TokenSource};
pub use unverified::{Segments, UnverifiedToken};
pub use verify::VerifiedToken;
