use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::server::{Security, SmtpServer};

/// Opens connections to the server.
pub(super) struct Smtp {
    server: SmtpServer,
    /// What we call ourselves.
    name: ClientId,
    tls: Option<TlsParameters>,
}

/// A connection that is between two mails.
pub(super) struct Connection(AsyncSmtpConnection);

/// What went wrong, without the server's own words: they may repeat somebody's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct SmtpError {
    pub(super) reason: String,
    /// It would be no different another time.
    pub(super) permanent: bool,
}

/// For connecting and logging in, and for handing over one mail. A server that is slower than that is as good as none.
const PATIENCE: Duration = Duration::from_secs(20);

impl Smtp {
    /// The server, and the certificate authorities that this machine trusts. `name` is a domain of ours.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(server: SmtpServer, name: &str) -> Result<Self, SmtpError> {
        let tls = match server.security {
            Security::Tls | Security::StartTls => Some(TlsParameters::new(server.host.clone())?),
            Security::Plain => None,
        };
        Ok(Self { server, name: ClientId::Domain(name.to_owned()), tls })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// When the server is not there, not to be trusted, or does not let us in.
    pub(super) async fn connect(&self) -> Result<Connection, SmtpError> {
        patiently(self.open()).await.map(Connection)
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let address = (self.server.host.as_str(), self.server.port);
        let at_once = self.tls.clone().filter(|_| self.server.security == Security::Tls);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, None, &self.name, at_once, None).await?;
        if let (Security::StartTls, Some(tls)) = (self.server.security, &self.tls) {
            connection.starttls(tls.clone(), &self.name).await?;
        }
        if let Some(credentials) = &self.server.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

impl Connection {
    /// Hands one mail over. Only if that went well there is a connection afterwards: one that broke off half way would
    /// take the next mail's words for the rest of this one's.
    ///
    /// # Errors
    /// When the server does not take it, or does not answer.
    pub(super) async fn send(mut self, message: &Message) -> Result<Self, SmtpError> {
        let text = message.formatted();
        patiently(self.0.send(message.envelope(), &text)).await?;
        Ok(self)
    }

    /// Says good-bye.
    pub(super) async fn close(mut self) {
        // All mails are handed over; what becomes of the connection does not matter any more.
        let _closed = timeout(PATIENCE, self.0.abort()).await;
    }
}

async fn patiently<T>(work: impl Future<Output = Result<T, smtp::Error>>) -> Result<T, SmtpError> {
    match timeout(PATIENCE, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(SmtpError { reason: "the server took too long".to_owned(), permanent: false }),
    }
}

impl From<smtp::Error> for SmtpError {
    fn from(error: smtp::Error) -> Self {
        let reason = match error.status() {
            Some(code) => format!("the server said {code}"),
            None if error.is_tls() => "TLS could not be established".to_owned(),
            None if error.is_client() => "the server lacks something that is needed".to_owned(),
            None if error.is_response() => "the server's answer made no sense".to_owned(),
            None => "the connection could not be made, or broke".to_owned(),
        };
        Self { reason, permanent: error.is_permanent() || error.is_client() }
    }
}
