//! The outbox as a table. What a flow writes is in [`append`]; the rest is for whoever sends it.

/// Claiming what is due, and writing what became of it.
mod relay;
/// What an operator sees of it and does about it.
mod upkeep;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Error, OptionalExtension as _, Row, Transaction, named_params};
use tokio::sync::watch;
use uuid::Uuid;

use super::audit::record;
use super::connect::{SqliteError, SqliteStore};
use super::letters::issue;
use super::{alerts, logins};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::outbox::fate::Fate;
use crate::domain::outbox::{Channel, Claim, Claimed, OutboxEntry, OutboxStatus, Replay, Troubled};
use crate::domain::ports::{Outbox, StoreError};
use crate::store::record::{moment, parsed, stored, wanted};

#[async_trait]
impl Outbox for SqliteStore {
    async fn of_user(&self, user: UserId) -> Result<Vec<OutboxEntry>, StoreError> {
        self.read(move |transaction| of_user(transaction, user)).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let claim = *claim;
        // Reading first costs nothing, and most of the time nothing is due.
        if !self.read(move |transaction| relay::is_due(transaction, &claim)).await? {
            return Ok(Claimed::nothing(claim));
        }
        Ok(self.write(move |transaction| relay::claim(transaction, claim)).await?)
    }

    async fn settle(
        &self,
        claimed: &Claimed,
        fates: &[(Uuid, Fate)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (claim, users) = (claimed.claim, claimed.users.clone());
        let fates: Vec<_> = claimed.held_up.iter().chain(fates).cloned().collect();
        Ok(self.write(move |transaction| relay::settle(transaction, (claim, &users), &fates, now)).await?)
    }

    async fn sweep(&self, now: Timestamp, unheard: bool) -> Result<(), StoreError> {
        Ok(self.write(move |transaction| upkeep::sweep(transaction, now, unheard)).await?)
    }

    async fn status(&self, channel: Channel) -> Result<OutboxStatus, StoreError> {
        self.read(move |transaction| upkeep::status(transaction, channel)).await
    }

    async fn troubled(&self, channel: Channel, limit: u32) -> Result<Vec<Troubled>, StoreError> {
        self.read(move |transaction| upkeep::troubled(transaction, channel, limit)).await
    }

    async fn replay(&self, which: &Replay, now: Timestamp) -> Result<u64, StoreError> {
        let which = *which;
        Ok(self.tell(move |transaction| upkeep::replay(transaction, &which, now)).await?)
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.follow()
    }
}

const COUNT: &str = "UPDATE users SET events = events + ? WHERE id = ? RETURNING events";

const INSERT: &str = "
    INSERT INTO outbox (id, channel, user, sequence, kind, at, request_id, data, due)
    VALUES (:id, :channel, :user, :sequence, :kind, :at, :request_id, :data, :at)";

/// Writes what the report tells about the user, who has to be there still, and what it keeps on record.
pub(super) fn append(
    transaction: &Transaction<'_>,
    user: UserId,
    report: &Report,
) -> Result<(), SqliteError> {
    match append_if_there(transaction, user, report)? {
        true => Ok(()),
        false => Err(Error::QueryReturnedNoRows.into()),
    }
}

/// The same, and says whether the user is there; if not, nothing was written.
pub(super) fn append_if_there(
    transaction: &Transaction<'_>,
    user: UserId,
    report: &Report,
) -> Result<bool, SqliteError> {
    record(transaction, report)?;
    if report.is_silent() {
        return Ok(true);
    }
    let id = user.uuid();
    let count = stored(report.events.len() as u64);
    let mut raise = transaction.prepare_cached(COUNT)?;
    let count = raise.query_row((count, id.as_bytes()), |row| row.get::<_, i64>(0)).optional()?;
    let Some(count) = count else { return Ok(false) };
    let count = parsed(u64::try_from(count), "a user's events")?;
    append_counted(transaction, (user, count), report).map(|()| true)
}

/// The same for a user whose last event already has the number `count`, these included; or for nobody.
pub(super) fn append_counted(
    transaction: &Transaction<'_>,
    (user, count): (UserId, u64),
    report: &Report,
) -> Result<(), SqliteError> {
    if let Some(entry) = &report.login {
        logins::insert(transaction, Some(user), entry)?;
    }
    let mut insert = transaction.prepare_cached(INSERT)?;
    for entry in report.outbox(user, count) {
        insert.execute(named_params! {
            ":id": entry.id.as_bytes(),
            ":channel": entry.channel.as_str(),
            ":user": entry.user.uuid().as_bytes(),
            ":sequence": stored(entry.sequence),
            ":kind": entry.kind,
            ":at": entry.at.as_millisecond(),
            ":request_id": entry.request_id,
            ":data": entry.data,
        })?;
        if entry.is_alert() {
            alerts::keep(transaction, &entry)?;
        }
    }
    match &report.token {
        Some(token) => issue(transaction, token, report.at),
        None => Ok(()),
    }
}

fn of_user(transaction: &Transaction<'_>, user: UserId) -> Result<Vec<OutboxEntry>, SqliteError> {
    let mut statement = transaction.prepare_cached(
        "SELECT * FROM outbox
         WHERE channel = 'events' AND state IN ('waiting', 'done', 'unroutable', 'parked') AND user = ?
         ORDER BY sequence",
    )?;
    let rows = statement.query_map([user.uuid().as_bytes()], |row| Ok(entry(row)))?;
    rows.map(|row| row?).collect()
}

fn entry(row: &Row<'_>) -> Result<OutboxEntry, SqliteError> {
    Ok(OutboxEntry {
        id: uuid(row, "id")?,
        channel: wanted(Channel::parse(&row.get::<_, String>("channel")?), "an entry's channel")?,
        user: UserId::from(uuid(row, "user")?),
        sequence: parsed(u64::try_from(row.get::<_, i64>("sequence")?), "an entry's sequence")?,
        kind: row.get("kind")?,
        at: moment(row.get("at")?, "an entry's time")?,
        request_id: row.get("request_id")?,
        data: row.get("data")?,
        attempts: row.get("attempts")?,
    })
}

fn uuid(row: &Row<'_>, column: &str) -> Result<Uuid, Error> {
    let bytes: Vec<u8> = row.get(column)?;
    Uuid::from_slice(&bytes).map_err(|error| Error::FromSqlConversionFailure(0, Type::Blob, error.into()))
}
