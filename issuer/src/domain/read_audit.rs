use std::sync::Arc;

use super::audit::AuditEntry;
use super::page::{Page, PageSize, Place};
use super::permit::{AuditRead, Permit};
use super::ports::{Audit, StoreError};

/// Lets those who may see what administrators did.
pub struct ReadAudit {
    /// What they did.
    pub audit: Arc<dyn Audit>,
}

impl ReadAudit {
    /// All of it, the newest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn list(
        &self,
        _: &Permit<AuditRead>,
        after: Option<Place>,
        size: PageSize,
    ) -> Result<Page<AuditEntry>, StoreError> {
        Ok(Page::of(self.audit.entries(after, size.and_one()).await?, size, AuditEntry::place))
    }
}
