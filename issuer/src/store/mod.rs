//! Where users, sessions, roles and sealed keys are kept: two adapters behind the same ports.

/// A MongoDB replica set.
pub mod mongodb;
/// One SQLite file.
pub mod sqlite;
/// A store that is timed.
pub mod watched;

/// Why a store cannot be opened.
mod open_error;
/// Text and numbers of a record, back into values of the domain.
mod record;

pub use open_error::OpenError;
