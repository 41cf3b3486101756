//! A MongoDB replica set, for any number of issuers.

/// Connecting, and what every operation has in common.
mod connect;
/// Sealed keys.
mod keys;
/// Indexes, made at every start.
mod migrations;
/// Roles and their permissions.
mod roles;
/// Sessions.
mod sessions;
/// Users.
mod users;

pub use connect::MongoStore;
