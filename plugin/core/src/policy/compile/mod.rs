//! From what is written to what can be acted on. Every mistake is found here, and named by the path of its key.

/// Token sources, origins and headers.
mod edge;
/// Providers: keys, algorithms, claims.
mod provider;
/// Rules and their expressions.
mod rule;
/// The whole, and the checks between its parts.
mod whole;
