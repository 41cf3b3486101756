use rusqlite::{Connection, Error, TransactionBehavior};

use crate::store::OpenError;
use crate::store::sqlite::connect::failure;

/// One entry for each version, the first for version 1. What has been released is never changed, only added to; and
/// each step leaves tables that the program before it can still work with.
const STEPS: [&str; 7] = [
    include_str!("migrations/0001_start.sql"),
    include_str!("migrations/0002_events.sql"),
    include_str!("migrations/0003_keys.sql"),
    include_str!("migrations/0004_outbox.sql"),
    include_str!("migrations/0005_administration.sql"),
    include_str!("migrations/0006_abuse.sql"),
    include_str!("migrations/0007_one_time_tokens.sql"),
];

/// Brings the tables up to date. Processes that start together wait for each other.
pub(super) fn run(connection: &mut Connection) -> Result<(), OpenError> {
    let found = migrate(connection).map_err(failure)?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known { Err(OpenError::Newer { found, known }) } else { Ok(()) }
}

/// Runs the steps that are missing, and says which version the file was of.
fn migrate(connection: &mut Connection) -> Result<i64, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (version, step) in (1_i64..).zip(STEPS).filter(|(version, _)| *version > found) {
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.commit()?;
    Ok(found)
}
