use std::sync::Arc;

use jiff::Timestamp;

use super::clock::{Random, later, random_uuid};
use super::context::RequestContext;
use super::email::Email;
use super::evenly::evenly;
use super::event::{Event, Report};
use super::guard::{Guard, GuardError};
use super::mail::{Mail, Message};
use super::one_time::{IssuedToken, Purpose, TokenOwner};
use super::ports::{Changed, Letters, OneTimeTokens, Sealer, StoreError, Users};
use super::user::User;
use super::username::LoginName;

/// Writes mails, and puts them where they wait to be sent. Nothing is sent here: a request never waits for a mail server.
pub struct Post {
    /// Who there is.
    pub users: Arc<dyn Users>,
    /// Where letters wait.
    pub letters: Arc<dyn Letters>,
    /// Makes the tokens.
    pub tokens: Arc<dyn OneTimeTokens>,
    /// Hides what a letter says from whoever can read the store.
    pub sealer: Arc<dyn Sealer>,
    /// Keeps anybody from filling somebody's mailbox.
    pub guard: Arc<Guard>,
    /// The dice.
    pub random: Arc<dyn Random>,
}

impl Post {
    /// Posts a link to whoever has the address that somebody `typed`, if he `wants` one. Whether anybody has it cannot be
    /// told from outside: the work is the same, so is what is written, and it takes the same time.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn send_link(
        &self,
        purpose: Purpose,
        typed: &str,
        wants: fn(&User) -> bool,
        now: Timestamp,
        context: &RequestContext,
    ) -> Result<(), StoreError> {
        evenly(self.send(purpose, typed, wants, now, context)).await
    }

    async fn send(
        &self,
        purpose: Purpose,
        typed: &str,
        wants: fn(&User) -> bool,
        now: Timestamp,
        context: &RequestContext,
    ) -> Result<(), StoreError> {
        let to = Email::parse(typed).ok().map(LoginName::Email);
        if !self.admits(to.as_ref(), typed, context).await? {
            return Ok(());
        }
        let account = match to {
            Some(to) => self.users.by_login(&to).await?,
            None => None,
        };
        let report = Report::new(now, context);
        let (owner, report) = match account.map(|account| account.user).filter(wants) {
            Some(user) => {
                let owner = TokenOwner { user: user.id, epoch: user.epoch };
                (Some(owner), self.link(purpose, &user, report))
            }
            None => (None, self.decoy(purpose, report)),
        };
        // Superseded: he changed this very moment. Whoever asks hears the same, and asks again if he misses the mail.
        let (Changed::Yes | Changed::Superseded) = self.letters.post(owner, &report).await?;
        Ok(())
    }

    /// Tells somebody who has an account that his address was used to register once more.
    ///
    /// # Errors
    /// When the store cannot take it.
    pub async fn send_address_taken(
        &self,
        to: Email,
        now: Timestamp,
        context: &RequestContext,
    ) -> Result<(), StoreError> {
        if !self.admits(Some(&LoginName::Email(to.clone())), to.as_str(), context).await? {
            return Ok(());
        }
        let report = Report::new(now, context);
        let report = self.enclose(Some(&Mail { to, message: Message::AddressTaken }), report);
        let (Changed::Yes | Changed::Superseded) = self.letters.post(None, &report).await?;
        Ok(())
    }

    /// The report, with a link for `user` to be posted in the same write, and the event that says so.
    #[must_use]
    pub fn link(&self, purpose: Purpose, user: &User, report: Report) -> Report {
        let expires_at = later(report.at, purpose.lifetime());
        let minted = self.tokens.mint(purpose);
        let message = Message::Link { purpose, token: minted.token, expires_at };
        let mail = Mail { to: user.email.clone(), message };
        let owner = Some(TokenOwner { user: user.id, epoch: user.epoch });
        let token = IssuedToken { purpose, fingerprint: minted.fingerprint, owner, expires_at };
        let event = match purpose {
            Purpose::ResetPassword => Event::PasswordResetRequested { expires_at },
            Purpose::VerifyEmail => Event::EmailVerificationRequested { expires_at },
        };
        self.enclose(Some(&mail), report.tell(event).issue(token))
    }

    /// Whether one more mail may be asked for, to the address that somebody `typed`. Counted alike whether anybody has it;
    /// and whoever asks too often hears nothing of it, as he hears nothing of all else.
    async fn admits(
        &self,
        to: Option<&LoginName>,
        typed: &str,
        context: &RequestContext,
    ) -> Result<bool, StoreError> {
        match self.guard.admit_mail(to, typed, context).await {
            Ok(()) => Ok(true),
            Err(GuardError::TooMany { .. }) => {
                tracing::warn!("more mails were asked for than limits.mail_* allow; this one is not sent");
                Ok(false)
            }
            Err(GuardError::Store(error)) => Err(error),
        }
    }

    /// The same with a token that is nobody's, and a mail that will not be sent: what is written and how long it takes
    /// tells nobody whether there is such a user.
    fn decoy(&self, purpose: Purpose, report: Report) -> Report {
        let expires_at = later(report.at, purpose.lifetime());
        let fingerprint = self.tokens.mint(purpose).fingerprint;
        let token = IssuedToken { purpose, fingerprint, owner: None, expires_at };
        self.enclose(None, report.issue(token))
    }

    fn enclose(&self, mail: Option<&Mail>, report: Report) -> Report {
        report.mail(Mail::seal(mail, random_uuid(&*self.random), &*self.sealer))
    }
}
