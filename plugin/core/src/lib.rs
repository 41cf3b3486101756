//! Decides whether a request may pass the door, and what the service behind it is told.
//!
//! The whole flow, one type per step; each can only be made from the one before it:
//!
//! 1. [`RequestHead`]: what the client sent, as bytes, with every repeated header visible
//! 2. [`token::UnverifiedToken`]: exactly one credential, strictly parsed; shows only what is needed to find a key
//! 3. [`token::VerifiedToken`]: its signature was made by a key of the provider it names
//! 4. [`token::Identity`]: its claims hold now; this is who is calling
//! 5. [`policy::Permit`]: the route's rule lets this caller in
//! 6. [`policy::HeaderMutation`]: protected names stripped first, then set; the only way to [`Decision::Forward`]
//!
//! Nothing here performs I/O, reads a clock or knows of proxy-wasm: the adapter hands in a [`Host`]. Read
//! [`Gate::decide`] first.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod decide;
pub mod json;
pub mod keys;
mod lease;
pub mod policy;
mod reply;
mod request;
pub mod token;

pub use decide::{Decision, Gate, Lookups, Need, Waiting};
pub use reply::{Reason, Refusal, Reply};
pub use request::RequestHead;

use std::time::Duration;

/// A moment, as the time since the Unix epoch. Always an argument, never read here.
pub type UnixTime = Duration;

/// What the core asks of its surroundings while it decides.
pub trait Host {
    /// The current time. Not called for requests whose answer does not depend on it.
    fn now(&self) -> UnixTime;

    /// A moment that was now a second or so ago, if one is at hand for nothing.
    fn recently(&self) -> Option<UnixTime> {
        None
    }

    /// Checks a signature natively, or answers `None` where that is not to be had for this check, so that it is
    /// done in here.
    fn verify_signature(&self, check: &SignatureCheck<'_>) -> Option<bool>;

    /// Told of each signature check, and whether the host did it; for its metrics.
    fn signature_checked(&self, natively: bool) {
        let _ = natively;
    }
}

/// One asymmetric signature to be checked by the host.
#[derive(Debug)]
pub struct SignatureCheck<'a> {
    /// Name of the hash: `sha256`, `sha384` or `sha512`, pinned by the key's algorithm.
    pub hash: &'static str,
    /// The public key as SubjectPublicKeyInfo in DER.
    pub public_key: &'a [u8],
    /// PKCS#1 v1.5 bytes, or an ECDSA signature in DER.
    pub signature: &'a [u8],
    /// The signing input: header and payload as they stood in the token.
    pub text: &'a [u8],
}
