//! Tokens that are dead before they expire, and how the gateway hears of them.

/// One worker's part in following the feed, as a pure state machine.
mod feed;
/// What the workers hand on to each other.
mod log;
/// Pages as the feed sends them.
mod page;
/// The set itself.
mod set;

pub use feed::{Feed, Knowledge, Poll};
pub use log::{Board, Slot};
pub use page::{Dead, Item, Page, PageError};
pub use set::{Marks, RevokedSet};
