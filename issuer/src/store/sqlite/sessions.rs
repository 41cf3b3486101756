use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};
use uuid::Uuid;

use super::connect::{SqliteError, SqliteStore};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::ports::{Opened, Sessions, StoreError};
use crate::domain::session::Session;
use crate::domain::token::TokenFingerprint;
use crate::domain::user::UserStatus;
use crate::store::record::{moment, parsed, stored};

#[async_trait]
impl Sessions for SqliteStore {
    async fn open(&self, session: &Session) -> Result<Opened, StoreError> {
        let session = session.clone();
        Ok(self.write(move |transaction| open(transaction, &session)).await?)
    }

    async fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.read(move |transaction| find(transaction, id)).await
    }
}

const LOGGED_IN: &str = "
    UPDATE users SET last_login_at = :now WHERE id = :user AND epoch = :epoch AND status = :active";

const INSERT: &str = "
    INSERT INTO sessions (id, user, epoch, generation, refresh_fingerprint,
                          created_at, last_used_at, expires_at, ends_at, address, user_agent)
    VALUES (:id, :user, :epoch, :generation, :refresh_fingerprint,
            :created_at, :last_used_at, :expires_at, :ends_at, :address, :user_agent)";

fn open(transaction: &Transaction<'_>, session: &Session) -> Result<Opened, SqliteError> {
    let user = session.user.uuid();
    let now = session.created_at.as_millisecond();
    let found = transaction.prepare_cached(LOGGED_IN)?.execute(named_params! {
        ":now": now,
        ":user": user.as_bytes(),
        ":epoch": stored(session.epoch),
        ":active": UserStatus::Active.as_str(),
    })?;
    if found == 0 {
        return Ok(Opened::Superseded);
    }
    // Sessions that have run out go when their user comes back, so that the table stays small by itself.
    transaction
        .prepare_cached("DELETE FROM sessions WHERE user = ? AND expires_at <= ?")?
        .execute((user.as_bytes(), now))?;
    transaction.prepare_cached(INSERT)?.execute(named_params! {
        ":id": session.id.uuid().as_bytes(),
        ":user": user.as_bytes(),
        ":epoch": stored(session.epoch),
        ":generation": session.generation,
        ":refresh_fingerprint": session.refresh_fingerprint.0,
        ":created_at": now,
        ":last_used_at": session.last_used_at.as_millisecond(),
        ":expires_at": session.expires_at.as_millisecond(),
        ":ends_at": session.ends_at.as_millisecond(),
        ":address": session.address.map(|address| address.to_string()),
        ":user_agent": session.user_agent,
    })?;
    Ok(Opened::Yes)
}

fn find(transaction: &Transaction<'_>, id: SessionId) -> Result<Option<Session>, SqliteError> {
    let mut statement = transaction.prepare_cached("SELECT * FROM sessions WHERE id = ?")?;
    statement.query_row([id.uuid().as_bytes()], |row| Ok(session(row))).optional()?.transpose()
}

fn session(row: &Row<'_>) -> Result<Session, SqliteError> {
    let uuid =
        |column| Ok::<_, SqliteError>(parsed(Uuid::from_slice(&row.get::<_, Vec<u8>>(column)?), column)?);
    let time = |column| Ok::<_, SqliteError>(moment(row.get(column)?, column)?);
    let address: Option<String> = row.get("address")?;
    Ok(Session {
        id: SessionId::from(uuid("id")?),
        user: UserId::from(uuid("user")?),
        epoch: parsed(u64::try_from(row.get::<_, i64>("epoch")?), "a session's epoch")?,
        generation: row.get("generation")?,
        refresh_fingerprint: TokenFingerprint(row.get("refresh_fingerprint")?),
        created_at: time("created_at")?,
        last_used_at: time("last_used_at")?,
        expires_at: time("expires_at")?,
        ends_at: time("ends_at")?,
        address: parsed(address.map(|text| text.parse()).transpose(), "a session's address")?,
        user_agent: row.get("user_agent")?,
    })
}
