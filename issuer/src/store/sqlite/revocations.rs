use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};
use tokio::sync::watch;
use uuid::Uuid;

use super::connect::{SqliteError, SqliteStore};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::keys::KeyId;
use crate::domain::ports::{Revocations, StoreError};
use crate::domain::revocation::{Revocation, RevocationPage, Revoked, kept_until};
use crate::store::record::{moment, parsed, stored, wanted};

#[async_trait]
impl Revocations for SqliteStore {
    async fn after(&self, after: u64, limit: u32, now: Timestamp) -> Result<RevocationPage, StoreError> {
        self.read(move |transaction| page(transaction, after, limit, now)).await
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.follow()
    }
}

const INSERT: &str = "
    INSERT INTO revocations (seq, session, user, epoch, key, until)
    VALUES (max(:at, 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revocations'), 0)),
            :session, :user, :epoch, :key, :until)";

/// Adds an entry, and forgets what need not be known any more. One transaction writes at a time, so places become visible
/// in their order.
pub(super) fn revoke(
    transaction: &Transaction<'_>,
    revoked: &Revoked,
    at: Timestamp,
) -> Result<(), SqliteError> {
    let (mut session, mut user, mut epoch, mut key) = (None, None, None, None);
    match revoked {
        Revoked::Session(id) => session = Some(id.uuid()),
        Revoked::User { user: id, epoch: first_good } => {
            user = Some(id.uuid());
            epoch = Some(stored(*first_good));
        }
        Revoked::Key(id) => key = Some(id.as_str()),
    }
    transaction.prepare_cached("DELETE FROM revocations WHERE until <= ?")?.execute([at.as_millisecond()])?;
    transaction.prepare_cached(INSERT)?.execute(named_params! {
        ":at": at.as_millisecond(),
        ":session": session.as_ref().map(Uuid::as_bytes),
        ":user": user.as_ref().map(Uuid::as_bytes),
        ":epoch": epoch,
        ":key": key,
        ":until": kept_until(at).as_millisecond(),
    })?;
    Ok(())
}

const PAGE: &str = "SELECT * FROM revocations WHERE seq > ? AND until > ? ORDER BY seq LIMIT ?";
const NEWEST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'revocations'";

fn page(
    transaction: &Transaction<'_>,
    after: u64,
    limit: u32,
    now: Timestamp,
) -> Result<RevocationPage, SqliteError> {
    let newest: Option<i64> =
        transaction.prepare_cached(NEWEST)?.query_row([], |row| row.get(0)).optional()?;
    let mut statement = transaction.prepare_cached(PAGE)?;
    let rows =
        statement.query_map((stored(after), now.as_millisecond(), limit), |row| Ok(revocation(row)))?;
    Ok(RevocationPage {
        items: rows.map(|row| row?).collect::<Result<_, SqliteError>>()?,
        newest: parsed(u64::try_from(newest.unwrap_or(0)), "the newest revocation")?,
    })
}

fn revocation(row: &Row<'_>) -> Result<Revocation, SqliteError> {
    let uuid = |bytes: Vec<u8>| parsed(Uuid::from_slice(&bytes), "a revocation's id");
    let key: Option<String> = row.get("key")?;
    let revoked = match (row.get::<_, Option<Vec<u8>>>("session")?, row.get::<_, Option<Vec<u8>>>("user")?) {
        (Some(session), _) => Revoked::Session(SessionId::from(uuid(session)?)),
        (None, Some(user)) => Revoked::User {
            user: UserId::from(uuid(user)?),
            epoch: parsed(u64::try_from(row.get::<_, i64>("epoch")?), "a revocation's epoch")?,
        },
        (None, None) => Revoked::Key(KeyId::new(wanted(key, "what a revocation is about")?)),
    };
    Ok(Revocation {
        seq: parsed(u64::try_from(row.get::<_, i64>("seq")?), "a revocation's place")?,
        revoked,
        until: moment(row.get("until")?, "a revocation's end")?,
    })
}
