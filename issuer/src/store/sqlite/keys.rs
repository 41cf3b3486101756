use async_trait::async_trait;
use rusqlite::{Row, Transaction, named_params};

use super::connect::{SqliteError, SqliteStore};
use crate::domain::keys::{KeyId, KeyKind, KeyState, SealedKey};
use crate::domain::ports::{Keys, StoreError};
use crate::store::record::{moment, wanted};

#[async_trait]
impl Keys for SqliteStore {
    async fn all(&self) -> Result<Vec<SealedKey>, StoreError> {
        let select = |transaction: &Transaction<'_>| {
            let mut statement = transaction.prepare("SELECT * FROM keys")?;
            let keys = statement.query_map([], |row| Ok(key(row)))?;
            keys.map(|key| key?).collect()
        };
        self.read(select).await
    }

    async fn insert_if_absent(&self, key: &SealedKey) -> Result<(), StoreError> {
        let key = key.clone();
        Ok(self.write(move |transaction| insert(transaction, &key)).await?)
    }
}

const INSERT: &str = "
    INSERT INTO keys (id, kind, number, created_at, state, sealed)
    VALUES (:id, :kind, :number, :created_at, :state, :sealed)
    ON CONFLICT (kind, number) DO NOTHING";

fn insert(transaction: &Transaction<'_>, key: &SealedKey) -> Result<(), SqliteError> {
    transaction.execute(
        INSERT,
        named_params! {
            ":id": key.id.as_str(),
            ":kind": key.kind.as_str(),
            ":number": key.number,
            ":created_at": key.created_at.as_millisecond(),
            ":state": key.state.as_str(),
            ":sealed": key.sealed,
        },
    )?;
    Ok(())
}

fn key(row: &Row<'_>) -> Result<SealedKey, SqliteError> {
    Ok(SealedKey {
        id: KeyId::new(row.get::<_, String>("id")?),
        kind: wanted(KeyKind::parse(&row.get::<_, String>("kind")?), "a key's kind")?,
        number: row.get("number")?,
        created_at: moment(row.get("created_at")?, "a key's created_at")?,
        state: wanted(KeyState::parse(&row.get::<_, String>("state")?), "a key's state")?,
        sealed: row.get("sealed")?,
    })
}
