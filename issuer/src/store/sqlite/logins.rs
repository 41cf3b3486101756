use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Row, Transaction, named_params};
use uuid::Uuid;

use super::connect::{SqliteError, SqliteStore};
use super::outbox::append_if_there;
use super::page::behind;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::login_history::{Acquaintance, KEPT, LoginEntry, LoginFailure};
use crate::domain::page::Place;
use crate::domain::ports::{LoginHistory, StoreError};
use crate::store::record::{moment, parsed, wanted};

#[async_trait]
impl LoginHistory for SqliteStore {
    async fn failed(&self, user: Option<UserId>, report: &Report) -> Result<(), StoreError> {
        let report = report.clone();
        Ok(self.tell(move |transaction| failed(transaction, user, &report)).await?)
    }

    async fn logins(
        &self,
        user: UserId,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<LoginEntry>, StoreError> {
        self.read(move |transaction| page(transaction, user, after, limit)).await
    }

    async fn acquaintance(&self, user: UserId, device: &str) -> Result<Acquaintance, StoreError> {
        let device = device.to_owned();
        self.read(move |transaction| acquaintance(transaction, user, &device)).await
    }
}

/// For an unknown user the same statements run, and find nobody; only what is told to others of nobody is not written.
fn failed(transaction: &Transaction<'_>, user: Option<UserId>, report: &Report) -> Result<(), SqliteError> {
    let somebody = user.unwrap_or(UserId::from(Uuid::nil()));
    if !append_if_there(transaction, somebody, report)?
        && let Some(entry) = &report.login
    {
        insert(transaction, None, entry)?;
    }
    Ok(())
}

/// Those that nobody may see any more go when new ones come.
const CLEAN_UP: &str = "
    DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE at <= ? ORDER BY at LIMIT 20)";

const INSERT: &str = "
    INSERT INTO logins (id, user, at, address, user_agent, failure, device)
    VALUES (:id, :user, :at, :address, :user_agent, :failure, :device)";

/// Remembers a login.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    user: Option<UserId>,
    entry: &LoginEntry,
) -> Result<(), SqliteError> {
    transaction.prepare_cached(CLEAN_UP)?.execute([oldest_kept(entry.at)])?;
    transaction.prepare_cached(INSERT)?.execute(named_params! {
        ":id": entry.id.as_bytes(),
        ":user": user.map(UserId::uuid).as_ref().map(Uuid::as_bytes),
        ":at": entry.at.as_millisecond(),
        ":address": entry.address.map(|address| address.to_string()),
        ":user_agent": entry.user_agent,
        ":failure": entry.failure.map(LoginFailure::as_str),
        ":device": entry.device(),
    })?;
    Ok(())
}

/// What happened before that need not be remembered at `now`.
pub(super) fn oldest_kept(now: Timestamp) -> i64 {
    let kept = SignedDuration::try_from(KEPT).unwrap_or(SignedDuration::MAX);
    now.saturating_sub(kept).unwrap_or(Timestamp::UNIX_EPOCH).as_millisecond()
}

const PAGE: &str = "
    SELECT * FROM logins WHERE user = :user AND (at, id) < (:at, :id) ORDER BY at DESC, id DESC LIMIT :limit";

fn page(
    transaction: &Transaction<'_>,
    user: UserId,
    after: Option<Place>,
    limit: u32,
) -> Result<Vec<LoginEntry>, SqliteError> {
    let (at, id) = behind(after);
    let mut statement = transaction.prepare_cached(PAGE)?;
    let rows = statement.query_map(
        named_params! { ":user": user.uuid().as_bytes(), ":at": at, ":id": id.as_bytes(), ":limit": limit },
        |row| Ok(entry(row)),
    )?;
    rows.map(|row| row?).collect()
}

fn entry(row: &Row<'_>) -> Result<LoginEntry, SqliteError> {
    let id = parsed(Uuid::from_slice(&row.get::<_, Vec<u8>>("id")?), "a login's id")?;
    let address: Option<String> = row.get("address")?;
    let failure: Option<String> = row.get("failure")?;
    let failure = failure.map(|name| wanted(LoginFailure::parse(&name), "why a login failed")).transpose()?;
    Ok(LoginEntry {
        id,
        at: moment(row.get("at")?, "a login's time")?,
        address: parsed(address.map(|text| text.parse()).transpose(), "a login's address")?,
        user_agent: row.get("user_agent")?,
        failure,
    })
}

const ACQUAINTANCE: &str = "
    SELECT EXISTS (SELECT 1 FROM logins WHERE user = :user AND device IS NOT NULL),
           EXISTS (SELECT 1 FROM logins WHERE user = :user AND device = :device)";

fn acquaintance(
    transaction: &Transaction<'_>,
    user: UserId,
    device: &str,
) -> Result<Acquaintance, SqliteError> {
    let mut statement = transaction.prepare_cached(ACQUAINTANCE)?;
    let (ever, with_it) = statement
        .query_row(named_params! { ":user": user.uuid().as_bytes(), ":device": device }, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok(Acquaintance::of(ever, with_it))
}
