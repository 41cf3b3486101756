use std::fmt::Display;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::domain::audit::Subject;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::keys::KeyEntry;
use crate::domain::one_time::TokenOwner;
use crate::domain::ports::StoreError;

/// A value that had to be there, in the form in which this program writes it.
pub(super) fn wanted<T>(value: Option<T>, what: &str) -> Result<T, StoreError> {
    value.ok_or_else(|| StoreError::Corrupt(what.to_owned()))
}

/// Like [`wanted`], for parsers that say why. The value itself is not repeated: it may be personal.
pub(super) fn parsed<T, E: Display>(value: Result<T, E>, what: &str) -> Result<T, StoreError> {
    value.map_err(|error| StoreError::Corrupt(format!("{what} {error}")))
}

/// A moment from milliseconds since 1970.
pub(super) fn moment(milliseconds: i64, what: &str) -> Result<Timestamp, StoreError> {
    parsed(Timestamp::from_millisecond(milliseconds), what)
}

/// A counter as both databases keep it. Counters start at 0 and take centuries to reach the limit.
pub(super) fn stored(counter: u64) -> i64 {
    i64::try_from(counter).unwrap_or(i64::MAX)
}

/// What stores call the state of a key. Everything else about its life is a matter of dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    Active,
    Revoked,
}

impl KeyState {
    /// That of this key.
    pub(super) fn of(key: &KeyEntry) -> Self {
        if key.revoked { Self::Revoked } else { Self::Active }
    }

    /// Its stable name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    /// The state with that name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Active, Self::Revoked].into_iter().find(|state| state.as_str() == name)
    }
}

/// `at` moved back by `by`; stops at the beginning of time instead of failing.
pub(super) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// What an audit entry is about, from [`Subject::parts`].
pub(super) fn subject(kind: &str, name: &str) -> Result<Subject, StoreError> {
    wanted(Subject::of(kind, name), "whom an audit entry is about")
}

/// A JSON object that was written as text.
pub(super) fn members(text: &str) -> Result<Map<String, Value>, StoreError> {
    parsed(serde_json::from_str(text), "a JSON object")
}

/// Somebody who is not there, for writes about nobody: another one each time, so that nobody's mails are not one user's.
pub(super) fn nobody(report: &Report) -> TokenOwner {
    let id = report.mails.first().map_or_else(Uuid::nil, |mail| mail.id);
    TokenOwner { user: UserId::from(id), epoch: 0 }
}
