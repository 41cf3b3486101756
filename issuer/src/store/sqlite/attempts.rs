use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};

use super::connect::{SqliteError, SqliteStore};
use super::outbox::append;
use crate::domain::attempts::{Admission, Counter, CounterKey, Rule, Tally, judge};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::ports::{Attempts, StoreError};
use crate::store::record::moment;

#[async_trait]
impl Attempts for SqliteStore {
    async fn admit(&self, counters: &[Counter], now: Timestamp) -> Result<Admission, StoreError> {
        let counters = counters.to_vec();
        // First on a connection that reads: whoever is refused must not keep others from writing.
        let wanted = counters.clone();
        let refused = self.read(move |transaction| judged(transaction, &wanted, now)).await?;
        if let Admission::Refused { .. } = refused {
            return Ok(refused);
        }
        Ok(self.write(move |transaction| admit(transaction, &counters, now)).await?)
    }

    async fn give_back(&self, counters: &[Counter], now: Timestamp) -> Result<(), StoreError> {
        self.change(counters, move |rule, tally| rule.given_back(tally, now)).await
    }

    async fn proven(
        &self,
        counters: &[Counter],
        now: Timestamp,
        familiar: Duration,
    ) -> Result<(), StoreError> {
        self.change(counters, move |rule, tally| rule.proven(tally, now, familiar)).await
    }

    async fn unlock(&self, accounts: &[CounterKey], user: UserId, report: &Report) -> Result<(), StoreError> {
        let (accounts, report) = (accounts.to_vec(), report.clone());
        Ok(self.tell(move |transaction| unlock(transaction, &accounts, user, &report)).await?)
    }
}

impl SqliteStore {
    async fn change(
        &self,
        counters: &[Counter],
        change: impl Fn(Rule, Tally) -> Tally + Send + 'static,
    ) -> Result<(), StoreError> {
        let counters = counters.to_vec();
        let write = move |transaction: &Transaction<'_>| {
            for counter in &counters {
                let tally = find(transaction, counter.key)?;
                put(transaction, counter, change(counter.rule, tally))?;
            }
            Ok(())
        };
        Ok(self.write(write).await?)
    }
}

/// Old counters go when new ones come, a few more than come; so no single attempt pays for many.
const CLEAN_UP: &str = "
    DELETE FROM attempts
    WHERE key IN (SELECT key FROM attempts WHERE expires_at <= ? ORDER BY expires_at LIMIT 20)";

fn admit(
    transaction: &Transaction<'_>,
    counters: &[Counter],
    now: Timestamp,
) -> Result<Admission, SqliteError> {
    let admission = judged(transaction, counters, now)?;
    if let Admission::Admitted(tallies) = &admission {
        transaction.prepare_cached(CLEAN_UP)?.execute([now.as_millisecond()])?;
        for (counter, tally) in counters.iter().zip(tallies) {
            put(transaction, counter, *tally)?;
        }
    }
    Ok(admission)
}

fn judged(
    transaction: &Transaction<'_>,
    counters: &[Counter],
    now: Timestamp,
) -> Result<Admission, SqliteError> {
    let found = counters.iter().map(|counter| Ok((counter.rule, find(transaction, counter.key)?)));
    Ok(judge(&found.collect::<Result<Vec<_>, SqliteError>>()?, now))
}

fn find(transaction: &Transaction<'_>, key: CounterKey) -> Result<Tally, SqliteError> {
    let mut statement = transaction.prepare_cached("SELECT * FROM attempts WHERE key = ?")?;
    let found = statement.query_row([key.0.as_slice()], |row| Ok(tally(row))).optional()?;
    found.unwrap_or(Ok(Tally::NONE))
}

fn tally(row: &Row<'_>) -> Result<Tally, SqliteError> {
    let time = |column| Ok::<_, SqliteError>(moment(row.get(column)?, column)?);
    Ok(Tally {
        count: row.get("count")?,
        closed_until: time("closed_until")?,
        forgotten_at: time("forgotten_at")?,
        familiar_until: time("familiar_until")?,
    })
}

const PUT: &str = "
    INSERT INTO attempts (key, account, count, closed_until, forgotten_at, familiar_until, expires_at)
    VALUES (:key, :account, :count, :closed_until, :forgotten_at, :familiar_until, :expires_at)
    ON CONFLICT (key) DO UPDATE SET
        count = excluded.count, closed_until = excluded.closed_until, forgotten_at = excluded.forgotten_at,
        familiar_until = excluded.familiar_until, expires_at = excluded.expires_at";

fn put(transaction: &Transaction<'_>, counter: &Counter, tally: Tally) -> Result<(), SqliteError> {
    transaction.prepare_cached(PUT)?.execute(named_params! {
        ":key": counter.key.0.as_slice(),
        ":account": counter.account.as_ref().map(|account| account.0.as_slice()),
        ":count": tally.count,
        ":closed_until": tally.closed_until.as_millisecond(),
        ":forgotten_at": tally.forgotten_at.as_millisecond(),
        ":familiar_until": tally.familiar_until.as_millisecond(),
        ":expires_at": tally.expires_at().as_millisecond(),
    })?;
    Ok(())
}

/// As [`Tally::opened`].
const UNLOCK: &str = "
    UPDATE attempts SET count = 0, closed_until = 0, forgotten_at = 0, expires_at = familiar_until
    WHERE account = ? AND count > 0";

fn unlock(
    transaction: &Transaction<'_>,
    accounts: &[CounterKey],
    user: UserId,
    report: &Report,
) -> Result<(), SqliteError> {
    let mut opened = 0;
    for account in accounts {
        opened += transaction.prepare_cached(UNLOCK)?.execute([account.0.as_slice()])?;
    }
    if opened == 0 { Ok(()) } else { append(transaction, user, report) }
}
