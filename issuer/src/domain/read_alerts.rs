use std::sync::Arc;

use super::alert::KeptAlert;
use super::page::{Page, PageSize, Place};
use super::permit::{AuditRead, Permit};
use super::ports::{Alerts, StoreError};

/// Lets those who may see what somebody should look at.
pub struct ReadAlerts {
    /// Where alerts are kept.
    pub alerts: Arc<dyn Alerts>,
}

impl ReadAlerts {
    /// All of them, the latest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn list(
        &self,
        _: &Permit<AuditRead>,
        after: Option<Place>,
        size: PageSize,
    ) -> Result<Page<KeptAlert>, StoreError> {
        Ok(Page::of(self.alerts.raised(after, size.and_one()).await?, size, KeptAlert::place))
    }
}
