use serde::Serialize;
use serde_json::Value;

use crate::domain::outbox::OutboxEntry;

/// The media type of [`cloud_event`].
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The event in the structured JSON form of CloudEvents 1.0; `source` is the issuer's URL.
///
/// # Errors
/// When the entry does not hold JSON, which no version of this program writes.
pub fn cloud_event(entry: &OutboxEntry, source: &str) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&CloudEvent {
        specversion: "1.0",
        id: entry.id.to_string(),
        source,
        kind: &entry.kind,
        subject: entry.user.to_string(),
        time: entry.at.to_string(),
        datacontenttype: "application/json",
        sequence: entry.sequence,
        requestid: Some(entry.request_id.as_str()).filter(|id| !id.is_empty()),
        data: serde_json::from_str(&entry.data)?,
    })
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestid: Option<&'a str>,
    data: Value,
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::alert::Alert;
    use crate::domain::context::RequestContext;
    use crate::domain::email::Email;
    use crate::domain::event::{Event, Report, UserUpdate};
    use crate::domain::ids::{SessionId, UserId};
    use crate::domain::outbox::Channel;
    use crate::domain::role::RoleName;
    use crate::domain::user::{User, UserStatus};

    /// One of each type, with as much in it as there can be, and some with as little.
    fn one_of_each() -> Vec<Event> {
        let (at, session) = (Timestamp::UNIX_EPOCH, SessionId::from(Uuid::from_u128(5)));
        let roles = vec![RoleName::parse("user").unwrap()];
        let user = User {
            id: UserId::from(Uuid::from_u128(7)),
            email: Email::parse("a@b.com").unwrap(),
            email_verified: false,
            username: None,
            roles: roles.clone(),
            status: UserStatus::Active,
            epoch: 0,
            created_at: at,
            updated_at: at,
        };
        let full = UserUpdate {
            email: Some("b@b.com".to_owned()),
            email_verified: Some(true),
            username: Some(None),
            ..UserUpdate::roles(&roles)
        };
        let context = RequestContext::default();
        let (address, user_agent) = (Some([127, 0, 0, 1].into()), Some("curl".to_owned()));
        vec![
            Event::UserCreated { user: Box::new(user) },
            Event::UserUpdated(full),
            Event::UserUpdated(UserUpdate::status(UserStatus::Suspended)),
            Event::UserDeleted,
            Event::UserLogin { session, address, user_agent: user_agent.clone() },
            Event::UserLogin { session, address: None, user_agent: None },
            Event::LoginFailed { reason: "wrong_password", address, user_agent },
            Event::UserLocked { until: at },
            Event::UserUnlocked,
            Event::UserLogout { sessions: vec![session] },
            Event::PasswordChanged,
            Event::PasswordResetRequested { expires_at: at },
            Event::EmailVerificationRequested { expires_at: at },
            Event::SecurityAlert(Alert::refresh_token_reuse(session, &context)),
        ]
    }

    #[test]
    fn every_event_fits_its_published_schema() {
        let events = one_of_each();
        let kinds: std::collections::BTreeSet<_> = events.iter().map(Event::kind).collect();
        assert_eq!(kinds, Event::KINDS.into_iter().collect(), "one of each");
        let mut report = Report::new(Timestamp::UNIX_EPOCH, &RequestContext::default());
        report.events = events;
        for entry in report.outbox(UserId::from(Uuid::from_u128(7)), report.events.len() as u64) {
            let file = format!("{}/../docs/events/{}.json", env!("CARGO_MANIFEST_DIR"), entry.kind);
            let schema = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
            let mut event: Value =
                serde_json::from_slice(&cloud_event(&entry, "http://localhost:8080").unwrap()).unwrap();
            let mistakes: Vec<_> = validator.iter_errors(&event).map(|mistake| mistake.to_string()).collect();
            assert!(mistakes.is_empty(), "{}: {mistakes:?}", entry.kind);
            event["data"]["password"] = "hush".into();
            assert!(!validator.is_valid(&event), "{} would let anything through", entry.kind);
        }
    }

    #[test]
    fn an_event_is_as_the_contract_says() {
        let user = Uuid::from_u128(7);
        let mut entry = OutboxEntry {
            id: Uuid::from_u128(9),
            channel: Channel::Events,
            user: user.into(),
            sequence: 3,
            kind: "user.logout".to_owned(),
            at: Timestamp::from_millisecond(1_500).unwrap(),
            request_id: "r-1".to_owned(),
            data: r#"{"session_ids":[]}"#.to_owned(),
            attempts: 0,
        };
        let read = |entry: &OutboxEntry| -> Value {
            serde_json::from_slice(&cloud_event(entry, "https://auth.example.test").unwrap()).unwrap()
        };
        let expected = json!({
            "specversion": "1.0",
            "id": "00000000-0000-0000-0000-000000000009",
            "source": "https://auth.example.test",
            "type": "user.logout",
            "subject": user.to_string(),
            "time": "1970-01-01T00:00:01.5Z",
            "datacontenttype": "application/json",
            "sequence": 3,
            "requestid": "r-1",
            "data": { "session_ids": [] },
        });
        assert_eq!(read(&entry), expected);
        entry.request_id = String::new();
        assert_eq!(read(&entry).get("requestid"), None, "an extension is not empty");
        entry.data = "{".to_owned();
        cloud_event(&entry, "").unwrap_err();
    }
}
