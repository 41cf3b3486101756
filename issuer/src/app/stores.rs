use std::sync::Arc;

use crate::config;
use crate::domain::ports::{
    Alerts, Attempts, Audit, Keys, Letters, LoginHistory, Outbox, Revocations, Roles, Sessions, Store,
    StoreHealth, Users,
};
use crate::store::OpenError;
use crate::store::mongodb::MongoStore;
use crate::store::pulse::Pulse;
use crate::store::sqlite::SqliteStore;
use crate::store::watched::{StoreWatch, Watched};

/// One store, seen through its ports.
pub(super) struct Stores {
    pub(super) users: Arc<dyn Users>,
    pub(super) roles: Arc<dyn Roles>,
    pub(super) sessions: Arc<dyn Sessions>,
    pub(super) letters: Arc<dyn Letters>,
    pub(super) keys: Arc<dyn Keys>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) revocations: Arc<dyn Revocations>,
    pub(super) audit: Arc<dyn Audit>,
    pub(super) attempts: Arc<dyn Attempts>,
    pub(super) history: Arc<dyn LoginHistory>,
    pub(super) alerts: Arc<dyn Alerts>,
    pub(super) health: Arc<dyn StoreHealth>,
}

impl Stores {
    /// Opens the store that the configuration names.
    pub(super) async fn open(
        settings: &config::Store,
        watch: Arc<dyn StoreWatch>,
    ) -> Result<Self, OpenError> {
        match settings {
            config::Store::Sqlite { path, .. } => Ok(Self::of(SqliteStore::open(path).await?, watch)),
            config::Store::MongoDb { url, .. } => {
                Ok(Self::of(MongoStore::connect(url.expose()).await?, watch))
            }
        }
    }

    fn of(store: impl Store + 'static, watch: Arc<dyn StoreWatch>) -> Self {
        let store = Arc::new(Watched::new(store, watch));
        Self {
            users: store.clone(),
            roles: store.clone(),
            sessions: store.clone(),
            letters: store.clone(),
            keys: store.clone(),
            outbox: store.clone(),
            revocations: store.clone(),
            audit: store.clone(),
            attempts: store.clone(),
            history: store.clone(),
            alerts: store.clone(),
            health: Arc::new(Pulse::new(store)),
        }
    }
}
