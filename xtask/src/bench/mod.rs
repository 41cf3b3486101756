//! `cargo xtask bench`: what a request costs.
//!
//! Read [`gateway`], [`issuer`] or [`revocation`] first; each is a whole measurement on one screen.

/// The time, and waiting for it.
mod clock;
/// Where and when it was measured.
mod conditions;
/// Who is measured: the listeners of the one Envoy, and its configuration.
mod contenders;
/// Why a measurement failed.
mod error;
/// `cargo xtask bench gateway`.
pub(crate) mod gateway;
/// `cargo xtask bench issuer`.
pub(crate) mod issuer;
/// The clients: connections that send requests one after the other.
mod load;
/// Contenders in turn, over several rounds.
mod measure;
/// The one Envoy, its processor time and its memory.
mod proxy;
/// The tables, and the targets beside each figure.
mod report;
/// `cargo xtask bench revocation`.
pub(crate) mod revocation;
/// How figures and their targets are printed.
mod table;
/// Keys, and tokens signed with them before anything is measured.
mod tokens;
/// Nobody is measured who lets the wrong ones in, or refuses the right ones.
mod verify;

pub(crate) use error::Error;
