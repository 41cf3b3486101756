use std::path::PathBuf;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use url::{Host, Url};

/// Where the broker is, who we are there, and whom to trust. Holds a password, so it has no `Debug`.
#[derive(Clone)]
pub struct Broker {
    pub(super) uri: AMQPUri,
    pub(super) tls: OwnedTLSConfig,
}

/// Why a URL names no broker. The URL holds a password, so it is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// It is not of the form that brokers have.
    #[error("must be amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// with TLS")]
    Form,
    /// It asks for something that we cannot do.
    #[error("has the parameter {0}, which this version does not know; it knows cacertfile and heartbeat")]
    Parameter(String),
    /// A certificate that is not for TLS.
    #[error("names a cacertfile, which needs amqps://")]
    Plain,
    /// The certificate file.
    #[error("names the cacertfile {path}, which cannot be read ({source})")]
    Certificate {
        /// Where it should be.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
}

impl Broker {
    /// Reads a URL such as RabbitMQ's own clients take. `cacertfile` names a PEM file of authorities to trust beside the
    /// system's; the server must show a certificate for the host in the URL.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub fn parse(text: &str) -> Result<Self, BrokerError> {
        let url = Url::parse(text).map_err(|_| BrokerError::Form)?;
        // The client would read an IPv6 address as "localhost".
        if !matches!(url.host(), Some(Host::Domain(host)) if !host.is_empty()) {
            return Err(BrokerError::Form);
        }
        let mut certificate = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "cacertfile" => certificate = Some(PathBuf::from(&*value)),
                "heartbeat" => {}
                other => return Err(BrokerError::Parameter(other.to_owned())),
            }
        }
        let uri: AMQPUri = text.parse().map_err(|_| BrokerError::Form)?;
        if certificate.is_some() && uri.scheme != AMQPScheme::AMQPS {
            return Err(BrokerError::Plain);
        }
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).map_err(|source| BrokerError::Certificate { path, source })
        };
        let cert_chain = certificate.map(read).transpose()?;
        Ok(Self { uri, tls: OwnedTLSConfig { identity: None, cert_chain } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_broker_is_read() {
        let broker = Broker::parse("amqp://door:s%3Acret@mq.example.test:5673/prod?heartbeat=20")
            .map_err(drop)
            .unwrap();
        let AMQPUri { authority, vhost, query, .. } = broker.uri;
        assert_eq!(
            (authority.host.as_str(), authority.port, vhost.as_str()),
            ("mq.example.test", 5673, "prod")
        );
        assert_eq!((authority.userinfo.password.as_str(), query.heartbeat), ("s:cret", Some(20)));
        let broker = Broker::parse("amqps://127.0.0.1/%2f").map_err(drop).unwrap();
        assert_eq!((broker.uri.authority.port, broker.uri.vhost.as_str()), (5671, "/"));
    }

    #[test]
    fn what_names_none_is_refused_without_repeating_it() {
        for (text, words) in [
            ("", "must be amqp://"),
            ("amqp:", "must be amqp://"),
            ("http://door:s3cret@mq.example.test/", "must be amqp://"),
            ("amqp://door:s3cret@[::1]/", "must be amqp://"),
            ("amqp://door:s3cret@h:99999/", "must be amqp://"),
            ("amqps://door:s3cret@h/?verify=verify_none", "verify"),
            ("amqp://door:s3cret@h/?cacertfile=/ca.pem", "amqps"),
            ("amqps://door:s3cret@h/?cacertfile=/nowhere/ca.pem", "/nowhere/ca.pem"),
        ] {
            let refused = Broker::parse(text).map(drop).unwrap_err().to_string();
            assert!(refused.contains(words) && !refused.contains("s3cret"), "{text}: {refused}");
        }
    }
}
