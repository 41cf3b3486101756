//! The issuer's HTTP, from the outside: a real listener, a real SQLite database, one of each per test.

/// Connections that are slow, idle, or too many.
mod connections;
/// Who guesses: slowed down, whatever address he invents; and what the user sees of it.
mod guessing;
/// Starts an issuer of the test's own.
mod issuer;
/// The least HTTP client that can also misbehave.
mod wire;

/// What administrators do about users and roles.
mod admin;
/// What they do is kept on record, and told.
mod admin_record;
/// Nobody rises above himself by administering.
mod growth;
/// What every answer has in common, and what the log says about it.
mod hygiene;
/// Keys that follow each other while everything goes on.
mod keys;
/// Links that are mailed, and a mail server that does as it is told.
mod mailed;
/// Who may enter which route.
mod matrix;
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
