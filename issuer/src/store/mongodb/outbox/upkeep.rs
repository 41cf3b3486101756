use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::doc;
use mongodb::error::Result;

use super::{EntryRecord, time, waiting_in};
use crate::domain::outbox::{Channel, EntryState, OutboxStatus, Replay, swept};
use crate::domain::ports::StoreError;
use crate::store::mongodb::users::bson_id;
use crate::store::record::{earlier, moment};

/// Removes what was kept long enough.
pub(super) async fn sweep(outbox: &Collection<EntryRecord>, now: Timestamp, unheard: bool) -> Result<()> {
    for (channel, state, kept) in swept(unheard) {
        let until = time(earlier(now, kept));
        // By the time of the event, for the index, and then by the time at which it left, which is later.
        let old = doc! { "channel": channel.as_str(), "state": state.as_str(),
        "at": { "$lte": until }, "due": { "$lte": until } };
        outbox.delete_many(old).await?;
    }
    Ok(())
}

/// Counts.
pub(super) async fn status(
    outbox: &Collection<EntryRecord>,
    channel: Channel,
) -> Result<std::result::Result<OutboxStatus, StoreError>> {
    let count = async |state: EntryState| {
        outbox.count_documents(doc! { "channel": channel.as_str(), "state": state.as_str() }).await
    };
    let oldest = outbox.find_one(waiting_in(channel)).sort(doc! { "at": 1 }).await?;
    let oldest = oldest.map(|record| moment(record.at.timestamp_millis(), "an entry's time")).transpose();
    let (waiting, unroutable, parked) = (
        count(EntryState::Waiting).await?,
        count(EntryState::Unroutable).await?,
        count(EntryState::Parked).await?,
    );
    Ok(oldest.map(|oldest| OutboxStatus { waiting, oldest, unroutable, parked }))
}

/// What was tried in vain.
pub(super) async fn troubled(
    outbox: &Collection<EntryRecord>,
    channel: Channel,
    limit: u32,
) -> Result<Vec<EntryRecord>> {
    let mut found = Vec::new();
    for states in [vec![EntryState::Parked], vec![EntryState::Waiting, EntryState::Unroutable]] {
        let states: Vec<_> = states.into_iter().map(EntryState::as_str).collect();
        let filter =
            doc! { "channel": channel.as_str(), "state": { "$in": states }, "reason": { "$ne": null } };
        let room = i64::from(limit).saturating_sub_unsigned(found.len() as u64);
        if room > 0 {
            let rest = outbox.find(filter).sort(doc! { "at": 1 }).limit(room).await?;
            found.extend(rest.try_collect::<Vec<_>>().await?);
        }
    }
    Ok(found)
}

/// Makes entries wait again.
pub(super) async fn replay(outbox: &Collection<EntryRecord>, which: &Replay, now: Timestamp) -> Result<u64> {
    let mut filter = doc! { "channel": which.channel.as_str(), "state": which.state.as_str() };
    if let Some(user) = which.user {
        filter.insert("user", bson_id(user.uuid()));
    }
    if let Some(id) = which.id {
        filter.insert("_id", bson_id(id));
    }
    let anew = doc! {
        "$set": { "state": EntryState::Waiting.as_str(), "due": time(now), "attempts": 0_i64 },
        "$unset": { "claim": "", "reason": "" },
    };
    let replayed = outbox.update_many(filter, anew).await?.modified_count;
    let mut held_up = waiting_in(which.channel);
    held_up.insert("claim", doc! { "$exists": false });
    outbox.update_many(held_up, doc! { "$set": { "due": time(now) } }).await?;
    Ok(replayed)
}
