use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;

/// Whether the store answers.
#[async_trait]
pub trait StoreHealth: Send + Sync {
    /// Asks the store for the least that proves it can read and is the one to write to.
    ///
    /// # Errors
    /// When it cannot answer.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// The store could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer in time, or said no for a reason that may pass. The source names hosts: for logs only.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// It holds, or answered, something that this version cannot read.
    #[error("the store holds something that this version cannot read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// The store is unavailable because of `source`.
    #[must_use]
    pub fn unavailable(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Arc::new(source))
    }
}
