use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::stores::Stores;
use super::{StartError, master_key, signing};
use crate::config::Config;
use crate::crypto::keeper::{RingKeeper, RingMeans};
use crate::crypto::ring::RingError;
use crate::domain::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::domain::keys::KeyEntry;
use crate::domain::keys::rules::{RingRules, Stage};
use crate::domain::ports::Keys;
use crate::store::OpenError;
use crate::telemetry::metrics::Metrics;

/// A key of the ring, and how far it has come.
pub struct ListedKey {
    /// What anybody may know of it.
    pub entry: KeyEntry,
    /// How far it has come.
    pub stage: Stage,
    /// When another one takes over, or has.
    pub active_until: Option<Timestamp>,
    /// How long ago it was made.
    pub age: std::time::Duration,
}

/// What became of a change of the master key.
pub enum Resealed {
    /// So many keys are sealed under the new one.
    Yes(usize),
    /// They had been before.
    Before,
}

/// All keys: those of one purpose together, the oldest first. Needs no master key, and changes nothing.
///
/// # Errors
/// When the store cannot be opened.
pub async fn list(config: &Config) -> Result<Vec<ListedKey>, StartError> {
    let keys = Stores::open(&config.store, Arc::new(Metrics::new())).await?.keys;
    let sealed = keys.load().await.map_err(OpenError::from)?;
    let (rules, now) = (rules(config), SystemClock.now());
    let mut entries: Vec<KeyEntry> = sealed.keys.into_iter().map(|key| key.entry).collect();
    entries.sort_by_key(|entry| (entry.kind.purpose().as_str(), entry.active_from, entry.number));
    let listed = entries.iter().zip(rules.stages(&entries, now)).map(|(entry, stage)| ListedKey {
        entry: entry.clone(),
        stage,
        active_until: rules.active_until(entry, &entries),
        age: now.duration_since(entry.created_at).try_into().unwrap_or_default(),
    });
    Ok(listed.collect())
}

/// The ring as it is, to be changed.
///
/// # Errors
/// See [`StartError`].
pub async fn open(config: &Config) -> Result<RingKeeper, StartError> {
    Ok(RingKeeper::open_existing(system_means(config).await?).await?)
}

/// Seals the ring under the master key in the file, which is made if there is none.
///
/// # Errors
/// See [`StartError`]. Then the ring is as it was.
pub async fn reseal(config: &Config, file: &Path) -> Result<Resealed, StartError> {
    let means = system_means(config).await?;
    let new = master_key::at(file, &SystemRandom)?;
    match RingKeeper::open_existing(means.clone()).await {
        Ok(ring) if !new.is(&means.master) => Ok(Resealed::Yes(ring.reseal(&new).await?)),
        Ok(_) => Ok(Resealed::Before),
        // A second run, after one that was killed, or whose answer was lost.
        Err(RingError::WrongMasterKey) => {
            RingKeeper::open_existing(RingMeans { master: Arc::new(new), ..means }).await?;
            Ok(Resealed::Before)
        }
        Err(error) => Err(error.into()),
    }
}

/// What a keeper of that configuration works with.
pub(super) fn means(
    config: &Config,
    store: Arc<dyn Keys>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<RingMeans, StartError> {
    let master = master_key::of(&config.store, &*random)?;
    Ok(RingMeans { store, master, rules: rules(config), clock, random })
}

async fn system_means(config: &Config) -> Result<RingMeans, StartError> {
    let store = Stores::open(&config.store, Arc::new(Metrics::new())).await?.keys;
    means(config, store, Arc::new(SystemClock), Arc::new(SystemRandom))
}

fn rules(config: &Config) -> RingRules {
    RingRules {
        signing: signing(&config.token).ring_algorithm(),
        rotate_every: config.rotate_keys_every,
        session: config.token.session_ttl,
    }
}
