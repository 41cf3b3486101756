use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use futures_util::{FutureExt as _, TryStreamExt as _};
use jiff::Timestamp;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, doc};
use mongodb::{ClientSession, error};
use serde::{Deserialize, Serialize};

use super::connect::{MongoStore, bounded, violated_index};
use super::outbox::append;
use super::sessions::time;
use crate::domain::attempts::{Admission, Counter, CounterKey, Rule, Tally, is_familiar, judge};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::ports::{Attempts, StoreError};

/// A document of the collection `attempts`. A TTL index removes it when it says nothing any more.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct AttemptRecord {
    _id: Binary,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Binary>,
    count: i64,
    closed_until: DateTime,
    forgotten_at: DateTime,
    familiar_until: DateTime,
    expires_at: DateTime,
    /// Another one after every write, and no other write's: whoever writes says which one he has read, and knows his own
    /// when he sees it.
    version: ObjectId,
}

/// Many attempts are in the same few documents, and transactions that meet there would start again and again. Each counter
/// is changed by a conditional write of its own instead; whoever loses looks again. Within a process they take turns, so
/// that only replicas ever race.
#[async_trait]
impl Attempts for MongoStore {
    async fn admit(&self, counters: &[Counter], now: Timestamp) -> Result<Admission, StoreError> {
        let (store, counters) = (self.clone(), counters.to_vec());
        bounded(async move { admit(&store, &counters, now).await }).await
    }

    async fn give_back(&self, counters: &[Counter], now: Timestamp) -> Result<(), StoreError> {
        let (store, counters) = (self.clone(), counters.to_vec());
        bounded(async move { give_back(&store, &counters, now).await }).await
    }

    async fn proven(
        &self,
        counters: &[Counter],
        now: Timestamp,
        familiar: Duration,
    ) -> Result<(), StoreError> {
        let (store, counters) = (self.clone(), counters.to_vec());
        let proven =
            async move { change(&store, &counters, |rule, tally| rule.proven(tally, now, familiar)).await };
        bounded(proven).await
    }

    async fn unlock(&self, accounts: &[CounterKey], user: UserId, report: &Report) -> Result<(), StoreError> {
        let (store, work) = (self.clone(), (accounts.to_vec(), user, report.clone()));
        bounded(async move {
            store
                .tell(work, |t, store, (accounts, user, report)| {
                    unlock(t, store, accounts, *user, report).boxed()
                })
                .await
        })
        .await
    }
}

async fn admit(store: &MongoStore, counters: &[Counter], now: Timestamp) -> error::Result<Admission> {
    // Before it is anybody's turn: whoever is refused must not keep others waiting.
    let (_, judged) = judged(store, counters, now).await?;
    if let Admission::Refused { .. } = judged {
        return Ok(judged);
    }
    let _turn = store.counting.lock().await;
    count(store, counters, now).await
}

async fn count(store: &MongoStore, counters: &[Counter], now: Timestamp) -> error::Result<Admission> {
    let (found, judged) = judged(store, counters, now).await?;
    if let Admission::Refused { .. } = judged {
        return Ok(judged);
    }
    let tallies: Vec<_> = found.iter().map(Found::tally).collect();
    let familiar = is_familiar(&tallies, now);
    let mut counted = Vec::new();
    for (counter, found) in counters.iter().zip(found) {
        let count = |tally| {
            let open = counter.rule.wait(tally, familiar, now).is_zero();
            open.then(|| counter.rule.counted(tally, now))
        };
        match revise(store, counter, found, count).await? {
            Some(tally) => counted.push(tally),
            // Others were quicker.
            None => {
                let back = |rule: Rule, tally| rule.given_back(tally, now);
                revise_all(store, &counters[..counted.len()], back).await?;
                return refusal(store, counters, now).await;
            }
        }
    }
    Ok(Admission::Admitted(counted))
}

/// How long to wait, after a race that was lost.
async fn refusal(store: &MongoStore, counters: &[Counter], now: Timestamp) -> error::Result<Admission> {
    Ok(match judged(store, counters, now).await? {
        (_, Admission::Admitted(_)) => Admission::Refused { wait: MOMENT },
        (_, refused) => refused,
    })
}

/// When it is over before it is looked at.
const MOMENT: Duration = Duration::from_secs(1);

/// What is there, and what it says to an attempt.
async fn judged(
    store: &MongoStore,
    counters: &[Counter],
    now: Timestamp,
) -> error::Result<(Vec<Found>, Admission)> {
    let found = read(store, counters).await?;
    let rules = counters.iter().map(|counter| counter.rule);
    let with_rules: Vec<_> = rules.zip(found.iter().map(Found::tally)).collect();
    Ok((found, judge(&with_rules, now)))
}

async fn give_back(store: &MongoStore, counters: &[Counter], now: Timestamp) -> error::Result<()> {
    change(store, counters, |rule, tally| rule.given_back(tally, now)).await
}

async fn change(
    store: &MongoStore,
    counters: &[Counter],
    change: impl Fn(Rule, Tally) -> Tally,
) -> error::Result<()> {
    let _turn = store.counting.lock().await;
    revise_all(store, counters, change).await
}

async fn revise_all(
    store: &MongoStore,
    counters: &[Counter],
    change: impl Fn(Rule, Tally) -> Tally,
) -> error::Result<()> {
    let found = read(store, counters).await?;
    let all = counters
        .iter()
        .zip(found)
        .map(|(counter, found)| revise(store, counter, found, |tally| Some(change(counter.rule, tally))));
    try_join_all(all).await.map(drop)
}

/// What is in the store of a counter.
struct Found(Option<AttemptRecord>);

impl Found {
    fn tally(&self) -> Tally {
        self.0.as_ref().map_or(Tally::NONE, AttemptRecord::tally)
    }
}

async fn read(store: &MongoStore, counters: &[Counter]) -> error::Result<Vec<Found>> {
    let keys: Vec<_> = counters.iter().map(|counter| binary(counter.key)).collect();
    let found = store.attempts.find(doc! { "_id": { "$in": keys } }).await?;
    let found: Vec<AttemptRecord> = found.try_collect().await?;
    let of =
        |counter: &Counter| Found(found.iter().find(|record| record._id.bytes == counter.key.0).cloned());
    Ok(counters.iter().map(of).collect())
}

/// Whoever loses a race looks again, and of all who race one wins; so only a sick store takes so many rounds.
const ROUNDS: usize = 1000;

/// Changes a counter, of which that was found, unless `change` has nothing to put in its place. Says what it put there.
async fn revise(
    store: &MongoStore,
    counter: &Counter,
    mut found: Found,
    change: impl Fn(Tally) -> Option<Tally>,
) -> error::Result<Option<Tally>> {
    for _ in 0..ROUNDS {
        let Some(tally) = change(found.tally()) else { return Ok(None) };
        let new = AttemptRecord::new(counter, tally);
        if replace(store, &found, &new).await? {
            return Ok(Some(tally));
        }
        found = Found(store.attempts.find_one(doc! { "_id": binary(counter.key) }).await?);
        // It was written after all, and the driver has asked twice.
        if found.0.as_ref().is_some_and(|found| found.version == new.version) {
            return Ok(Some(tally));
        }
    }
    Err(error::Error::custom("a counter did not come to rest"))
}

/// Puts `new` in the place of what was found, if that is still there. A write that finds something else waits all the same
/// until a majority has what came before it: so whoever lost reads what the winner wrote.
async fn replace(store: &MongoStore, found: &Found, new: &AttemptRecord) -> error::Result<bool> {
    let Some(old) = &found.0 else {
        return match store.attempts.insert_one(new).await {
            Ok(_) => Ok(true),
            Err(error) if violated_index(&error) == Some("_id_") => Ok(false),
            Err(error) => Err(error),
        };
    };
    let unchanged = doc! { "_id": &old._id, "version": old.version };
    Ok(store.attempts.replace_one(unchanged, new).await?.matched_count == 1)
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

impl AttemptRecord {
    fn new(counter: &Counter, tally: Tally) -> Self {
        Self {
            _id: binary(counter.key),
            account: counter.account.map(binary),
            count: tally.count.into(),
            closed_until: time(tally.closed_until),
            forgotten_at: time(tally.forgotten_at),
            familiar_until: time(tally.familiar_until),
            expires_at: time(tally.expires_at()),
            version: ObjectId::new(),
        }
    }

    /// What another program wrote there and is no count or no moment counts as nothing: the next write mends it.
    fn tally(&self) -> Tally {
        let moment = |at: DateTime| Timestamp::from_millisecond(at.timestamp_millis()).unwrap_or_default();
        Tally {
            count: u32::try_from(self.count).unwrap_or_default(),
            closed_until: moment(self.closed_until),
            forgotten_at: moment(self.forgotten_at),
            familiar_until: moment(self.familiar_until),
        }
    }
}

fn binary(key: CounterKey) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: key.0.to_vec() }
}
