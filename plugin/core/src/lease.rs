//! Leave to do something for all workers, which meet on a board that all can read and write.

use std::time::Duration;

use crate::UnixTime;

/// Leave until a certain time. Whoever writes last holds it; whether that is oneself shows at the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The worker that holds it.
    pub owner: u64,
    /// When it is free again.
    pub until: UnixTime,
}

impl Lease {
    /// Whether somebody else may take it. One that ends later than any that was written now, which are `longest`, is
    /// from before the clock was set back.
    pub(crate) fn is_free(self, longest: Duration, now: UnixTime) -> bool {
        self.until <= now || self.until > now.saturating_add(longest)
    }

    /// The lease as it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        [millis(self.until), self.owner.to_le_bytes()].concat()
    }

    /// A lease as it was written; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (moment, owner) = bytes.split_first_chunk()?;
        let owner = u64::from_le_bytes(owner.try_into().ok()?);
        Some(Self { owner, until: from_millis(*moment) })
    }
}

/// A moment as it is written.
pub(crate) fn millis(moment: UnixTime) -> [u8; 8] {
    u64::try_from(moment.as_millis()).unwrap_or(u64::MAX).to_le_bytes()
}

/// A moment as it was written.
pub(crate) fn from_millis(bytes: [u8; 8]) -> UnixTime {
    Duration::from_millis(u64::from_le_bytes(bytes))
}
