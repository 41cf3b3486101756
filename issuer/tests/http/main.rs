//! The issuer's HTTP, from the outside: a real listener, a real SQLite database, one of each per test.

/// Starts an issuer of the test's own.
mod issuer;
/// The least HTTP client that can also misbehave.
mod wire;

/// What every answer has in common, and what the log says about it.
mod hygiene;
/// Keys that follow each other while everything goes on.
mod keys;
/// What software finds out by itself.
mod metadata;
/// What is counted and measured.
mod metrics;
/// One test per way to be refused.
mod problems;
/// Every route with secrets in hand, and then a look for them where none may be.
mod redaction;
/// The list of dead tokens.
mod revocations;
/// One test per route.
mod routes;
/// What becomes of a session after the login, and changing the password.
mod sessions;
