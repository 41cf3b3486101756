use async_trait::async_trait;
use rusqlite::{Row, Transaction, named_params};
use uuid::Uuid;

use super::connect::{SqliteError, SqliteStore};
use super::page::behind;
use crate::domain::audit::AuditEntry;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::page::Place;
use crate::domain::ports::{Audit, StoreError};
use crate::store::record::{members, moment, parsed, subject};

#[async_trait]
impl Audit for SqliteStore {
    async fn entries(&self, after: Option<Place>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(move |transaction| page(transaction, after, limit)).await
    }
}

const INSERT: &str = "
    INSERT INTO audit (id, at, actor, action, subject_kind, subject, before, after, request_id, address)
    VALUES (:id, :at, :actor, :action, :subject_kind, :subject, :before, :after, :request_id, :address)";

/// Keeps on record what an administrator did, if one did it.
pub(super) fn record(transaction: &Transaction<'_>, report: &Report) -> Result<(), SqliteError> {
    let Some(entry) = &report.audit else { return Ok(()) };
    let (kind, name) = entry.subject.parts();
    transaction.prepare_cached(INSERT)?.execute(named_params! {
        ":id": entry.id.as_bytes(),
        ":at": entry.at.as_millisecond(),
        ":actor": entry.actor.map(|actor| actor.uuid().into_bytes()),
        ":action": entry.action,
        ":subject_kind": kind,
        ":subject": name,
        ":before": serde_json::json!(entry.before).to_string(),
        ":after": serde_json::json!(entry.after).to_string(),
        ":request_id": entry.request_id,
        ":address": entry.address.map(|address| address.to_string()),
    })?;
    Ok(())
}

const PAGE: &str = "SELECT * FROM audit WHERE (at, id) < (?, ?) ORDER BY at DESC, id DESC LIMIT ?";

fn page(
    transaction: &Transaction<'_>,
    after: Option<Place>,
    limit: u32,
) -> Result<Vec<AuditEntry>, SqliteError> {
    let (at, id) = behind(after);
    let mut statement = transaction.prepare_cached(PAGE)?;
    let rows = statement.query_map((at, id.as_bytes(), limit), |row| Ok(entry(row)))?;
    rows.map(|row| row?).collect()
}

fn entry(row: &Row<'_>) -> Result<AuditEntry, SqliteError> {
    let uuid = |bytes: Vec<u8>| parsed(Uuid::from_slice(&bytes), "an audit entry's id");
    let (kind, name): (String, String) = (row.get("subject_kind")?, row.get("subject")?);
    let address: Option<String> = row.get("address")?;
    Ok(AuditEntry {
        id: uuid(row.get("id")?)?,
        at: moment(row.get("at")?, "an audit entry's time")?,
        actor: row.get::<_, Option<Vec<u8>>>("actor")?.map(uuid).transpose()?.map(UserId::from),
        action: row.get("action")?,
        subject: subject(&kind, &name)?,
        before: members(&row.get::<_, String>("before")?)?,
        after: members(&row.get::<_, String>("after")?)?,
        request_id: row.get("request_id")?,
        address: parsed(address.map(|text| text.parse()).transpose(), "an audit entry's address")?,
    })
}
