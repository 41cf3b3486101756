use std::collections::BTreeSet;

use mongodb::bson::doc;
use mongodb::{ClientSession, error};

use super::connect::MongoStore;
use super::roles::RoleRecord;
use crate::domain::permit::ADMINISTRATION;
use crate::domain::user::UserStatus;

/// Why a transaction that took rights from somebody was given up.
pub(super) struct LastAdministrator;

/// What has to hold at the end of a transaction that may take rights from somebody.
#[must_use]
pub(super) struct Promise {
    was_any: bool,
}

impl Promise {
    /// Begins a transaction that may take rights from somebody. Two of them would each see the other's administrator still
    /// there, and so each has to write the same counter: one of them begins again, and then sees what the other did.
    pub(super) async fn make(transaction: &mut ClientSession, store: &MongoStore) -> error::Result<Self> {
        let (counter, raise) = (doc! { "_id": COUNTER }, doc! { "$inc": { "value": 1_i64 } });
        store.counters.update_one(counter, raise).upsert(true).session(&mut *transaction).await?;
        Ok(Self { was_any: is_any(transaction, store).await? })
    }

    /// Ends it: an error, which aborts it, if it took the rights of the last administrator. Where there was none before, as
    /// in a new database, there is nobody to keep.
    pub(super) async fn keep(self, transaction: &mut ClientSession, store: &MongoStore) -> error::Result<()> {
        if self.was_any && !is_any(transaction, store).await? {
            return Err(error::Error::custom(LastAdministrator));
        }
        Ok(())
    }
}

/// How often rights may have been taken from somebody.
pub(super) const COUNTER: &str = "administration";

/// Begins with the roles, of which few administer: so the work does not grow with the number of users.
async fn is_any(transaction: &mut ClientSession, store: &MongoStore) -> error::Result<bool> {
    let administer = doc! { "permissions": { "$in": ADMINISTRATION } };
    let mut found = store.roles.find(administer).session(&mut *transaction).await?;
    let mut roles = Vec::new();
    while let Some(role) = found.next(&mut *transaction).await.transpose()? {
        roles.push(role);
    }
    let names: Vec<&str> = roles.iter().map(|role| role._id.as_str()).collect();
    let owners = doc! { "roles": { "$in": names }, "status": UserStatus::Active.as_str() };
    let mut owners = store.users.find(owners).session(&mut *transaction).await?;
    while let Some(owner) = owners.next(&mut *transaction).await.transpose()? {
        if have_all(&roles, &owner.roles) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn have_all(roles: &[RoleRecord], owned: &[String]) -> bool {
    let owned = roles.iter().filter(|role| owned.contains(&role._id));
    let permissions: BTreeSet<&str> =
        owned.flat_map(|role| role.permissions.iter().map(String::as_str)).collect();
    ADMINISTRATION.iter().all(|permission| permissions.contains(permission))
}
