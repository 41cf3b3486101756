use std::collections::{BTreeSet, HashMap};

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{Uuid, doc};
use mongodb::error::Result;
use serde::Deserialize;

use super::{EntryRecord, time, waiting_in};
use crate::domain::ids::UserId;
use crate::domain::outbox::fate::Fate;
use crate::domain::outbox::{Claim, EntryState};
use crate::store::mongodb::users::bson_id;

/// Whose an entry is.
#[derive(Deserialize)]
struct Owner {
    user: Uuid,
}

/// Claims, and reads what was claimed: whose it is, and all that waits or is parked of theirs.
pub(super) async fn claim(
    outbox: &Collection<EntryRecord>,
    claim: &Claim,
) -> Result<(Vec<Uuid>, Vec<EntryRecord>)> {
    let mut due = waiting_in(claim.channel);
    due.insert("due", doc! { "$lte": time(claim.now) });
    let longest_waiting = outbox
        .clone_with_type::<Owner>()
        .find(due.clone())
        .sort(doc! { "at": 1 })
        .limit(claim.limit.into())
        .projection(doc! { "_id": 0, "user": 1 })
        .await?
        .try_collect::<Vec<_>>()
        .await?;
    let users: BTreeSet<_> = longest_waiting.into_iter().map(|found| found.user).collect();
    if users.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let users: Vec<Uuid> = users.into_iter().collect();
    due.insert("user", doc! { "$in": &users });
    let taken = doc! { "$set": { "claim": bson_id(claim.id), "due": time(claim.until) } };
    outbox.update_many(due, taken).await?;
    let lines = doc! {
        "channel": claim.channel.as_str(),
        "state": { "$in": [EntryState::Waiting.as_str(), EntryState::Parked.as_str()] },
        "user": { "$in": &users },
    };
    let found = outbox.find(lines).sort(doc! { "user": 1, "sequence": 1 }).limit(claim.limit.into()).await?;
    Ok((users, found.try_collect().await?))
}

/// Writes the fates, those that are alike at once, and gives the rest back.
pub(super) async fn settle(
    outbox: &Collection<EntryRecord>,
    (claim, users): (Claim, &[UserId]),
    fates: &[(uuid::Uuid, Fate)],
    now: Timestamp,
) -> Result<()> {
    let mut alike: HashMap<&Fate, Vec<Uuid>> = HashMap::new();
    for (id, fate) in fates {
        alike.entry(fate).or_default().push(bson_id(*id));
    }
    for (fate, ids) in alike {
        settle_alike(outbox, ids, fate, (claim.id, now)).await?;
    }
    let mut rest = waiting_in(claim.channel);
    let users: Vec<Uuid> = users.iter().map(|user| bson_id(user.uuid())).collect();
    rest.insert("user", doc! { "$in": users });
    rest.insert("claim", bson_id(claim.id));
    let back = doc! { "$set": { "due": time(now) }, "$unset": { "claim": "" } };
    outbox.update_many(rest, back).await.map(drop)
}

async fn settle_alike(
    outbox: &Collection<EntryRecord>,
    ids: Vec<Uuid>,
    fate: &Fate,
    (claim, now): (uuid::Uuid, Timestamp),
) -> Result<()> {
    let waiting = EntryState::Waiting.as_str();
    // What the other side has, it has, whoever holds the claim by now; anything else is only for the holder to say.
    let sent = doc! { "_id": { "$in": &ids }, "state": waiting };
    let held = doc! { "_id": { "$in": &ids }, "state": waiting, "claim": bson_id(claim) };
    let no_claim = doc! { "claim": "" };
    let (filter, update) = match fate {
        Fate::Done => {
            let set = doc! { "state": EntryState::Done.as_str(), "due": time(now) };
            (sent, doc! { "$set": set, "$unset": { "claim": "", "reason": "" } })
        }
        Fate::Removed => return outbox.delete_many(sent).await.map(drop),
        Fate::Unroutable => {
            let state = EntryState::Unroutable.as_str();
            let set = doc! { "state": state, "due": time(now), "reason": "no queue is bound for it" };
            (held, doc! { "$set": set, "$unset": no_claim })
        }
        Fate::Again { due, reason } => {
            let set = doc! { "due": time(*due), "reason": reason };
            (held, doc! { "$set": set, "$inc": { "attempts": 1_i64 }, "$unset": no_claim })
        }
        Fate::Parked { reason } => {
            let set = doc! { "state": EntryState::Parked.as_str(), "reason": reason };
            (held, doc! { "$set": set, "$inc": { "attempts": 1_i64 }, "$unset": no_claim })
        }
        Fate::Later { due } => (held, doc! { "$set": { "due": time(*due) }, "$unset": no_claim }),
    };
    outbox.update_many(filter, update).await.map(drop)
}
