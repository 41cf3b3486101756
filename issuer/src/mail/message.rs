use std::time::SystemTime;

use jiff::Timestamp;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use uuid::Uuid;

use super::text::Text;
use crate::domain::mail::Mail;

/// An address that mails cannot be sent to, or a mail that cannot be put into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mail cannot be written to this address")]
pub(super) struct Unwritable;

/// Who writes, and where his links lead.
#[derive(Clone, Debug)]
pub struct Letterhead {
    /// `mail.from`
    pub from: Mailbox,
    /// `mail.base_url`, without a slash at its end.
    pub base_url: String,
}

/// The mail as it goes over the wire.
pub(super) fn message(
    mail: &Mail,
    id: Uuid,
    at: Timestamp,
    letterhead: &Letterhead,
) -> Result<Message, Unwritable> {
    let Text { subject, plain, html } = Text::of(&mail.message, &letterhead.base_url);
    let to = Address::new(mail.to.local(), mail.to.domain()).map_err(|_| Unwritable)?;
    let from = letterhead.from.clone();
    // The same mail has the same id if it has to be sent twice, so that readers show it once.
    let message_id = format!("<{id}@{}>", from.email.domain());
    Message::builder()
        .from(from)
        .to(Mailbox::new(None, to))
        .subject(subject)
        .date(SystemTime::from(at))
        .message_id(Some(message_id))
        .raw_header(automatic())
        .multipart(MultiPart::alternative_plain_html(plain, html))
        .map_err(|_| Unwritable)
}

/// RFC 3834: so that nobody's holiday notice answers.
fn automatic() -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::email::Email;
    use crate::domain::mail::Message as Content;
    use crate::domain::one_time::{OneTimeToken, Purpose};

    fn letterhead() -> Letterhead {
        let from = "Doorward <no-reply@auth.example.test>".parse().unwrap();
        Letterhead { from, base_url: "https://app.example.test".to_owned() }
    }

    fn written(to: Email) -> Result<Message, Unwritable> {
        let token = OneTimeToken::new("t0k3n".into());
        let purpose = Purpose::ResetPassword;
        let content = Content::Link { purpose, token, expires_at: Timestamp::UNIX_EPOCH };
        message(&Mail { to, message: content }, Uuid::from_u128(7), Timestamp::UNIX_EPOCH, &letterhead())
    }

    /// The header's fields: the lines before the first empty one, continued lines joined.
    fn header(message: &Message) -> Vec<String> {
        let text = String::from_utf8(message.formatted()).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        head.split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn a_mail_says_who_when_and_that_it_is_automatic() {
        let message = written(Email::parse("ada@example.test").unwrap()).unwrap();
        let header = header(&message);
        for field in [
            "From: Doorward <no-reply@auth.example.test>",
            "To: ada@example.test",
            "Subject: Set a new password",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
            "Message-ID: <00000000-0000-0000-0000-000000000007@auth.example.test>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
        ] {
            assert!(header.iter().any(|line| line == field), "{field} is not in {header:#?}");
        }
    }

    proptest! {
        /// Whatever address somebody registers with: one recipient, and the header fields that every mail has.
        #[test]
        fn an_address_adds_no_header_and_no_recipient(
            local in "[\\PC\r\n\t\u{85}\u{2028}]{1,24}",
            domain in "[a-zà-ÿ0-9.\r\n:<>,;-]{1,16}\\.(test|example)",
        ) {
            let Ok(email) = Email::parse(&format!("{local}@{domain}")) else { return Ok(()) };
            let Ok(message) = written(email.clone()) else { return Ok(()) };
            let recipients = message.envelope().to();
            prop_assert_eq!(recipients.len(), 1);
            prop_assert_eq!(recipients[0].to_string(), email.as_str());
            let names: Vec<_> =
                header(&message).iter().map(|field| field.split(':').next().unwrap().to_owned()).collect();
            prop_assert_eq!(names, ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted",
                "MIME-Version", "Content-Type"]);
        }
    }

    #[test]
    fn usual_and_unusual_addresses_get_mails() {
        for address in [
            "ada@example.test",
            "o'hara+tag@sub.example.test",
            "josé@bücher.example",
            "!#$%&*/=?^_`{|}~@a.test",
        ] {
            assert!(written(Email::parse(address).unwrap()).is_ok(), "{address}");
        }
    }
}
