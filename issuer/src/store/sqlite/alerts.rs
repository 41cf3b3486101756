use async_trait::async_trait;
use rusqlite::{Row, Transaction, named_params};
use uuid::Uuid;

use super::connect::{SqliteError, SqliteStore};
use super::logins::oldest_kept;
use super::page::behind;
use crate::domain::alert::KeptAlert;
use crate::domain::ids::UserId;
use crate::domain::outbox::OutboxEntry;
use crate::domain::page::Place;
use crate::domain::ports::{Alerts, StoreError};
use crate::store::record::{moment, parsed};

#[async_trait]
impl Alerts for SqliteStore {
    async fn raised(&self, after: Option<Place>, limit: u32) -> Result<Vec<KeptAlert>, StoreError> {
        self.read(move |transaction| page(transaction, after, limit)).await
    }
}

const CLEAN_UP: &str = "
    DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE at <= ? ORDER BY at LIMIT 20)";

const INSERT: &str = "INSERT INTO alerts (id, user, at, request_id, data) VALUES (?, ?, ?, ?, ?)";

/// Keeps an alert for administrators.
pub(super) fn keep(transaction: &Transaction<'_>, event: &OutboxEntry) -> Result<(), SqliteError> {
    transaction.prepare_cached(CLEAN_UP)?.execute([oldest_kept(event.at)])?;
    let (id, user, at) = (event.id, event.user.uuid(), event.at.as_millisecond());
    let row = (id.as_bytes(), user.as_bytes(), at, &event.request_id, &event.data);
    transaction.prepare_cached(INSERT)?.execute(row)?;
    Ok(())
}

const PAGE: &str = "SELECT * FROM alerts WHERE (at, id) < (:at, :id) ORDER BY at DESC, id DESC LIMIT :limit";

fn page(
    transaction: &Transaction<'_>,
    after: Option<Place>,
    limit: u32,
) -> Result<Vec<KeptAlert>, SqliteError> {
    let (at, id) = behind(after);
    let mut statement = transaction.prepare_cached(PAGE)?;
    let bounds = named_params! { ":at": at, ":id": id.as_bytes(), ":limit": limit };
    let rows = statement.query_map(bounds, |row| Ok(alert(row)))?;
    rows.map(|row| row?).collect()
}

fn alert(row: &Row<'_>) -> Result<KeptAlert, SqliteError> {
    let uuid =
        |column| Ok::<_, SqliteError>(parsed(Uuid::from_slice(&row.get::<_, Vec<u8>>(column)?), column)?);
    let (kind, details) = parsed(KeptAlert::read_data(&row.get::<_, String>("data")?), "an alert")?;
    Ok(KeptAlert {
        id: uuid("id")?,
        at: moment(row.get("at")?, "an alert's time")?,
        user: UserId::from(uuid("user")?),
        request_id: row.get("request_id")?,
        kind,
        details,
    })
}
