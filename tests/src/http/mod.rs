//! Two ways to ask over HTTP: politely, and byte for byte.

/// An ordinary client, for everything a browser or service would send.
mod client;
/// A client that sends what it is given, for everything that an ordinary client refuses to send.
pub mod raw;

pub use client::{Client, Reply};
