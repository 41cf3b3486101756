//! Mails that a service of the operator's sends. What is published here holds live links, in the clear: it goes to an
//! exchange of its own, and nothing of it is ever logged.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::load::{Load, Message, RelayWatch, age, word};
use crate::domain::mail::Mail;
use crate::domain::outbox::fate::{Fate, Outcome};
use crate::domain::outbox::{Channel, OutboxEntry};
use crate::domain::ports::Sealer;

/// Where mail jobs are published, for whoever the operator lets read them.
const MAIL: &str = "auth.mail";
const CONTENT_TYPE: &str = "application/json";

/// Mail jobs, for the service that sends them.
pub struct MailJobs {
    /// Opens them.
    pub sealer: Arc<dyn Sealer>,
    /// Where links lead, if the operator says.
    pub base_url: Option<String>,
    /// Who hears what became of them.
    pub watch: Arc<dyn RelayWatch>,
}

/// A mail job as it goes over the wire: `docs/events/mail.json`.
#[derive(Serialize)]
struct Job<'a> {
    id: String,
    kind: &'static str,
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestid: Option<&'a str>,
}

#[async_trait]
impl Load for MailJobs {
    fn channel(&self) -> Channel {
        Channel::Mail
    }

    fn exchange(&self) -> &'static str {
        MAIL
    }

    async fn pack(&self, entry: &OutboxEntry, now: Timestamp) -> Result<Message, Fate> {
        let mail = match Mail::open(entry, &*self.sealer).await {
            Ok(Some(mail)) => mail,
            Ok(None) => return Err(Fate::Removed),
            // Perhaps with a key that another replica has just made, and that is known here in a moment.
            Err(error) => return Err(self.unreadable(entry, error.to_string(), now)),
        };
        if mail.expires_at().is_some_and(|end| end <= now) {
            tracing::warn!(id = %entry.id, kind = mail.kind(), "a mail was too late, and was not handed on");
            self.watch.tried("expired", age(entry, now));
            return Err(Fate::Removed);
        }
        let body = written(&mail, entry, self.base_url.as_deref());
        let body = body.map_err(|_| self.unreadable(entry, "it cannot be written as JSON".into(), now))?;
        Ok(Message { id: entry.id, routing_key: mail.kind().to_owned(), content_type: CONTENT_TYPE, body })
    }

    fn judge(&self, entry: &OutboxEntry, outcome: Outcome, now: Timestamp) -> Fate {
        self.watch.tried(word(&outcome), age(entry, now));
        if outcome == Outcome::Accepted {
            tracing::info!(id = %entry.id, cause = entry.request_id, "a mail was handed on");
        }
        noted(entry, Fate::of_mail_job(outcome, entry.attempts, now))
    }
}

impl MailJobs {
    fn unreadable(&self, entry: &OutboxEntry, reason: String, now: Timestamp) -> Fate {
        self.watch.tried("unreadable", age(entry, now));
        noted(entry, Fate::retry(reason, entry.attempts, now))
    }
}

/// Says what an operator can do something about.
fn noted(entry: &OutboxEntry, fate: Fate) -> Fate {
    let (id, attempts) = (entry.id, entry.attempts);
    match &fate {
        Fate::Again { reason, .. } => tracing::warn!(%id, attempts, reason, "a mail could not be handed on"),
        Fate::Parked { reason } => tracing::error!(%id, reason, "a mail waits for an operator"),
        _ => {}
    }
    fate
}

fn written(mail: &Mail, entry: &OutboxEntry, base_url: Option<&str>) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Job {
        id: entry.id.to_string(),
        kind: mail.kind(),
        to: mail.to.as_str(),
        token: mail.token(),
        link: base_url.map(|base_url| mail.message.link(base_url)),
        expires_at: mail.expires_at(),
        requestid: Some(entry.request_id.as_str()).filter(|id| !id.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::domain::email::Email;
    use crate::domain::mail::Message as Content;
    use crate::domain::one_time::{OneTimeToken, Purpose};

    fn entry(request_id: &str) -> OutboxEntry {
        OutboxEntry {
            id: Uuid::from_u128(9),
            channel: Channel::Mail,
            user: Uuid::from_u128(7).into(),
            sequence: 1,
            kind: "reset_password".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            request_id: request_id.to_owned(),
            data: String::new(),
            attempts: 0,
        }
    }

    fn mail(message: Content) -> Mail {
        Mail { to: Email::parse("ada@example.test").unwrap(), message }
    }

    fn link(purpose: Purpose) -> Mail {
        let expires_at = Timestamp::from_second(3600).unwrap();
        mail(Content::Link { purpose, token: OneTimeToken::new("t0k3n-_".into()), expires_at })
    }

    fn read(mail: &Mail, request_id: &str, base_url: Option<&str>) -> Value {
        serde_json::from_slice(&written(mail, &entry(request_id), base_url).unwrap()).unwrap()
    }

    #[test]
    fn a_job_holds_all_that_a_sender_needs() {
        let job = read(&link(Purpose::ResetPassword), "r-1", Some("https://app.example.test"));
        let expected = json!({
            "id": "00000000-0000-0000-0000-000000000009",
            "kind": "reset_password",
            "to": "ada@example.test",
            "token": "t0k3n-_",
            "link": "https://app.example.test/reset-password#token=t0k3n-_",
            "expires_at": "1970-01-01T01:00:00Z",
            "requestid": "r-1",
        });
        assert_eq!(job, expected);
        let bare = json!({ "id": expected["id"], "kind": "address_taken", "to": "ada@example.test" });
        assert_eq!(read(&mail(Content::AddressTaken), "", None), bare);
    }

    #[test]
    fn every_job_fits_the_published_schema() {
        let file = format!("{}/../docs/events/mail.json", env!("CARGO_MANIFEST_DIR"));
        let schema = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let base = Some("https://app.example.test");
        for mail in [link(Purpose::ResetPassword), link(Purpose::VerifyEmail), mail(Content::AddressTaken)] {
            for (request_id, base_url) in [("", None), ("r-1", base)] {
                let mut job = read(&mail, request_id, base_url);
                let mistakes: Vec<_> = validator.iter_errors(&job).map(|error| error.to_string()).collect();
                assert!(mistakes.is_empty(), "{job}: {mistakes:?}");
                job["password"] = "hush".into();
                assert!(!validator.is_valid(&job), "{} would let anything through", mail.kind());
            }
        }
        let mut tokenless = read(&link(Purpose::VerifyEmail), "", base);
        tokenless.as_object_mut().unwrap().remove("token");
        assert!(!validator.is_valid(&tokenless), "a link without its token is none");
    }
}
