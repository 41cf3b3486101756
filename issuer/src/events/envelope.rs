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
    use crate::domain::outbox::Channel;

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
