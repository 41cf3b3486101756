//! What the workers hand on to each other: a log of revocations in chunks of a board that all can read and write, and
//! a head that says how much of it counts.
//!
//! Only the worker that holds the lease writes, chunks before the head. A generation is written in full before the
//! head names it, beside the one before, so a reader finds one or the other.

use super::page::{Dead, Item};
use crate::UnixTime;
use crate::lease::{from_millis, millis};

/// Entries of one chunk. The last chunk is written anew for each that is added, so it is not large.
pub(super) const CHUNK: u64 = if cfg!(test) { 4 } else { 1_000 };

/// What all workers of an Envoy see. Whoever writes an entry last wins.
pub trait Board {
    /// What stands there.
    fn read(&self, slot: Slot) -> Option<Vec<u8>>;
    /// Puts something there.
    fn write(&mut self, slot: Slot, value: &[u8]);
}

/// An entry of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Who may follow the feed.
    Lease,
    /// How much of the log counts.
    Head,
    /// A piece of the log. Two generations can lie side by side.
    Chunk {
        /// Whether its generation is odd.
        odd: bool,
        /// Its place.
        number: u64,
    },
}

/// How much of the log counts, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Grows by one whenever the log begins anew.
    pub(super) generation: u64,
    /// Entries in it.
    pub(super) items: u64,
    /// Where the feed goes on.
    pub(super) cursor: u64,
    /// As of when it held everything there was.
    pub(super) synced_at: UnixTime,
}

impl Head {
    pub(super) fn read(board: &impl Board) -> Option<Self> {
        let bytes = board.read(Slot::Head)?;
        let ([generation, items, cursor, synced_at], []) = bytes.as_chunks::<8>() else { return None };
        Some(Self {
            generation: u64::from_le_bytes(*generation),
            items: u64::from_le_bytes(*items),
            cursor: u64::from_le_bytes(*cursor),
            synced_at: from_millis(*synced_at),
        })
    }

    pub(super) fn write(&self, board: &mut impl Board) {
        let numbers = [self.generation, self.items, self.cursor].map(u64::to_le_bytes);
        board.write(Slot::Head, &[numbers.concat().as_slice(), &millis(self.synced_at)].concat());
    }
}

/// The end of a log that is being written.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) generation: u64,
    pub(super) items: u64,
}

impl Writer {
    /// Adds to the log. `None` if the chunk to go on with is not there, and the log has to begin anew.
    pub(super) fn append(&mut self, items: &[Item], board: &mut impl Board) -> Option<()> {
        let mut rest = items;
        while !rest.is_empty() {
            let (slot, filled) = place(self.generation, self.items);
            let mut chunk = if filled == 0 {
                self.generation.to_le_bytes().to_vec()
            } else {
                board.read(slot).filter(|bytes| {
                    entries(bytes, self.generation).is_some_and(|n| n.len() as u64 == filled)
                })?
            };
            let room = usize::try_from(CHUNK.saturating_sub(filled)).unwrap_or_default();
            let (now, later) = rest.split_at(room.min(rest.len()));
            now.iter().for_each(|item| encode(item, &mut chunk));
            board.write(slot, &chunk);
            self.items = self.items.saturating_add(u64::try_from(now.len()).unwrap_or(u64::MAX));
            rest = later;
        }
        Some(())
    }
}

/// The entries of a generation from `from` on, as far as they stand in one chunk. `None` where the board does not hold
/// them, at least up to `end`.
pub(super) fn read(board: &impl Board, generation: u64, from: u64, end: u64) -> Option<Vec<Item>> {
    let (slot, skipped) = place(generation, from);
    let mut items = entries(&board.read(slot)?, generation)?;
    let first = usize::try_from(skipped).ok()?;
    let wanted = usize::try_from(end.saturating_sub(from).min(CHUNK.saturating_sub(skipped))).ok()?;
    let last = first.checked_add(wanted)?;
    if items.len() < last {
        return None;
    }
    items.truncate(last);
    Some(items.split_off(first))
}

/// The chunk in which an entry stands, and its place in there.
fn place(generation: u64, item: u64) -> (Slot, u64) {
    (Slot::Chunk { odd: generation % 2 == 1, number: item / CHUNK }, item % CHUNK)
}

/// An entry: a byte that says what is dead, its end in seconds, the epoch, the id's length, and the id.
fn encode(item: &Item, chunk: &mut Vec<u8>) {
    let (kind, id, epoch) = match &item.dead {
        Dead::Session(id) => (b's', id, 0),
        Dead::User(id, epoch) => (b'u', id, *epoch),
        Dead::Key(id) => (b'k', id, 0),
    };
    chunk.push(kind);
    chunk.extend(item.until.as_secs().to_le_bytes());
    chunk.extend(epoch.to_le_bytes());
    // Pages with longer ids are refused.
    chunk.extend(u16::try_from(id.len()).unwrap_or(u16::MAX).to_le_bytes());
    chunk.extend(id.as_bytes());
}

/// Everything in a chunk, if it is one of this generation and whole.
fn entries(chunk: &[u8], generation: u64) -> Option<Vec<Item>> {
    let (written_for, mut rest) = chunk.split_first_chunk()?;
    if u64::from_le_bytes(*written_for) != generation {
        return None;
    }
    let mut items = Vec::new();
    while let Some((kind, after_kind)) = rest.split_first() {
        let (until, after_until) = after_kind.split_first_chunk()?;
        let (epoch, after_epoch) = after_until.split_first_chunk()?;
        let (length, after_length) = after_epoch.split_first_chunk()?;
        let (id, after_id) = after_length.split_at_checked(u16::from_le_bytes(*length).into())?;
        let id = str::from_utf8(id).ok()?.to_owned();
        let dead = match kind {
            b's' => Dead::Session(id),
            b'u' => Dead::User(id, u64::from_le_bytes(*epoch)),
            b'k' => Dead::Key(id),
            _ => return None,
        };
        let until = UnixTime::from_secs(u64::from_le_bytes(*until));
        items.push(Item { dead, until });
        rest = after_id;
    }
    Some(items)
}
