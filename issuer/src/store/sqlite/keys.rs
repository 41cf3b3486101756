use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, Transaction, named_params};

use super::connect::{SqliteError, SqliteStore};
use super::revocations::revoke;
use crate::domain::keys::{KeyEntry, KeyId, KeyKind, RingChange, SealedKey, SealedRing};
use crate::domain::ports::{Keys, RingChanged, StoreError};
use crate::store::record::{KeyState, moment, parsed, stored, wanted};

#[async_trait]
impl Keys for SqliteStore {
    async fn load(&self) -> Result<SealedRing, StoreError> {
        self.read(load).await
    }

    async fn change(&self, seen: u64, change: &RingChange, at: Timestamp) -> Result<RingChanged, StoreError> {
        let change = change.clone();
        Ok(self.tell(move |transaction| change_ring(transaction, seen, &change, at)).await?)
    }
}

fn load(transaction: &Transaction<'_>) -> Result<SealedRing, SqliteError> {
    let version: i64 =
        transaction.prepare_cached("SELECT version FROM key_ring")?.query_row([], |row| row.get(0))?;
    let version = parsed(u64::try_from(version), "the key ring's version")?;
    let mut keys = transaction.prepare_cached("SELECT * FROM keys")?;
    let keys = keys.query_map([], |row| Ok(key(row)))?.map(|key| key?).collect::<Result<_, _>>()?;
    Ok(SealedRing { version, keys })
}

const MOVE_ON: &str = "UPDATE key_ring SET version = version + 1 WHERE version = ?";
const ADD: &str = "
    INSERT INTO keys (id, kind, number, created_at, active_from, state, sealed)
    VALUES (:id, :kind, :number, :created_at, :active_from, :state, :sealed)";

fn change_ring(
    transaction: &Transaction<'_>,
    seen: u64,
    change: &RingChange,
    at: Timestamp,
) -> Result<RingChanged, SqliteError> {
    if transaction.execute(MOVE_ON, [stored(seen)])? == 0 {
        return Ok(RingChanged::Superseded);
    }
    for SealedKey { entry, sealed } in &change.add {
        transaction.execute(
            ADD,
            named_params! {
                ":id": entry.id.as_str(),
                ":kind": entry.kind.as_str(),
                ":number": entry.number,
                ":created_at": entry.created_at.as_millisecond(),
                ":active_from": entry.active_from.as_millisecond(),
                ":state": KeyState::of(entry).as_str(),
                ":sealed": sealed,
            },
        )?;
    }
    for key in &change.revoke {
        let revoked = (KeyState::Revoked.as_str(), key.id.as_str());
        transaction.execute("UPDATE keys SET state = ? WHERE id = ?", revoked)?;
    }
    for id in &change.remove {
        transaction.execute("DELETE FROM keys WHERE id = ?", [id.as_str()])?;
    }
    for (id, sealed) in &change.reseal {
        transaction.execute("UPDATE keys SET sealed = ? WHERE id = ?", (sealed, id.as_str()))?;
    }
    for revoked in change.revocations() {
        revoke(transaction, &revoked, at)?;
    }
    Ok(RingChanged::Yes)
}

fn key(row: &Row<'_>) -> Result<SealedKey, SqliteError> {
    let created_at = moment(row.get("created_at")?, "a key's created_at")?;
    let active_from: Option<i64> = row.get("active_from")?;
    let state = wanted(KeyState::parse(&row.get::<_, String>("state")?), "a key's state")?;
    let entry = KeyEntry {
        id: KeyId::new(row.get::<_, String>("id")?),
        kind: wanted(KeyKind::parse(&row.get::<_, String>("kind")?), "a key's kind")?,
        number: row.get("number")?,
        created_at,
        // Keys that were made before there was such a date served from the start.
        active_from: active_from.map_or(Ok(created_at), |at| moment(at, "a key's active_from"))?,
        revoked: state == KeyState::Revoked,
    };
    Ok(SealedKey { entry, sealed: row.get("sealed")? })
}
