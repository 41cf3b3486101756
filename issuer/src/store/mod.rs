//! Where users, sessions, roles, sealed keys, events and revocations are kept: two adapters behind the same ports.

/// A MongoDB replica set.
pub mod mongodb;
/// Health that is not asked for too often.
pub mod pulse;
/// One SQLite file.
pub mod sqlite;
/// A store that is timed.
pub mod watched;

/// Who waits for something to be written.
mod news;
/// Why a store cannot be opened.
mod open_error;
/// Text and numbers of a record, back into values of the domain.
mod record;

pub use open_error::OpenError;
