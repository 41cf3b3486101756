use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::context::RequestContext;
use super::ids::{SessionId, UserId};
use super::page::Place;
use super::role::Permissions;

/// The type of the event that tells of an alert.
pub const ALERT: &str = "security.alert";

/// Something that a person should look at. Whatever report tells of one, the store keeps it for administrators, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Which kind, in one word.
    pub kind: &'static str,
    /// What is known about it, for people and programs.
    pub details: Map<String, Value>,
}

/// An alert as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAlert {
    /// Also the id of its event.
    pub id: Uuid,
    /// When it was raised.
    pub at: Timestamp,
    /// Whom it is about.
    pub user: UserId,
    /// The request that caused it; empty if none did.
    pub request_id: String,
    /// Which kind, in one word.
    pub kind: String,
    /// What is known about it.
    pub details: Map<String, Value>,
}

/// When people usually log in, in UTC; may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: Time,
    to: Time,
}

impl Alert {
    /// An exchanged refresh token came back: two have it, and one is a thief.
    #[must_use]
    pub fn refresh_token_reuse(session: SessionId, context: &RequestContext) -> Self {
        Self::new("refresh_token_reuse", context, [("session_id", session.to_string().into())])
    }

    /// Somebody fails again and again to be this user.
    #[must_use]
    pub fn many_failures(failures: u32, within: Duration, context: &RequestContext) -> Self {
        let within = ("within_seconds", within.as_secs().into());
        Self::new("many_failures", context, [("failures", failures.into()), within])
    }

    /// Somebody failed again and again, and then did not.
    #[must_use]
    pub fn success_after_failures(failures: u32, session: SessionId, context: &RequestContext) -> Self {
        let session = ("session_id", session.to_string().into());
        Self::new("success_after_failures", context, [("failures", failures.into()), session])
    }

    /// A login with a device that this user never had.
    #[must_use]
    pub fn new_device(session: SessionId, context: &RequestContext) -> Self {
        Self::new("new_device", context, [("session_id", session.to_string().into())])
    }

    /// A login when nobody is expected.
    #[must_use]
    pub fn unusual_hour(session: SessionId, context: &RequestContext) -> Self {
        Self::new("unusual_hour", context, [("session_id", session.to_string().into())])
    }

    /// Somebody has permissions to administer that he did not have before: `gained` are all of them, and `why` says by what.
    #[must_use]
    pub fn role_escalation(gained: &Permissions, why: Map<String, Value>, context: &RequestContext) -> Self {
        let gained: Vec<_> = gained.iter().map(ToString::to_string).collect();
        let mut alert = Self::new("role_escalation", context, [("permissions", gained.into())]);
        alert.details.extend(why);
        alert
    }

    fn new<const N: usize>(
        kind: &'static str,
        context: &RequestContext,
        details: [(&str, Value); N],
    ) -> Self {
        let from = [("address", json!(context.address)), ("user_agent", json!(context.device()))];
        let details = details.into_iter().chain(from).map(|(name, value)| (name.to_owned(), value));
        Self { kind, details: details.collect() }
    }
}

impl KeptAlert {
    /// Its place among all of them.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at: self.at, id: self.id }
    }

    /// Kind and details from the `data` of its event.
    ///
    /// # Errors
    /// When it is not that of an alert.
    pub fn read_data(data: &str) -> Result<(String, Map<String, Value>), serde_json::Error> {
        #[derive(Deserialize)]
        struct Data {
            kind: String,
            details: Map<String, Value>,
        }
        serde_json::from_str(data).map(|Data { kind, details }| (kind, details))
    }
}

impl Hours {
    /// Reads `06:00-22:00`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let hours = Self { from: time(from)?, to: time(to)? };
        (hours.from != hours.to).then_some(hours)
    }

    /// Whether `at` is among them.
    #[must_use]
    pub fn contain(&self, at: Timestamp) -> bool {
        let time = at.to_zoned(TimeZone::UTC).time();
        if self.from < self.to {
            self.from <= time && time < self.to
        } else {
            self.from <= time || time < self.to
        }
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), to.hour(), to.minute())
    }
}

/// `HH:MM`.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<i8>().ok())
            .flatten()
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(hours: &str, at: &str) -> bool {
        Hours::parse(hours).unwrap().contain(format!("2026-01-02T{at}Z").parse().unwrap())
    }

    #[test]
    fn hours_have_a_first_and_a_last_minute() {
        assert!(contains("06:00-22:00", "06:00:00"));
        assert!(contains("06:00-22:00", "21:59:59"));
        assert!(!contains("06:00-22:00", "22:00:00"));
        assert!(!contains("06:00-22:00", "05:59:59.999"));
    }

    #[test]
    fn hours_may_go_over_midnight() {
        assert!(contains("22:00-06:00", "23:30:00"));
        assert!(contains("22:00-06:00", "05:59:00"));
        assert!(!contains("22:00-06:00", "12:00:00"));
    }

    #[test]
    fn what_is_not_hours_is_refused() {
        for text in
            ["", "06:00", "6-22", "06:00-24:00", "06:00-06:00", "06:60-07:00", "+6:00-07:00", "06:00-22:00-"]
        {
            assert_eq!(Hours::parse(text), None, "{text}");
        }
        assert_eq!(Hours::parse("06:00-22:30").unwrap().to_string(), "06:00-22:30");
    }
}
