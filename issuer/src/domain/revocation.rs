use std::time::Duration;

use jiff::Timestamp;

use super::clock::later;
use super::ids::{SessionId, UserId};
use super::keys::KeyId;

/// Which access tokens are dead although they have not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Those of a session.
    Session(SessionId),
    /// Those of a user that carry an older epoch than this. Needs no clock: a token minted from what was read before
    /// the change carries the older epoch, whenever it is signed.
    User {
        /// Whose.
        user: UserId,
        /// The first epoch that is good.
        epoch: u64,
    },
    /// Those that a key has signed.
    Key(KeyId),
}

/// An entry of the list that gateways follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its place. Entries become visible in the order of their places, whichever replica wrote them. Places are not
    /// behind the time in milliseconds: so a store that was restored from a backup never gives one twice.
    pub seq: u64,
    /// What is dead.
    pub revoked: Revoked,
    /// When every token that it is about has expired by itself, and it can be forgotten.
    pub until: Timestamp,
}

/// The longest life that `token.access_ttl` can give a token, and five minutes for clocks that differ.
const KEPT: Duration = Duration::from_mins(65);

/// How long an act at `at` has to be remembered.
#[must_use]
pub fn kept_until(at: Timestamp) -> Timestamp {
    later(at, KEPT)
}

/// A piece of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationPage {
    /// In the order of their places.
    pub items: Vec<Revocation>,
    /// The highest place that was ever given, as of this read.
    pub newest: u64,
}
