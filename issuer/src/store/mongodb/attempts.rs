/// What is in the store of a counter, and how that changes.
mod counters;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use mongodb::{ClientSession, error};

pub(super) use self::counters::AttemptRecord;
use self::counters::{Found, Revised, binary, read, revise};
use super::connect::MongoStore;
use super::outbox::append;
use super::sessions::time;
use crate::domain::attempts::{Admission, Counter, CounterKey, Rule, Tally, is_familiar, judge};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::ports::{Attempts, StoreError};

/// Many attempts are in the same few documents, and transactions that meet there would start again and again. Counters
/// are changed by conditional writes instead, and whoever loses looks again. Within a process they take turns, so that
/// only replicas ever race.
#[async_trait]
impl Attempts for MongoStore {
    async fn admit(&self, counters: &[Counter], now: Timestamp) -> Result<Admission, StoreError> {
        let (store, counters) = (self.clone(), counters.to_vec());
        self.bounded(async move { admit(&store, &counters, now).await }).await
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
        let (store, work) = (self.clone(), (accounts.to_vec(), user, report.clone()));
        self.bounded(async move {
            store
                .tell(work, |t, store, (accounts, user, report)| {
                    unlock(t, store, accounts, *user, report).boxed()
                })
                .await
        })
        .await
    }
}

impl MongoStore {
    async fn change(
        &self,
        counters: &[Counter],
        change: impl Fn(Rule, Tally) -> Tally + Send + Sync + 'static,
    ) -> Result<(), StoreError> {
        let (store, counters) = (self.clone(), counters.to_vec());
        self.bounded(async move {
            let _turn = store.counting.lock().await;
            change_all(&store, &counters, change).await
        })
        .await
    }
}

async fn admit(store: &MongoStore, counters: &[Counter], now: Timestamp) -> error::Result<Admission> {
    // Before it is anybody's turn: whoever is refused must not keep others waiting.
    let found = read(store, counters).await?;
    if let refused @ Admission::Refused { .. } = judged(&found, now) {
        return Ok(refused);
    }
    if let Ok(_turn) = store.counting.try_lock() {
        return count(store, counters, found, now).await;
    }
    let _turn = store.counting.lock().await;
    let found = read(store, counters).await?;
    match judged(&found, now) {
        Admission::Admitted(_) => count(store, counters, found, now).await,
        refused => Ok(refused),
    }
}

async fn count(
    store: &MongoStore,
    counters: &[Counter],
    found: Vec<Found>,
    now: Timestamp,
) -> error::Result<Admission> {
    let familiar = is_familiar(&found.iter().map(Found::tally).collect::<Vec<_>>(), now);
    let count = |rule: Rule, tally| {
        let open = rule.wait(tally, familiar, now).is_zero();
        open.then(|| rule.counted(tally, now))
    };
    let Revised { written, refused } = revise(store, found, count).await?;
    if refused {
        // Others were quicker.
        let counted: Vec<_> = written.iter().map(|(counter, _)| *counter).collect();
        change_all(store, &counted, |rule, tally| rule.given_back(tally, now)).await?;
        return refusal(store, counters, now).await;
    }
    let tally = |counter| written.iter().find(|(written, _)| written == counter).map(|(_, tally)| *tally);
    Ok(Admission::Admitted(counters.iter().filter_map(tally).collect()))
}

/// How long to wait, after a race that was lost.
async fn refusal(store: &MongoStore, counters: &[Counter], now: Timestamp) -> error::Result<Admission> {
    Ok(match judged(&read(store, counters).await?, now) {
        Admission::Admitted(_) => Admission::Refused { wait: MOMENT },
        refused => refused,
    })
}

/// When it is over before it is looked at.
const MOMENT: Duration = Duration::from_secs(1);

/// What it says to an attempt.
fn judged(found: &[Found], now: Timestamp) -> Admission {
    judge(&found.iter().map(|found| (found.counter.rule, found.tally())).collect::<Vec<_>>(), now)
}

/// Whoever calls it has the turn.
async fn change_all(
    store: &MongoStore,
    counters: &[Counter],
    change: impl Fn(Rule, Tally) -> Tally,
) -> error::Result<()> {
    let found = read(store, counters).await?;
    revise(store, found, |rule, tally| Some(change(rule, tally))).await.map(drop)
}

async fn unlock(
    transaction: &mut ClientSession,
    store: &MongoStore,
    accounts: &[CounterKey],
    user: UserId,
    report: &Report,
) -> error::Result<()> {
    let accounts: Vec<_> = accounts.iter().map(|account| binary(*account)).collect();
    let closed = doc! { "account": { "$in": accounts }, "count": { "$gt": 0 } };
    // As `Tally::opened`.
    let never = time(Timestamp::UNIX_EPOCH);
    let version = ObjectId::new();
    let set = doc! { "count": 0_i64, "closed_until": never, "forgotten_at": never, "version": version };
    let opened = store.attempts.update_many(closed, doc! { "$set": set });
    if opened.session(&mut *transaction).await?.matched_count == 0 {
        return Ok(());
    }
    append(transaction, store, user, report).await
}
