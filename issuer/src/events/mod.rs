//! Telling the rest of the system, through RabbitMQ.
//!
//! What there is to tell waits in the outbox, where the flows wrote it together with the change. [`relay`] takes it from
//! there and hands it to the broker; no request ever waits for that.

/// Where the broker is, and whom to trust there.
pub mod broker;
/// An event as it goes over the wire: CloudEvents 1.0.
pub mod envelope;
/// Looking after the outbox: how full it is, and what need not be kept.
pub mod keeper;
/// What a relay can carry.
pub mod load;
/// Mails that another service sends.
pub mod mail_jobs;
/// One connection to the broker, and publishing on it.
mod rabbitmq;
/// From the outbox to the broker, again and again.
pub mod relay;
/// Events, on their way to everybody who listens.
pub mod told;
