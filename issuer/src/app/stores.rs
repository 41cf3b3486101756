use std::sync::Arc;

use crate::config;
use crate::domain::ports::{Keys, Roles, Sessions, StoreHealth, Users};
use crate::store::OpenError;
use crate::store::mongodb::MongoStore;
use crate::store::sqlite::SqliteStore;

/// One store, seen through its ports.
pub(super) struct Stores {
    pub(super) users: Arc<dyn Users>,
    pub(super) roles: Arc<dyn Roles>,
    pub(super) sessions: Arc<dyn Sessions>,
    pub(super) keys: Arc<dyn Keys>,
    pub(super) health: Arc<dyn StoreHealth>,
}

impl Stores {
    /// Opens the store that the configuration names.
    pub(super) async fn open(settings: &config::Store) -> Result<Self, OpenError> {
        match settings {
            config::Store::Sqlite { path, .. } => Ok(Self::of(SqliteStore::open(path).await?)),
            config::Store::MongoDb { url, .. } => Ok(Self::of(MongoStore::connect(url.expose()).await?)),
        }
    }

    fn of<S: Users + Roles + Sessions + Keys + StoreHealth + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            users: store.clone(),
            roles: store.clone(),
            sessions: store.clone(),
            keys: store.clone(),
            health: store,
        }
    }
}
