//! A program that listens to what the issuer tells, through queues of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::{Error, Result, wait};

/// A connection to the broker, and what was heard so far.
pub struct Listener {
    // Dropped before the runtime that it lives on.
    channel: Channel,
    _connection: Connection,
    runtime: Runtime,
}

/// How a queue keeps its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// On one node.
    Classic,
    /// Agreed among several.
    Quorum,
}

/// A message as it arrived.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Where it was published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// The property `message_id`.
    pub message_id: String,
    /// The property `content_type`.
    pub content_type: String,
    /// Whether it survives a restart of the broker.
    pub persistent: bool,
    /// The body.
    pub event: Value,
}

impl Listener {
    /// Connects to the broker at this URL.
    ///
    /// # Errors
    /// When it does not let us in.
    pub fn connect(url: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(Error::io("start a runtime"))?;
        let (connection, channel) = runtime.block_on(async {
            let connection = Connection::connect(url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            Ok::<_, lapin::Error>((connection, channel))
        })?;
        Ok(Self { channel, _connection: connection, runtime })
    }

    /// Makes a durable queue and binds it to the events that the issuer publishes under these keys.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn bind(&self, queue: &str, kind: QueueKind, keys: &[&str]) -> Result<()> {
        self.bind_to("auth.events", queue, kind, keys)
    }

    /// The same with another exchange.
    ///
    /// # Errors
    /// When the broker refuses, and then for everything that follows.
    pub fn bind_to(&self, exchange: &str, queue: &str, kind: QueueKind, keys: &[&str]) -> Result<()> {
        let mut arguments = FieldTable::default();
        if kind == QueueKind::Quorum {
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        }
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.runtime.block_on(async {
            self.channel.queue_declare(queue.into(), durable, arguments).await?;
            for key in keys {
                let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
                self.channel.queue_bind(queue.into(), exchange.into(), (*key).into(), bind, none).await?;
            }
            Ok::<_, lapin::Error>(())
        })?;
        Ok(())
    }

    /// Takes the next message off the queue, if there is one.
    ///
    /// # Errors
    /// When the broker refuses, or the message is not JSON.
    pub fn take(&self, queue: &str) -> Result<Option<Heard>> {
        let taken = self.runtime.block_on(async {
            let taken = self.channel.basic_get(queue.into(), BasicGetOptions::default()).await?;
            if let Some(message) = &taken {
                message.ack(BasicAckOptions::default()).await?;
            }
            Ok::<_, lapin::Error>(taken)
        })?;
        taken.map(|taken| Heard::read(&taken.delivery)).transpose()
    }

    /// Hears the next `number` messages of the queue, each at the moment it comes.
    ///
    /// # Errors
    /// When the broker refuses, a message is not JSON, or nothing comes for longer than `limit`.
    pub fn hear(
        &self,
        queue: &str,
        number: usize,
        limit: Duration,
        mut hear: impl FnMut(Heard),
    ) -> Result<()> {
        let silent = || Error::unexpected("RabbitMQ", "no further message".to_owned());
        self.runtime.block_on(async {
            let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
            let consumer =
                self.channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
            let mut consumer = consumer.await?;
            for _ in 0..number {
                let next = timeout(limit, consumer.next()).await.map_err(|_| silent())?;
                hear(Heard::read(&next.ok_or_else(silent)??)?);
            }
            Ok(())
        })
    }

    /// How many messages wait in the queue.
    ///
    /// # Errors
    /// When the broker refuses, or there is no such queue.
    pub fn waiting(&self, queue: &str) -> Result<u32> {
        let look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declare = self.channel.queue_declare(queue.into(), look, FieldTable::default());
        Ok(self.runtime.block_on(declare)?.message_count())
    }

    /// The next message of the queue, waited for.
    #[must_use]
    pub fn next(&self, queue: &str, limit: Duration) -> Option<Heard> {
        wait::until(limit, || self.take(queue).ok().flatten())
    }

    /// Everything that is in the queue now, by the events' ids; of those that came twice the first.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn drain(&self, queue: &str) -> Result<BTreeMap<String, Heard>> {
        let mut all = BTreeMap::new();
        while let Some(heard) = self.take(queue)? {
            all.entry(heard.message_id.clone()).or_insert(heard);
        }
        Ok(all)
    }
}

impl Heard {
    fn read(delivery: &Delivery) -> Result<Self> {
        let text = |value: Option<String>| value.unwrap_or_default();
        Ok(Self {
            exchange: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            message_id: text(delivery.properties.message_id().as_ref().map(ToString::to_string)),
            content_type: text(delivery.properties.content_type().as_ref().map(ToString::to_string)),
            persistent: *delivery.properties.delivery_mode() == Some(2),
            event: serde_json::from_slice(&delivery.data)
                .map_err(|error| Error::unexpected("the broker", error.to_string()))?,
        })
    }
}

impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        Self::unexpected("RabbitMQ", error.to_string())
    }
}
