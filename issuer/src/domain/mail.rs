use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::{Zeroize as _, Zeroizing};

use super::email::Email;
use super::keys::{KeyId, SealedSecret};
use super::one_time::{OneTimeToken, Purpose};
use super::outbox::{MailJob, OutboxEntry};
use super::ports::Sealer;

/// A mail that somebody shall get.
#[derive(Clone, Debug)]
pub struct Mail {
    /// To whom it goes.
    pub to: Email,
    /// What it says.
    pub message: Message,
}

/// What a mail says.
#[derive(Clone, Debug)]
pub enum Message {
    /// Here is your link.
    Link {
        /// What the link is for.
        purpose: Purpose,
        /// What makes it one's own.
        token: OneTimeToken,
        /// When it dies.
        expires_at: Timestamp,
    },
    /// Somebody wanted to register with your address, and you have an account already.
    AddressTaken,
}

/// A mail job that this version cannot read, or whose seal does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mail job cannot be read")]
pub struct UnreadableMail;

/// The member `data` of a mail job: what the store sees of a mail.
#[derive(Serialize, Deserialize)]
struct Sealed {
    key: String,
    /// In base64.
    sealed: String,
}

/// What is sealed: JSON, so that a service that sends mails in our place can read it.
#[derive(Serialize, Deserialize)]
struct Contents {
    kind: String,
    to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

const ADDRESS_TAKEN: &str = "address_taken";
/// The kind of a mail job that holds no mail.
const NOTHING: &str = "nothing";
/// More than any mail needs: growing would leave a copy of the token behind.
const ROOM: usize = 1024;

impl Mail {
    /// A mail, or none, as it waits in the outbox. The store cannot read it: address and token are sealed, for this job
    /// alone.
    #[must_use]
    pub fn seal(mail: Option<&Self>, id: Uuid, sealer: &dyn Sealer) -> MailJob {
        let SealedSecret { key, bytes } = sealer.seal(&Self::to_bytes(mail), id.as_bytes());
        let sealed = Sealed { key: key.as_str().to_owned(), sealed: BASE64_STANDARD.encode(bytes) };
        let data = serde_json::json!(sealed).to_string();
        MailJob { id, kind: mail.map_or(NOTHING, Self::kind), data }
    }

    /// Undoes [`seal`](Self::seal).
    ///
    /// # Errors
    /// When it was sealed with a key that the ring does not have any more, or by a version that wrote something else.
    pub async fn open(job: &OutboxEntry, sealer: &dyn Sealer) -> Result<Option<Self>, UnreadableMail> {
        let Sealed { key, sealed } = serde_json::from_str(&job.data).map_err(|_| UnreadableMail)?;
        let bytes = BASE64_STANDARD.decode(sealed).map_err(|_| UnreadableMail)?;
        let sealed = SealedSecret { key: KeyId::new(key), bytes };
        let opened = sealer.open(&sealed, job.id.as_bytes()).await.map_err(|_| UnreadableMail)?;
        Self::from_bytes(&opened)
    }

    fn to_bytes(mail: Option<&Self>) -> Zeroizing<Vec<u8>> {
        let contents = mail.map(Contents::from);
        let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
        if let Err(error) = serde_json::to_writer(&mut *bytes, &contents) {
            unreachable!("texts and a time can be written as JSON: {error}");
        }
        if let Some(mut token) = contents.and_then(|contents| contents.token) {
            token.zeroize();
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Option<Self>, UnreadableMail> {
        let contents: Option<Contents> = serde_json::from_slice(bytes).map_err(|_| UnreadableMail)?;
        contents.map(Self::try_from).transpose()
    }

    /// When it is pointless to send it; never, if it has no link.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        match &self.message {
            Message::Link { expires_at, .. } => Some(*expires_at),
            Message::AddressTaken => None,
        }
    }

    /// The token in it, if it has a link that needs one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        match &self.message {
            Message::Link { token, .. } => Some(token.expose()),
            Message::AddressTaken => None,
        }
    }

    /// Which kind it is, in one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.message {
            Message::Link { purpose, .. } => purpose.as_str(),
            Message::AddressTaken => ADDRESS_TAKEN,
        }
    }
}

impl Message {
    /// Where the mail leads: a page below `base_url`, which comes from the configuration and from nowhere else.
    #[must_use]
    pub fn link(&self, base_url: &str) -> String {
        match self {
            Self::Link { purpose, token, .. } => {
                let page = match purpose {
                    Purpose::ResetPassword => "reset-password",
                    Purpose::VerifyEmail => "verify-email",
                };
                // A fragment never leaves the browser: not to the server that has the page, nor as a `Referer`.
                format!("{base_url}/{page}#token={}", token.expose())
            }
            Self::AddressTaken => base_url.to_owned(),
        }
    }
}

impl From<&Mail> for Contents {
    fn from(mail: &Mail) -> Self {
        Self {
            kind: mail.kind().to_owned(),
            to: mail.to.as_str().to_owned(),
            token: mail.token().map(str::to_owned),
            expires_at: mail.expires_at(),
        }
    }
}

impl TryFrom<Contents> for Mail {
    type Error = UnreadableMail;

    fn try_from(contents: Contents) -> Result<Self, UnreadableMail> {
        let to = Email::parse(&contents.to).map_err(|_| UnreadableMail)?;
        let purposes = [Purpose::ResetPassword, Purpose::VerifyEmail];
        let purpose = purposes.into_iter().find(|purpose| purpose.as_str() == contents.kind);
        let message = match (purpose, contents.token, contents.expires_at) {
            (Some(purpose), Some(token), Some(expires_at)) => {
                Message::Link { purpose, token: OneTimeToken::new(token), expires_at }
            }
            (None, None, None) if contents.kind == ADDRESS_TAKEN => Message::AddressTaken,
            _ => return Err(UnreadableMail),
        };
        Ok(Self { to, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(message: Message) -> Mail {
        Mail { to: Email::parse("josé@bücher.example").unwrap(), message }
    }

    #[test]
    fn what_is_sealed_is_read_again() {
        let expires_at = Timestamp::UNIX_EPOCH;
        let link = |purpose| Message::Link { purpose, token: OneTimeToken::new("t0k3n".into()), expires_at };
        for message in [link(Purpose::ResetPassword), link(Purpose::VerifyEmail), Message::AddressTaken] {
            let mail = mail(message);
            let read = Mail::from_bytes(&Mail::to_bytes(Some(&mail))).unwrap().unwrap();
            assert_eq!(
                (&read.to, read.kind(), read.expires_at()),
                (&mail.to, mail.kind(), mail.expires_at())
            );
            if let Message::Link { token, .. } = read.message {
                assert_eq!(token.expose(), "t0k3n");
            }
        }
        assert!(Mail::from_bytes(&Mail::to_bytes(None)).unwrap().is_none());
    }

    #[test]
    fn what_is_none_of_ours_is_refused() {
        for bytes in [
            "",
            "[]",
            r#"{"kind":"reset_password","to":"a@b.com"}"#,
            r#"{"kind":"address_taken","to":"a@b.com","token":"t"}"#,
            r#"{"kind":"address_taken","to":"nobody"}"#,
            r#"{"kind":"bills","to":"a@b.com"}"#,
        ] {
            assert_eq!(Mail::from_bytes(bytes.as_bytes()).unwrap_err(), UnreadableMail, "{bytes}");
        }
    }

    #[test]
    fn debug_shows_neither_address_nor_token() {
        let token = OneTimeToken::new("t0k3n".into());
        let link = Message::Link { purpose: Purpose::VerifyEmail, token, expires_at: Timestamp::UNIX_EPOCH };
        let shown = format!("{:?}", mail(link));
        assert!(!shown.contains("t0k3n") && !shown.contains("josé"), "{shown}");
    }
}
