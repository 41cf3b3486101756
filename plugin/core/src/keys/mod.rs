//! What may be trusted: keys, and how they come and go.

/// Algorithms that exist here.
mod algorithm;
/// JWKS documents into key sets.
mod jwks;
/// A key that owns its algorithm.
mod key;
/// Fetch, refresh, stale, unknown kid: a pure state machine.
pub mod lifecycle;

pub use algorithm::Algorithm;
pub use jwks::{JwksError, KeySet, Selected};
pub use key::Key;
