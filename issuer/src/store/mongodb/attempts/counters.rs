use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, DateTime, deserialize_from_document, doc, serialize_to_bson, serialize_to_document,
};
use mongodb::error;
use serde::{Deserialize, Serialize};

use super::super::connect::{DUPLICATE_KEY, MongoStore};
use super::super::sessions::time;
use crate::domain::attempts::{Counter, CounterKey, Rule, Tally};

/// A document of the collection `attempts`. A TTL index removes it when it says nothing any more.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::store::mongodb) struct AttemptRecord {
    _id: Binary,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Binary>,
    count: i64,
    closed_until: DateTime,
    forgotten_at: DateTime,
    familiar_until: DateTime,
    expires_at: DateTime,
    /// Another one after every write, and no other write's: whoever writes says which one he has read.
    version: ObjectId,
    /// Those before it, the latest first: an attempt that lost elsewhere has to know whether it is counted here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<ObjectId>,
}

/// A counter, and what was found of it.
pub(super) struct Found {
    pub(super) counter: Counter,
    record: Option<AttemptRecord>,
}

impl Found {
    pub(super) fn tally(&self) -> Tally {
        self.record.as_ref().map_or(Tally::NONE, AttemptRecord::tally)
    }

    /// What is written upon this.
    fn next(&self, tally: Tally) -> AttemptRecord {
        let mut before = Vec::new();
        if let Some(record) = &self.record {
            before.push(record.version);
            before.extend(record.before.iter().take(REMEMBERED));
        }
        AttemptRecord { before, ..AttemptRecord::new(&self.counter, tally) }
    }

    /// Whether that was written, even if others have written upon it since.
    fn has_in_it(&self, written: &AttemptRecord) -> bool {
        let versions = |record: &AttemptRecord| {
            record.version == written.version || record.before.contains(&written.version)
        };
        self.record.as_ref().is_some_and(versions)
    }
}

/// How many writes back everybody knows his own: more than come between a write and the next look.
const REMEMBERED: usize = 7;

pub(super) async fn read(store: &MongoStore, counters: &[Counter]) -> error::Result<Vec<Found>> {
    let keys: Vec<_> = counters.iter().map(|counter| binary(counter.key)).collect();
    let found = store.attempts.find(doc! { "_id": { "$in": keys } }).await?;
    let found: Vec<AttemptRecord> = found.try_collect().await?;
    let of = |counter: &Counter| found.iter().find(|record| record._id.bytes == counter.key.0).cloned();
    Ok(counters.iter().map(|counter| Found { counter: *counter, record: of(counter) }).collect())
}

/// What became of counters that were to change.
pub(super) struct Revised {
    /// Those that did, and what they say now.
    pub(super) written: Vec<(Counter, Tally)>,
    /// Whether there was nothing to put in the place of one of the others.
    pub(super) refused: bool,
}

/// Whoever loses a race looks again, and of all who race one wins; so only a sick store takes so many rounds.
const ROUNDS: usize = 1000;

/// Changes counters of which that was `found`, unless `change` has nothing to put in the place of one of them.
pub(super) async fn revise(
    store: &MongoStore,
    mut found: Vec<Found>,
    change: impl Fn(Rule, Tally) -> Option<Tally>,
) -> error::Result<Revised> {
    let (mut written, mut has_failed) = (Vec::new(), false);
    for _ in 0..ROUNDS {
        if found.is_empty() {
            return Ok(Revised { written, refused: false });
        }
        let change = |found: &Found| change(found.counter.rule, found.tally());
        let Some(tallies) = found.iter().map(change).collect::<Option<Vec<_>>>() else {
            return Ok(Revised { written, refused: true });
        };
        let new: Vec<_> = found.iter().zip(&tallies).map(|(found, tally)| found.next(*tally)).collect();
        let all_replaced = match replace(store, &found, &new).await {
            Ok(all_replaced) => all_replaced,
            Err(error) if has_failed => return Err(error),
            // What is given to the driver as a command it does not repeat by itself.
            Err(_) => {
                has_failed = true;
                false
            }
        };
        if !all_replaced {
            let counters: Vec<_> = found.iter().map(|found| found.counter).collect();
            found = read(store, &counters).await?;
        }
        let mut others = Vec::new();
        for (found, (tally, new)) in found.into_iter().zip(tallies.into_iter().zip(new)) {
            if all_replaced || found.has_in_it(&new) {
                written.push((found.counter, tally));
            } else {
                others.push(found);
            }
        }
        found = others;
    }
    Err(error::Error::custom("counters did not come to rest"))
}

/// What the server says of a command that updates.
#[derive(Deserialize)]
struct Updated {
    n: usize,
    #[serde(default, rename = "writeErrors")]
    refused: Vec<WriteError>,
    #[serde(rename = "writeConcernError")]
    unconfirmed: Option<WriteError>,
}

#[derive(Deserialize)]
struct WriteError {
    code: i32,
}

/// Puts `new` in the place of what was found, where that is still there, and says whether that is everywhere: in one command,
/// because each would have to wait for the journal. A write that finds something else waits all the same until a majority
/// has what came before it: so whoever lost reads what the winner wrote.
async fn replace(store: &MongoStore, found: &[Found], new: &[AttemptRecord]) -> error::Result<bool> {
    let mut updates = Vec::new();
    for (found, new) in found.iter().zip(new) {
        // Where there was none, and is one by now, a second one is refused.
        let version = found.record.as_ref().map(|record| record.version);
        let unchanged = doc! { "_id": &new._id, "version": version };
        let (new, upsert) = (serialize_to_document(new)?, found.record.is_none());
        updates.push(doc! { "q": unchanged, "u": new, "upsert": upsert });
    }
    let command = doc! {
        "update": store.attempts.name(),
        "updates": updates,
        "ordered": false,
        "writeConcern": serialize_to_bson(&store.database.write_concern())?,
    };
    let updated: Updated = deserialize_from_document(store.database.run_command(command).await?)?;
    let mut codes = updated.refused.iter().chain(&updated.unconfirmed).map(|error| error.code);
    if let Some(code) = codes.find(|code| *code != DUPLICATE_KEY) {
        return Err(error::Error::custom(format!("counters were not written: error {code}")));
    }
    Ok(updated.n == new.len())
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
            before: Vec::new(),
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

pub(super) fn binary(key: CounterKey) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: key.0.to_vec() }
}
