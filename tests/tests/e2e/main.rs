//! End to end: real Envoy, the real module in it, the real issuer behind it, on both stores.
//!
//! One binary, so that it is linked once. Every test brings up its own parts on its own ports with its own data.

/// What the parts leave behind when they are killed: nothing.
mod cleanup;
/// What Envoy says to a configuration that is wrong.
mod configuration;
/// The example service behind the gate.
mod example_service;
/// Protected headers from clients never arrive.
mod headers;
/// Register, log in, pass the gate.
mod light;
/// The issuer's refusals, seen through the gate.
mod refusals;
/// MongoDB under the issuer, and MongoDB gone.
mod stores;
/// The TLS listener.
mod tls;
/// Tokens that must not pass.
mod tokens;

/// What the tests share.
mod support {
    /// A gateway whose upstreams are all recorders, trusting a key of ours.
    pub(crate) mod bare;
    /// A key pair that is not the issuer's, for tokens of any shape.
    pub(crate) mod own_key;
    /// Reading problem bodies.
    pub(crate) mod problem;
    /// A whole stack, and users who act on it.
    pub(crate) mod whole;
}
