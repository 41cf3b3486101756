use std::sync::Arc;

use super::stores::Stores;
use super::{StartError, roles};
use crate::config::Config;
use crate::domain::clock::{SystemClock, SystemRandom};
use crate::domain::import::Import;
use crate::domain::keys::KeyPurpose;
use crate::domain::ports::Users;
use crate::store::OpenError;
use crate::telemetry::metrics::Metrics;

/// What takes over accounts from elsewhere. Needs no key: hashes are taken as they are.
///
/// # Errors
/// When the store cannot be opened.
pub async fn import(config: &Config) -> Result<Import, StartError> {
    let stores = Stores::open(&config.store, Arc::new(Metrics::new())).await?;
    roles::ensure(&*stores.roles, &config.roles).await.map_err(OpenError::from)?;
    let ring = stores.keys.load().await.map_err(OpenError::from)?;
    let peppers = ring.keys.into_iter().map(|key| key.entry);
    let peppers = peppers.filter(|entry| entry.kind.purpose() == KeyPurpose::Pepper && !entry.revoked);
    Ok(Import {
        users: stores.users,
        outbox: stores.outbox,
        roles: stores.roles,
        peppers: peppers.map(|entry| entry.id).collect(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        known_roles: Default::default(),
    })
}

/// All accounts.
///
/// # Errors
/// When the store cannot be opened.
pub async fn users(config: &Config) -> Result<Arc<dyn Users>, StartError> {
    Ok(Stores::open(&config.store, Arc::new(Metrics::new())).await?.users)
}
