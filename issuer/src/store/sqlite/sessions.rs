use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};
use uuid::Uuid;

use super::connect::{SqliteError, SqliteStore};
use super::outbox::append;
use super::page::behind;
use super::revocations::revoke;
use super::{roles, users};
use crate::domain::event::Report;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::page::Place;
use crate::domain::ports::{Exchanged, Opened, Sessions, StoreError};
use crate::domain::revocation::Revoked;
use crate::domain::session::{Session, Standing};
use crate::domain::token::TokenFingerprint;
use crate::domain::user::UserStatus;
use crate::store::record::{moment, parsed, stored};

#[async_trait]
impl Sessions for SqliteStore {
    async fn open(&self, session: &Session, report: &Report) -> Result<Opened, StoreError> {
        let (session, report) = (session.clone(), report.clone());
        Ok(self.tell(move |transaction| open(transaction, &session, &report)).await?)
    }

    async fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.read(move |transaction| find(transaction, id)).await
    }

    async fn standing(&self, id: SessionId) -> Result<Option<Standing>, StoreError> {
        self.read(move |transaction| standing(transaction, id)).await
    }

    async fn exchange(&self, old: &Session, new: &Session) -> Result<Exchanged, StoreError> {
        let (old, new) = (old.clone(), new.clone());
        let exchanged = self.write(move |transaction| exchange(transaction, &old, &new)).await?;
        Ok(if exchanged { Exchanged::Yes } else { Exchanged::Lost })
    }

    async fn end(&self, id: SessionId, report: &Report) -> Result<bool, StoreError> {
        let report = report.clone();
        Ok(self.tell(move |transaction| end(transaction, id, &report)).await?)
    }

    async fn end_all(&self, user: UserId, report: &Report) -> Result<bool, StoreError> {
        let report = report.clone();
        Ok(self.tell(move |transaction| end_all(transaction, user, &report)).await?)
    }

    async fn page(
        &self,
        user: UserId,
        after: Option<Place>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        self.read(move |transaction| page(transaction, user, after, limit, now)).await
    }
}

const LOGGED_IN: &str = "
    UPDATE users SET last_login_at = :now WHERE id = :user AND epoch = :epoch AND status = :active";

const INSERT: &str = "
    INSERT INTO sessions (id, user, epoch, generation, refresh_fingerprint,
                          created_at, last_used_at, expires_at, ends_at, address, user_agent)
    VALUES (:id, :user, :epoch, :generation, :refresh_fingerprint,
            :created_at, :last_used_at, :expires_at, :ends_at, :address, :user_agent)";

fn open(transaction: &Transaction<'_>, session: &Session, report: &Report) -> Result<Opened, SqliteError> {
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
    append(transaction, session.user, report)?;
    Ok(Opened::Yes)
}

const EXCHANGE: &str = "
    UPDATE sessions
    SET generation = :generation, refresh_fingerprint = :refresh_fingerprint,
        last_used_at = :last_used_at, expires_at = :expires_at
    WHERE id = :id AND generation = :old_generation AND refresh_fingerprint = :old_refresh_fingerprint";

fn exchange(transaction: &Transaction<'_>, old: &Session, new: &Session) -> Result<bool, SqliteError> {
    let exchanged = transaction.prepare_cached(EXCHANGE)?.execute(named_params! {
        ":id": old.id.uuid().as_bytes(),
        ":old_generation": old.generation,
        ":old_refresh_fingerprint": old.refresh_fingerprint.0,
        ":generation": new.generation,
        ":refresh_fingerprint": new.refresh_fingerprint.0,
        ":last_used_at": new.last_used_at.as_millisecond(),
        ":expires_at": new.expires_at.as_millisecond(),
    })?;
    Ok(exchanged == 1)
}

fn end(transaction: &Transaction<'_>, id: SessionId, report: &Report) -> Result<bool, SqliteError> {
    let mut delete = transaction.prepare_cached("DELETE FROM sessions WHERE id = ? RETURNING user")?;
    let owner = delete.query_row([id.uuid().as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    let Some(owner) = owner else { return Ok(false) };
    let owner = UserId::from(parsed(Uuid::from_slice(&owner), "a session's user")?);
    append(transaction, owner, &report.ending(vec![id]))?;
    revoke(transaction, &Revoked::Session(id), report.at)?;
    Ok(true)
}

fn end_all(transaction: &Transaction<'_>, user: UserId, report: &Report) -> Result<bool, SqliteError> {
    let mut raise =
        transaction.prepare_cached("UPDATE users SET epoch = epoch + 1 WHERE id = ? RETURNING epoch")?;
    let epoch = raise.query_row([user.uuid().as_bytes()], |row| row.get::<_, i64>(0)).optional()?;
    let Some(epoch) = epoch else { return Ok(false) };
    let epoch = parsed(u64::try_from(epoch), "a user's epoch")?;
    let ended = remove_all(transaction, user)?;
    append(transaction, user, &report.ending(ended))?;
    revoke(transaction, &Revoked::User { user, epoch }, report.at)?;
    Ok(true)
}

/// Removes the sessions of a user, and says which there were. Whoever calls it tells, and revokes.
pub(super) fn remove_all(transaction: &Transaction<'_>, user: UserId) -> Result<Vec<SessionId>, SqliteError> {
    let mut delete = transaction.prepare_cached("DELETE FROM sessions WHERE user = ? RETURNING id")?;
    let ids = delete.query_map([user.uuid().as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
    ids.map(|id| Ok(SessionId::from(parsed(Uuid::from_slice(&id?), "a session's id")?))).collect()
}

const PAGE: &str = "
    SELECT * FROM sessions
    WHERE user = :user AND expires_at > :now AND (created_at, id) < (:created_at, :id)
    ORDER BY created_at DESC, id DESC
    LIMIT :limit";

fn page(
    transaction: &Transaction<'_>,
    user: UserId,
    after: Option<Place>,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Session>, SqliteError> {
    let (created_at, id) = behind(after);
    let mut statement = transaction.prepare_cached(PAGE)?;
    let rows = statement.query_map(
        named_params! {
            ":user": user.uuid().as_bytes(),
            ":now": now.as_millisecond(),
            ":created_at": created_at,
            ":id": id.as_bytes(),
            ":limit": limit,
        },
        |row| Ok(session(row)),
    )?;
    rows.map(|row| row?).collect()
}

fn standing(transaction: &Transaction<'_>, id: SessionId) -> Result<Option<Standing>, SqliteError> {
    let Some(session) = find(transaction, id)? else { return Ok(None) };
    let user = users::find_by_id(transaction, session.user)?.map(|account| account.user);
    let roles = user.as_ref().map(|user| user.roles.as_slice()).unwrap_or_default();
    let permissions = roles::permissions(transaction, roles)?;
    Ok(Some(Standing { session, user, permissions }))
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
