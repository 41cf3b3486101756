use async_trait::async_trait;
use rusqlite::{Row, Transaction, named_params};
use tokio::sync::watch;
use uuid::Uuid;

use super::connect::{SqliteError, SqliteStore};
use crate::domain::event::{OutboxEvent, Report};
use crate::domain::ids::UserId;
use crate::domain::ports::{Outbox, StoreError};
use crate::store::record::{moment, parsed, stored};

#[async_trait]
impl Outbox for SqliteStore {
    async fn of_user(&self, user: UserId) -> Result<Vec<OutboxEvent>, StoreError> {
        self.read(move |transaction| of_user(transaction, user)).await
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.follow()
    }
}

const COUNT: &str = "UPDATE users SET events = events + ? WHERE id = ? RETURNING events";

const INSERT: &str = "
    INSERT INTO outbox (id, user, sequence, kind, at, request_id, data)
    VALUES (:id, :user, :sequence, :kind, :at, :request_id, :data)";

/// Writes what the report tells about the user, who has to be there still.
pub(super) fn append(
    transaction: &Transaction<'_>,
    user: UserId,
    report: &Report,
) -> Result<(), SqliteError> {
    if report.events.is_empty() {
        return Ok(());
    }
    let id = user.uuid();
    let count = stored(report.events.len() as u64);
    let mut raise = transaction.prepare_cached(COUNT)?;
    let count = raise.query_row((count, id.as_bytes()), |row| row.get::<_, i64>(0))?;
    let count = parsed(u64::try_from(count), "a user's events")?;
    let mut insert = transaction.prepare_cached(INSERT)?;
    for event in report.outbox(user, count) {
        insert.execute(named_params! {
            ":id": event.id.as_bytes(),
            ":user": id.as_bytes(),
            ":sequence": stored(event.sequence),
            ":kind": event.kind,
            ":at": event.at.as_millisecond(),
            ":request_id": event.request_id,
            ":data": event.data,
        })?;
    }
    Ok(())
}

fn of_user(transaction: &Transaction<'_>, user: UserId) -> Result<Vec<OutboxEvent>, SqliteError> {
    let mut statement =
        transaction.prepare_cached("SELECT * FROM outbox WHERE user = ? ORDER BY sequence")?;
    let rows = statement.query_map([user.uuid().as_bytes()], |row| Ok(event(row)))?;
    rows.map(|row| row?).collect()
}

fn event(row: &Row<'_>) -> Result<OutboxEvent, SqliteError> {
    let uuid =
        |column| Ok::<_, SqliteError>(parsed(Uuid::from_slice(&row.get::<_, Vec<u8>>(column)?), column)?);
    Ok(OutboxEvent {
        id: uuid("id")?,
        user: UserId::from(uuid("user")?),
        sequence: parsed(u64::try_from(row.get::<_, i64>("sequence")?), "an event's sequence")?,
        kind: row.get("kind")?,
        at: moment(row.get("at")?, "an event's time")?,
        request_id: row.get("request_id")?,
        data: row.get("data")?,
    })
}
