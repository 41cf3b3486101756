//! A MongoDB replica set, for any number of issuers.

/// That there is always one administrator.
mod administrators;
/// What a person should look at.
mod alerts;
/// Counters of attempts.
mod attempts;
/// What administrators did.
mod audit;
/// Connecting, and what every operation has in common.
mod connect;
/// Sealed keys.
mod keys;
/// One-time tokens, and the mails that carry them.
mod letters;
/// Who logged in as whom.
mod logins;
/// Indexes, made at every start.
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

pub use connect::MongoStore;
