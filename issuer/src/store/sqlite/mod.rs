//! One SQLite file (WAL), for a single issuer.

/// Opening the file, and running work on its connections.
mod connect;
/// Sealed keys.
mod keys;
/// Numbered steps from an empty file to the present tables.
mod migrations;
/// Roles and their permissions.
mod roles;
/// Sessions.
mod sessions;
/// Users.
mod users;

pub use connect::SqliteStore;
