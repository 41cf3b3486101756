use std::time::Duration;

use jiff::Timestamp;

use crate::domain::clock::later;
use crate::domain::session::Session;
use crate::domain::token::{MintedRefreshToken, TokenFingerprint};

/// How long a token that was exchanged may come back for the same child: two tabs, or an answer that got lost.
pub const REPEAT_WINDOW: Duration = Duration::from_secs(30);

/// What is right for an authentic refresh token.
pub enum Judgement {
    /// It is the current one: its child takes its place.
    Exchange,
    /// It was exchanged a moment ago, and its child is still unused: the same child once more.
    Repeat(MintedRefreshToken),
    /// It was exchanged before: the family has to end.
    Reuse,
    /// The family ran out.
    RunOut,
}

/// Judges the token with the fingerprint `presented` against its family as the store has it. `issued` is the child of
/// that token, if the family's current token is its child.
///
/// The current token is the youngest of its family. So its parent is the only one with an unused child, and every
/// other authentic token is older: somebody kept a copy. (Or it is younger, because the store was put back from a
/// backup. What happened to the family meanwhile is not known then, so it ends as well.)
#[must_use]
pub fn judge(
    family: &Session,
    presented: TokenFingerprint,
    issued: Option<MintedRefreshToken>,
    now: Timestamp,
) -> Judgement {
    if !family.is_open(now) {
        return Judgement::RunOut;
    }
    if presented == family.refresh_fingerprint {
        return Judgement::Exchange;
    }
    match issued {
        Some(child) if now < later(family.last_used_at, REPEAT_WINDOW) => Judgement::Repeat(child),
        _ => Judgement::Reuse,
    }
}

#[cfg(test)]
mod tests;
