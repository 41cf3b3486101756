use jiff::Timestamp;
use rusqlite::{Transaction, named_params};
use uuid::Uuid;

use super::entry;
use crate::domain::ids::UserId;
use crate::domain::outbox::{Channel, EntryState, OutboxStatus, Replay, Troubled, swept};
use crate::store::record::{earlier, moment, parsed, wanted};
use crate::store::sqlite::connect::SqliteError;

// By the time of the event, for the index, and then by the time at which it left, which is later.
const SWEEP: &str = "
    DELETE FROM outbox
    WHERE channel = :channel AND state = :state AND at <= :until AND due <= :until";

/// Removes what was kept long enough.
pub(super) fn sweep(transaction: &Transaction<'_>, now: Timestamp, unheard: bool) -> Result<(), SqliteError> {
    let mut sweep = transaction.prepare_cached(SWEEP)?;
    for (channel, state, kept) in swept(unheard) {
        sweep.execute(named_params! {
            ":channel": channel.as_str(),
            ":state": state.as_str(),
            ":until": earlier(now, kept).as_millisecond(),
        })?;
    }
    Ok(())
}

const COUNT: &str = "SELECT count(*), min(at) FROM outbox WHERE channel = ? AND state = ?";

/// Counts.
pub(super) fn status(transaction: &Transaction<'_>, channel: Channel) -> Result<OutboxStatus, SqliteError> {
    let mut statement = transaction.prepare_cached(COUNT)?;
    let mut count = |state: EntryState| -> Result<(u64, Option<i64>), SqliteError> {
        let parameters = (channel.as_str(), state.as_str());
        let (count, oldest) =
            statement.query_row(parameters, |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
        Ok((parsed(u64::try_from(count), "a count")?, oldest))
    };
    let (waiting, oldest) = count(EntryState::Waiting)?;
    Ok(OutboxStatus {
        waiting,
        oldest: oldest.map(|at| moment(at, "an entry's time")).transpose()?,
        unroutable: count(EntryState::Unroutable)?.0,
        parked: count(EntryState::Parked)?.0,
    })
}

const TROUBLED: &str = "
    SELECT * FROM outbox
    WHERE channel = :channel AND state IN ('parked', 'waiting', 'unroutable') AND reason IS NOT NULL
    ORDER BY state = 'parked' DESC, at LIMIT :limit";

/// What was tried in vain.
pub(super) fn troubled(
    transaction: &Transaction<'_>,
    channel: Channel,
    limit: u32,
) -> Result<Vec<Troubled>, SqliteError> {
    let mut statement = transaction.prepare_cached(TROUBLED)?;
    let rows =
        statement.query_map(named_params! { ":channel": channel.as_str(), ":limit": limit }, |row| {
            Ok(entry(row).and_then(|entry| {
                let state = wanted(EntryState::parse(&row.get::<_, String>("state")?), "an entry's state")?;
                Ok(Troubled { entry, state, reason: row.get("reason")? })
            }))
        })?;
    rows.map(|row| row?).collect()
}

const REPLAY: &str = "
    UPDATE outbox SET state = 'waiting', claim = NULL, due = :now, attempts = 0, reason = NULL
    WHERE channel = :channel AND state = :state
      AND (:user IS NULL OR user = :user) AND (:id IS NULL OR id = :id)";

const HASTEN: &str = "
    UPDATE outbox SET due = :now WHERE channel = :channel AND state = 'waiting' AND claim IS NULL";

/// Makes entries wait again.
pub(super) fn replay(
    transaction: &Transaction<'_>,
    which: &Replay,
    now: Timestamp,
) -> Result<u64, SqliteError> {
    let (channel, now) = (which.channel.as_str(), now.as_millisecond());
    let user = which.user.map(UserId::uuid);
    let replayed = transaction.prepare_cached(REPLAY)?.execute(named_params! {
        ":now": now,
        ":channel": channel,
        ":state": which.state.as_str(),
        ":user": user.as_ref().map(Uuid::as_bytes),
        ":id": which.id.as_ref().map(Uuid::as_bytes),
    })?;
    transaction.prepare_cached(HASTEN)?.execute(named_params! { ":now": now, ":channel": channel })?;
    Ok(replayed as u64)
}
