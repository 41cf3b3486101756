use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use super::message::Letterhead;
use super::message::message;
use super::server::SmtpServer;
use super::smtp::{Connection, Smtp, SmtpError};
use crate::domain::clock::{Clock, Random, later, random_uuid};
use crate::domain::mail::Mail;
use crate::domain::outbox::fate::Fate;
use crate::domain::outbox::{Channel, Claim, OutboxEntry};
use crate::domain::ports::{Outbox, Sealer, StoreError};
use crate::telemetry::with_causes;

/// Sends what waits in the outbox to be mailed.
pub struct MailSender {
    outbox: Arc<dyn Outbox>,
    sealer: Arc<dyn Sealer>,
    smtp: Smtp,
    letterhead: Letterhead,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    watch: Arc<dyn MailWatch>,
}

/// Hears what became of mails.
pub trait MailWatch: Send + Sync {
    /// A mail was tried; `outcome` is one word.
    fn tried(&self, outcome: &'static str);
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("mail.smtp_url: {0}")]
pub struct MailSenderError(String);

/// What the sender works with.
pub struct MailParts {
    /// Where mails wait.
    pub outbox: Arc<dyn Outbox>,
    /// Opens them.
    pub sealer: Arc<dyn Sealer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
    /// Counts.
    pub watch: Arc<dyn MailWatch>,
}

/// How the outbox was found.
enum Found {
    /// There was work; there may be more.
    Work,
    /// Nothing to do.
    Nothing,
    /// The server, or the store, is not there.
    Trouble,
}

/// How many mails are sent under one claim: few enough that all of them are done, at the server's slowest, before another
/// issuer may take them for forgotten.
const MAILS: u32 = 8;
const CLAIM: Duration = Duration::from_mins(5);
/// Mails of other issuers, and those to be tried again, are found by looking.
const LOOK: Duration = Duration::from_secs(2);
/// Between attempts to reach a server that is not there.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What may be said to the server after the end has come.
const LAST_MAIL: Duration = Duration::from_secs(2);

impl MailSender {
    /// A sender to that server.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        server: SmtpServer,
        letterhead: Letterhead,
        parts: MailParts,
    ) -> Result<Self, MailSenderError> {
        let MailParts { outbox, sealer, clock, random, watch } = parts;
        let smtp = Smtp::new(server, letterhead.from.email.domain());
        let smtp = smtp.map_err(|error| MailSenderError(error.reason))?;
        Ok(Self { outbox, sealer, smtp, letterhead, clock, random, watch })
    }

    /// Sends until `end`; the mail that is being sent then is sent, unless that takes long.
    pub async fn run(&self, end: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let mut work = pin!(self.work(&stop));
        tokio::select! {
            () = &mut work => {}
            () = end => {
                stop.cancel();
                // Cut off, it is sent once more when its claim has ended: better twice than never.
                let _cut_off = timeout(LAST_MAIL, work).await;
            }
        }
    }

    async fn work(&self, stop: &CancellationToken) {
        let mut news = self.outbox.news();
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let found = self.round(stop).await.unwrap_or_else(|error| {
                tracing::warn!(cause = with_causes(&error), "mails wait: the store does not answer");
                Found::Trouble
            });
            let (wait, for_news) = match found {
                Found::Work => {
                    pause = FIRST_PAUSE;
                    continue;
                }
                Found::Nothing => (LOOK, true),
                Found::Trouble => {
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    (wait, false)
                }
            };
            let woken = async {
                tokio::select! { _ = news.changed(), if for_news => {}, () = stop.cancelled() => {} }
            };
            // However the wait ends, the outbox is looked at again.
            let _waited = timeout(wait, woken).await;
        }
    }

    /// Claims what is due, and tries it.
    async fn round(&self, stop: &CancellationToken) -> Result<Found, StoreError> {
        let now = self.clock.now();
        let claim = Claim {
            id: random_uuid(&*self.random),
            channel: Channel::Mail,
            now,
            until: later(now, CLAIM),
            limit: MAILS,
        };
        let claimed = self.outbox.claim(&claim).await?;
        if claimed.entries.is_empty() {
            return Ok(Found::Nothing);
        }
        let (mut fates, mut found, mut line) = (Vec::new(), Found::Work, None);
        for job in &claimed.entries {
            if stop.is_cancelled() {
                break;
            }
            match self.attempt(job, &mut line).await {
                Ok(fate) => fates.push((job.id, fate)),
                Err(error) => {
                    tracing::warn!(cause = %error, "mails wait: the mail server cannot be reached");
                    self.watch.tried("no_server");
                    found = Found::Trouble;
                    break;
                }
            }
        }
        if let Some(line) = line {
            line.close().await;
        }
        // What was not tried goes back, and it costs it nothing: that was not the mail's fault.
        self.outbox.settle(&claimed, &fates, self.clock.now()).await?;
        Ok(found)
    }

    /// Tries one mail, over the connection in `line` or a new one.
    ///
    /// # Errors
    /// When there is no server, so that the next mail need not be tried.
    async fn attempt(&self, job: &OutboxEntry, line: &mut Option<Connection>) -> Result<Fate, SmtpError> {
        let mail = match Mail::open(job, &*self.sealer).await {
            Ok(Some(mail)) => mail,
            Ok(None) => return Ok(Fate::Removed),
            // Perhaps with a key that another replica has just made, and that is known here in a moment.
            Err(error) => return Ok(self.deferred(job, "unreadable", error.to_string())),
        };
        if mail.expires_at().is_some_and(|end| end <= self.clock.now()) {
            tracing::warn!(id = %job.id, kind = mail.kind(), "a mail was too late, and was not sent");
            self.watch.tried("expired");
            return Ok(Fate::Removed);
        }
        let message = match message(&mail, job.id, job.at, &self.letterhead) {
            Ok(message) => message,
            Err(error) => return Ok(self.given_up(job, "unwritable", error.to_string())),
        };
        let connection = match line.take() {
            Some(connection) => connection,
            None => self.smtp.connect().await?,
        };
        match connection.send(&message).await {
            Ok(connection) => {
                *line = Some(connection);
                tracing::info!(id = %job.id, kind = mail.kind(), cause = job.request_id, "a mail was sent");
                self.watch.tried("sent");
                Ok(Fate::Removed)
            }
            Err(error) if error.permanent => Ok(self.given_up(job, "refused", error.reason)),
            Err(error) => Ok(self.deferred(job, "deferred", error.reason)),
        }
    }

    fn deferred(&self, job: &OutboxEntry, outcome: &'static str, reason: String) -> Fate {
        tracing::warn!(id = %job.id, cause = reason, attempts = job.attempts, "a mail did not leave");
        self.watch.tried(outcome);
        Fate::retry(reason, job.attempts, self.clock.now())
    }

    fn given_up(&self, job: &OutboxEntry, outcome: &'static str, reason: String) -> Fate {
        tracing::warn!(id = %job.id, cause = reason, "a mail waits for an operator");
        self.watch.tried(outcome);
        Fate::Parked { reason }
    }
}
