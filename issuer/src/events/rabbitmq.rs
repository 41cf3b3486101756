use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use uuid::Uuid;

use super::broker::Broker;
use super::load::Message;
use crate::domain::outbox::fate::Outcome;

/// How long the broker may take to take us in, and to confirm a message.
const OPENING: Duration = Duration::from_secs(10);
const CONFIRMING: Duration = Duration::from_secs(5);

/// A connection. Dropped, it is closed.
pub(super) struct Link {
    connection: Connection,
    given_up: AtomicBool,
}

/// A channel that publishes and waits for confirms. Each has one user at a time.
pub(super) struct Publisher {
    channel: Channel,
    exchange: &'static str,
    /// Messages that came back and have not been reported yet.
    returned: Mutex<HashSet<Uuid>>,
}

/// The connection is not there, or not any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("the broker refuses or breaks the connection")]
    Broken(#[from] lapin::Error),
    #[error("the broker does not answer")]
    Silent(#[from] Elapsed),
}

impl Link {
    pub(super) async fn open(broker: &Broker) -> Result<Self, LinkError> {
        let properties = ConnectionProperties::default().with_connection_name("doorward-issuer".into());
        let runtime = lapin::runtime::default_runtime()?;
        let (uri, tls) = (broker.uri.clone(), broker.tls.clone());
        let connect = Connection::connect_uri_with_config(uri, properties, tls, runtime);
        Ok(Self { connection: timeout(OPENING, connect).await??, given_up: AtomicBool::new(false) })
    }

    /// A channel to publish to this exchange, which is made if it is not there.
    pub(super) async fn publisher(&self, exchange: &'static str) -> Result<Publisher, LinkError> {
        let open = async {
            let channel = self.connection.create_channel().await?;
            let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let none = FieldTable::default();
            channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, none).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(Publisher { channel, exchange, returned: Mutex::default() })
        };
        timeout(OPENING, open).await?
    }

    /// Whether it still is one.
    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected() && !self.given_up.load(Ordering::Relaxed)
    }

    /// Nobody shall use it any more: what was sent on it and not confirmed must not be mixed up with what comes.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether the broker has asked us to stop publishing: it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    pub(super) async fn close(&self) {
        let close = self.connection.close(200, "good-bye".into());
        // If the broker does not say good-bye, it is gone, or will find out.
        let _closed = timeout(Duration::from_millis(500), close).await;
    }
}

impl Publisher {
    /// Waits until the broker confirms messages that are for nobody: a broker that is short of something says so only
    /// to those who publish, and then confirms nothing. It may let the first one pass, and any that is empty.
    pub(super) async fn probe(&self) -> Result<(), LinkError> {
        for _ in 0..2 {
            let (nobody, options) = ("doorward.probe".into(), BasicPublishOptions::default());
            let properties = BasicProperties::default();
            self.channel.basic_publish("".into(), nobody, options, b"probe", properties).await?.await?;
        }
        Ok(())
    }

    /// Publishes all of them at once, and says what became of each.
    pub(super) async fn publish(&self, messages: &[Message], link: &Link) -> Vec<Outcome> {
        let answers = join_all(messages.iter().map(|message| self.publish_one(message))).await;
        // Only now: the client hands a returned message out with whichever confirm comes next.
        let returned = std::mem::take(&mut *self.returned.lock().unwrap_or_else(PoisonError::into_inner));
        let silent = answers.iter().all(|answer| matches!(answer, Answer::Silent));
        let outcome = |(message, answer): (&Message, Answer)| match answer {
            Answer::Confirmed if returned.contains(&message.id) => Outcome::Unroutable,
            Answer::Confirmed => Outcome::Accepted,
            Answer::Refused => Outcome::Refused { reason: "the broker did not take it".to_owned() },
            // Silent to all, or blocked: it is the connection's fault. Silent to some: it is the queue's.
            Answer::Silent if silent || link.is_blocked() => Outcome::Lost,
            Answer::Silent => Outcome::Refused { reason: "no confirm in time".to_owned() },
            Answer::Broken => Outcome::Lost,
        };
        messages.iter().zip(answers).map(outcome).collect()
    }

    async fn publish_one(&self, message: &Message) -> Answer {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let publish = async {
            let key = message.routing_key.as_str().into();
            let properties = properties(message);
            let publish =
                self.channel.basic_publish(self.exchange.into(), key, options, &message.body, properties);
            publish.await?.await
        };
        let confirmation = match timeout(CONFIRMING, publish).await {
            Ok(Ok(confirmation)) => confirmation,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a message was not confirmed");
                return Answer::Broken;
            }
            Err(_) => return Answer::Silent,
        };
        let answer = if confirmation.is_ack() { Answer::Confirmed } else { Answer::Refused };
        self.remember_returned(confirmation);
        answer
    }

    fn remember_returned(&self, confirmation: Confirmation) {
        let Some(message) = confirmation.take_message() else { return };
        let id = message.delivery.properties.message_id().as_ref();
        if let Some(id) = id.and_then(|id| id.as_str().parse().ok()) {
            self.returned.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        }
    }
}

/// What the broker said to one message.
enum Answer {
    Confirmed,
    Refused,
    Silent,
    Broken,
}

fn properties(message: &Message) -> BasicProperties {
    const PERSISTENT: u8 = 2;
    BasicProperties::default()
        .with_message_id(message.id.to_string().into())
        .with_content_type(message.content_type.into())
        .with_delivery_mode(PERSISTENT)
}
