use std::time::Duration;

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;

use super::administrators::COUNTER;
use super::connect::MongoStore;
use super::keys::RING;
use super::page::newest_first;
use super::revocations::PLACES;
use crate::domain::login_history::KEPT;
use crate::domain::ports::StoreError;

/// Who owns an e-mail address.
pub(super) const EMAIL: &str = "users_email";
/// Who owns a user name.
pub(super) const USERNAME: &str = "users_username";

/// Makes the indexes, and the documents that always exist; what is there stays. Never in a transaction, where MongoDB could
/// not make them.
pub(super) async fn run(store: &MongoStore) -> Result<(), StoreError> {
    // Only documents that have a user name are in its index, so that many can have none.
    let named = doc! { "username": { "$type": "string" } };
    for (collection, index) in [
        ("users", unique(doc! { "email": 1 }, EMAIL, None)),
        ("users", unique(doc! { "username": 1 }, USERNAME, Some(named))),
        ("users", IndexModel::builder().keys(doc! { "roles": 1 }).build()),
        ("users", IndexModel::builder().keys(newest_first("created_at")).build()),
        ("audit", IndexModel::builder().keys(newest_first("at")).build()),
        ("sessions", IndexModel::builder().keys(doc! { "user": 1 }).build()),
        ("sessions", expiring(doc! { "expires_at": 1 }, Duration::ZERO)),
        // The oldest first; then one user's in their order.
        ("outbox", IndexModel::builder().keys(doc! { "channel": 1, "state": 1, "at": 1 }).build()),
        (
            "outbox",
            IndexModel::builder().keys(doc! { "channel": 1, "state": 1, "user": 1, "sequence": 1 }).build(),
        ),
        ("one_time_tokens", expiring(doc! { "expires_at": 1 }, Duration::ZERO)),
        ("revocations", expiring(doc! { "until": 1 }, Duration::ZERO)),
        ("attempts", expiring(doc! { "expires_at": 1 }, Duration::ZERO)),
        ("attempts", IndexModel::builder().keys(doc! { "account": 1 }).build()),
        ("logins", expiring(doc! { "at": 1 }, KEPT)),
        ("logins", IndexModel::builder().keys(doc! { "user": 1, "at": -1, "_id": -1 }).build()),
        ("logins", IndexModel::builder().keys(doc! { "user": 1, "device": 1 }).build()),
        ("alerts", expiring(doc! { "at": 1 }, KEPT)),
        ("alerts", IndexModel::builder().keys(newest_first("at")).build()),
        ("keys", unique(doc! { "kind": 1, "number": 1 }, "keys_kind_number", None)),
    ] {
        let collection = store.database.collection::<Document>(collection);
        store.bounded(async move { collection.create_index(index).await }).await.map(drop)?;
    }
    // So that transactions find them: two that had to make one would be in each other's way.
    for counter in [PLACES, RING, COUNTER] {
        let counters = store.database.collection::<Document>("counters");
        let zero = doc! { "$setOnInsert": { "value": 0_i64 } };
        store
            .bounded(async move { counters.update_one(doc! { "_id": counter }, zero).upsert(true).await })
            .await?;
    }
    Ok(())
}

/// Removes documents that long after the time they name.
fn expiring(keys: Document, after: Duration) -> IndexModel {
    IndexModel::builder().keys(keys).options(IndexOptions::builder().expire_after(after).build()).build()
}

fn unique(keys: Document, name: &str, only: Option<Document>) -> IndexModel {
    let options =
        IndexOptions::builder().unique(true).name(name.to_owned()).partial_filter_expression(only).build();
    IndexModel::builder().keys(keys).options(options).build()
}
