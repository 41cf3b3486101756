use jiff::Timestamp;
use rusqlite::{Row, Transaction, named_params};
use uuid::Uuid;

use super::{entry, uuid};
use crate::domain::ids::UserId;
use crate::domain::outbox::fate::Fate;
use crate::domain::outbox::{Claim, Claimed, EntryState, Stored};
use crate::store::record::{moment, wanted};
use crate::store::sqlite::connect::SqliteError;

const IS_DUE: &str = "
    SELECT EXISTS (SELECT 1 FROM outbox WHERE channel = :channel AND state = 'waiting' AND due <= :now)";

/// Whether there is anything to claim.
pub(super) fn is_due(transaction: &Transaction<'_>, claim: &Claim) -> Result<bool, SqliteError> {
    let mut statement = transaction.prepare_cached(IS_DUE)?;
    let parameters = named_params! { ":channel": claim.channel.as_str(), ":now": claim.now.as_millisecond() };
    Ok(statement.query_row(parameters, |row| row.get(0))?)
}

const LONGEST_WAITING: &str = "
    SELECT DISTINCT user FROM (
        SELECT user FROM outbox INDEXED BY outbox_oldest
        WHERE channel = :channel AND state = 'waiting' AND due <= :now
        ORDER BY at LIMIT :limit)";

const CLAIM: &str = "
    UPDATE outbox SET claim = :claim, due = :until
    WHERE channel = :channel AND state = 'waiting' AND user = :user AND due <= :now";

const LINE: &str = "
    SELECT * FROM outbox
    WHERE channel = :channel AND state IN ('waiting', 'parked') AND user = :user
    ORDER BY sequence LIMIT :limit";

/// Claims, and reads what was claimed.
pub(super) fn claim(transaction: &Transaction<'_>, claim: Claim) -> Result<Claimed, SqliteError> {
    let (channel, now) = (claim.channel.as_str(), claim.now.as_millisecond());
    let mut longest = transaction.prepare_cached(LONGEST_WAITING)?;
    let parameters = named_params! { ":channel": channel, ":now": now, ":limit": claim.limit };
    let users = longest.query_map(parameters, |row| uuid(row, "user"))?.collect::<Result<Vec<_>, _>>()?;
    let (mut take, mut line) = (transaction.prepare_cached(CLAIM)?, transaction.prepare_cached(LINE)?);
    let mut found = Vec::new();
    for user in &users {
        take.execute(named_params! {
            ":claim": claim.id.as_bytes(),
            ":until": claim.until.as_millisecond(),
            ":channel": channel,
            ":user": user.as_bytes(),
            ":now": now,
        })?;
        let room = i64::from(claim.limit).saturating_sub_unsigned(found.len() as u64).max(0);
        let rows = line.query_map(
            named_params! { ":channel": channel, ":user": user.as_bytes(), ":limit": room },
            |row| Ok(stored(row)),
        )?;
        for row in rows {
            found.push(row??);
        }
    }
    Ok(Claimed::line_up(claim, users.into_iter().map(UserId::from).collect(), found))
}

const RELEASE: &str = "
    UPDATE outbox SET claim = NULL, due = :now
    WHERE channel = :channel AND state = 'waiting' AND user = :user AND claim = :claim";

/// Writes the fates, and gives the rest back.
pub(super) fn settle(
    transaction: &Transaction<'_>,
    (claim, users): (Claim, &[UserId]),
    fates: &[(Uuid, Fate)],
    now: Timestamp,
) -> Result<(), SqliteError> {
    for (id, fate) in fates {
        settle_one(transaction, *id, fate, (claim.id, now))?;
    }
    let mut release = transaction.prepare_cached(RELEASE)?;
    for user in users {
        release.execute(named_params! {
            ":now": now.as_millisecond(),
            ":channel": claim.channel.as_str(),
            ":user": user.uuid().as_bytes(),
            ":claim": claim.id.as_bytes(),
        })?;
    }
    Ok(())
}

fn settle_one(
    transaction: &Transaction<'_>,
    id: Uuid,
    fate: &Fate,
    (claim, now): (Uuid, Timestamp),
) -> Result<(), SqliteError> {
    let (id, claim) = (id.as_bytes(), claim.as_bytes());
    // What the other side has, it has, whoever holds the claim by now; anything else is only for the holder to say.
    match fate {
        Fate::Done => transaction
            .prepare_cached(
                "UPDATE outbox SET state = 'done', claim = NULL, reason = NULL, due = ? WHERE id = ? AND state = 'waiting'",
            )?
            .execute((now.as_millisecond(), id))?,
        Fate::Removed => {
            transaction.prepare_cached("DELETE FROM outbox WHERE id = ? AND state = 'waiting'")?.execute([id])?
        }
        Fate::Unroutable => transaction
            .prepare_cached(
                "UPDATE outbox SET state = 'unroutable', claim = NULL, due = ?, reason = 'no queue is bound for it'
                 WHERE id = ? AND claim = ?",
            )?
            .execute((now.as_millisecond(), id, claim))?,
        Fate::Again { due, reason } => transaction
            .prepare_cached(
                "UPDATE outbox SET claim = NULL, due = ?, attempts = attempts + 1, reason = ?
                 WHERE id = ? AND claim = ?",
            )?
            .execute((due.as_millisecond(), reason, id, claim))?,
        Fate::Parked { reason } => transaction
            .prepare_cached(
                "UPDATE outbox SET state = 'parked', claim = NULL, attempts = attempts + 1, reason = ?
                 WHERE id = ? AND claim = ?",
            )?
            .execute((reason, id, claim))?,
        Fate::Later { due } => transaction
            .prepare_cached("UPDATE outbox SET claim = NULL, due = ? WHERE id = ? AND claim = ?")?
            .execute((due.as_millisecond(), id, claim))?,
    };
    Ok(())
}

fn stored(row: &Row<'_>) -> Result<Stored, SqliteError> {
    let claim: Option<Vec<u8>> = row.get("claim")?;
    Ok(Stored {
        entry: entry(row)?,
        state: wanted(EntryState::parse(&row.get::<_, String>("state")?), "an entry's state")?,
        due: moment(row.get("due")?, "an entry's due time")?,
        claim: claim.and_then(|bytes| Uuid::from_slice(&bytes).ok()),
    })
}
