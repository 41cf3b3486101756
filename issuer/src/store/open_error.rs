use std::io;
use std::path::PathBuf;

use crate::domain::ports::StoreError;

/// Why a store cannot be opened: one sentence each, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database file cannot be made.
    #[error("store.url: {path} can be neither opened nor made ({source}); let this user write there")]
    File {
        /// The file or its folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The database was migrated by a later version.
    #[error(
        "store.url: the database is of version {found}, and this program knows {known}; run the newer program"
    )]
    Newer {
        /// The database's version.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// Not a URL that the driver understands. It may hold a password, so it is not repeated.
    #[error(
        "store.url: not a MongoDB URL that this program understands; list the hosts (mongodb://a,b/name), mongodb+srv is not supported"
    )]
    Url,
    /// Nobody to write to.
    #[error(
        "store.url: no MongoDB primary answers; check that mongod runs there and that its replica set has been initiated"
    )]
    NoPrimary,
    /// A single mongod has no transactions.
    #[error(
        "store.url: this MongoDB is not a replica set, which transactions need; start mongod with --replSet and initiate the set once"
    )]
    NotReplicaSet,
    /// It opens, but does not work.
    #[error("store.url: the store does not work")]
    Store(#[from] StoreError),
}
