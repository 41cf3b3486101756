//! One SQLite file (WAL), for a single issuer.

/// That there is always one administrator.
mod administrators;
/// What a person should look at.
mod alerts;
/// Counters of attempts.
mod attempts;
/// What administrators did.
mod audit;
/// Opening the file, and running work on its connections.
mod connect;
/// Sealed keys.
mod keys;
/// One-time tokens, and the mails that carry them.
mod letters;
/// Who logged in as whom.
mod logins;
/// Numbered steps from an empty file to the present tables.
mod migrations;
/// Events that wait to be published.
mod outbox;
/// Lists, a page at a time.
mod page;
/// What the gateways have to refuse.
mod revocations;
/// Roles and their permissions.
mod roles;
/// Sessions.
mod sessions;
/// Users.
mod users;

pub use connect::SqliteStore;
