//! What the machine and its MongoDB can do when there is no issuer in between; `cargo xtask bench issuer` compares.
//!
//! Prints one number: how many a second.

use std::error::Error;
use std::thread;
use std::time::Duration;

use clap::Parser;
use doorward_issuer::telemetry::Stopwatch;
use futures_util::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Document, Uuid, doc};
use mongodb::options::{Acknowledgment, ClientOptions, IndexOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection, IndexModel, error};

#[derive(Parser)]
enum What {
    /// bcrypt hashes, on as many threads as the issuer has for passwords
    Bcrypt {
        #[arg(long)]
        cost: u32,
        #[arg(long)]
        seconds: u64,
    },
    /// Pairs of a read and a conditional write of one session, as a refresh makes them
    Mongodb {
        #[arg(long)]
        url: String,
        #[arg(long)]
        at_once: usize,
        #[arg(long)]
        seconds: u64,
    },
    /// Messages that the broker confirms, of the size that events have and as many at once as the relay has under way
    Rabbitmq {
        #[arg(long)]
        url: String,
        #[arg(long)]
        seconds: u64,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let rate = match What::parse() {
        What::Bcrypt { cost, seconds } => bcrypt(cost, Duration::from_secs(seconds)),
        What::Mongodb { url, at_once, seconds } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(mongodb(&url, at_once, Duration::from_secs(seconds)))?
        }
        What::Rabbitmq { url, seconds } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(rabbitmq(&url, Duration::from_secs(seconds)))?
        }
    };
    println!("{rate}");
    Ok(())
}

fn bcrypt(cost: u32, time: Duration) -> f64 {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let (stopwatch, mut done) = (Stopwatch::start(), 0.0);
        while stopwatch.elapsed() < time {
            let hash = bcrypt::hash_with_salt(b"a password of an ordinary length", cost, [7; 16]);
            std::hint::black_box(hash).expect("the cost is one of bcrypt's");
            done += 1.0;
        }
        done / stopwatch.elapsed().as_secs_f64()
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("hashing does not panic")).sum()
    })
}

/// With the concerns that the issuer's store has.
async fn mongodb(url: &str, at_once: usize, time: Duration) -> error::Result<f64> {
    let mut options = ClientOptions::parse(url).await?;
    options.read_concern = Some(ReadConcern::majority());
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    let client = Client::with_options(options)?;
    let sessions: Collection<Document> =
        client.default_database().unwrap_or_else(|| client.database("ceiling")).collection("sessions");
    let expiring = IndexOptions::builder().expire_after(Duration::ZERO).build();
    let expiring = IndexModel::builder().keys(doc! { "expires_at": 1 }).options(expiring).build();
    let of_user = IndexModel::builder().keys(doc! { "user": 1 }).build();
    sessions.create_indexes([expiring, of_user]).await?;
    let tasks: Vec<_> =
        (0..at_once).map(|_| tokio::spawn(exchange_again_and_again(sessions.clone(), time))).collect();
    let mut rate = 0.0;
    for task in tasks {
        rate += task.await.expect("the driver does not panic")?;
    }
    Ok(rate)
}

/// The two operations of the issuer's own store, on a collection with its indexes.
async fn exchange_again_and_again(sessions: Collection<Document>, time: Duration) -> error::Result<f64> {
    let (id, now) = (Uuid::new(), DateTime::now().timestamp_millis());
    let at = |moment: i64| DateTime::from_millis(now + 86_400_000 + moment);
    let fingerprint = |byte| Binary { subtype: BinarySubtype::Generic, bytes: vec![byte; 32] };
    let session = doc! { "_id": id, "user": Uuid::new(), "epoch": 1_i64, "generation": 0_i64,
    "refresh_fingerprint": fingerprint(0), "created_at": at(0), "last_used_at": at(0), "expires_at": at(0),
    "ends_at": at(0), "address": "192.0.2.1" };
    sessions.insert_one(session).await?;
    let (stopwatch, mut done) = (Stopwatch::start(), 0_u32);
    while stopwatch.elapsed() < time {
        let found = sessions.find_one(doc! { "_id": id }).await?.unwrap_or_default();
        let generation = found.get_i64("generation").unwrap_or_default();
        let was = found.get("refresh_fingerprint").cloned().unwrap_or_default();
        let as_it_was = doc! { "_id": id, "generation": generation, "refresh_fingerprint": was };
        let moment = at(i64::from(done) + 1);
        let next = doc! { "$set": { "generation": generation + 1, "refresh_fingerprint": fingerprint(1),
        "last_used_at": moment, "expires_at": moment } };
        sessions.update_one(as_it_was, next).await?;
        done += 1;
    }
    Ok(f64::from(done) / stopwatch.elapsed().as_secs_f64())
}

/// Into a durable queue that nobody empties, through the exchange and with the windows that the relay has.
async fn rabbitmq(url: &str, time: Duration) -> Result<f64, lapin::Error> {
    const CHANNELS: usize = 2;
    const QUEUE: &str = "ceiling";
    const EXCHANGE: &str = "auth.events";
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
    let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(QUEUE.into(), EXCHANGE.into(), QUEUE.into(), bind, none).await?;
    let publishers = (0..CHANNELS).map(async |_| {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        publish_again_and_again(&channel, EXCHANGE, QUEUE, time).await
    });
    Ok(try_join_all(publishers).await?.into_iter().sum())
}

async fn publish_again_and_again(
    channel: &Channel,
    exchange: &str,
    key: &str,
    time: Duration,
) -> Result<f64, lapin::Error> {
    const WINDOW: usize = 256;
    let (stopwatch, mut done) = (Stopwatch::start(), 0.0);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let message = [b'x'; 512];
    while stopwatch.elapsed() < time {
        let publish = async |_| {
            let persistent = BasicProperties::default().with_delivery_mode(2);
            channel.basic_publish(exchange.into(), key.into(), options, &message, persistent).await?.await
        };
        try_join_all((0..WINDOW).map(publish)).await?;
        done += WINDOW as f64;
    }
    Ok(done / stopwatch.elapsed().as_secs_f64())
}
