//! What the issuer announces: users who come, change and go.
//!
//! A durable queue of our own keeps announcements while we are away. Each is acknowledged once it is in the database, so it
//! may come twice; [`Profiles::apply`] notices.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use serde::Deserialize;
use tokio::time::MissedTickBehavior;

use crate::profiles::Profiles;

const EXCHANGE: &str = "auth.events";
const QUEUE: &str = "user-service.users";
const TYPES: [&str; 3] = ["user.created", "user.updated", "user.deleted"];
/// How long to wait before knocking again at a broker that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// A CloudEvent, as far as this service cares.
#[derive(Debug, Deserialize)]
pub(crate) struct Announcement {
    /// The same announcement always has the same.
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The user.
    pub(crate) subject: String,
    /// When it happened.
    pub(crate) time: Timestamp,
    pub(crate) data: Data,
}

/// The part of an announcement that depends on its type.
#[derive(Debug, Deserialize)]
pub(crate) struct Data {
    pub(crate) email: Option<String>,
    pub(crate) username: Option<String>,
}

/// Follows the announcements for ever, through every loss of the broker.
pub(crate) async fn follow(url: String, profiles: Arc<Profiles>) {
    let mut knocks = tokio::time::interval(PAUSE);
    knocks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        knocks.tick().await;
        if let Err(failure) = follow_once(&url, &profiles).await {
            eprintln!("the broker is away: {failure}");
        }
    }
}

async fn follow_once(url: &str, profiles: &Arc<Profiles>) -> lapin::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut announcements = subscribe(&channel).await?;
    while let Some(delivery) = announcements.next().await {
        let delivery = delivery?;
        // What is none of ours, or unreadable, will not become readable: it is dropped, with a word.
        match serde_json::from_slice::<Announcement>(&delivery.data) {
            Ok(announcement) => {
                if !remember(profiles, announcement).await {
                    // Not acknowledged: it comes again with the next connection.
                    return Ok(());
                }
            }
            Err(failure) => eprintln!("an announcement cannot be read: {failure}"),
        }
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

async fn subscribe(channel: &Channel) -> lapin::Result<Consumer> {
    let none = FieldTable::default;
    // Whoever comes first makes the exchange; both sides say the same.
    let exchange = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, exchange, none()).await?;
    let queue = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), queue, none()).await?;
    for kind in TYPES {
        let bind = QueueBindOptions::default();
        channel.queue_bind(QUEUE.into(), EXCHANGE.into(), kind.into(), bind, none()).await?;
    }
    channel.basic_qos(64, BasicQosOptions::default()).await?;
    channel.basic_consume(QUEUE.into(), "".into(), BasicConsumeOptions::default(), none()).await
}

/// Whether it is in the database now.
async fn remember(profiles: &Arc<Profiles>, announcement: Announcement) -> bool {
    let profiles = Arc::clone(profiles);
    let applied = tokio::task::spawn_blocking(move || profiles.apply(&announcement)).await;
    match applied {
        Ok(Ok(())) => true,
        Ok(Err(failure)) => {
            eprintln!("an announcement could not be kept: {failure}");
            false
        }
        Err(_) => false,
    }
}
