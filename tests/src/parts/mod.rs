//! The parts of a stack: how each is configured, started, and known to be ready.

/// An upstream that records what arrives, byte for byte.
pub mod echo;
/// The proxy with the plugin in it.
pub mod envoy;
/// A feed of revocations that does as it is told.
pub mod feed_server;
/// The issuer on either store.
pub mod issuer;
/// A server of public keys that does as it is told: answers, fails, or lets wait.
pub mod key_server;
/// A program that hears what the issuer tells.
pub mod listener;
/// MongoDB as a replica set of one.
pub mod mongod;
/// RabbitMQ in a directory of its own.
pub mod rabbitmq;
/// A port whose connections are served until it is dropped.
mod served;
/// The example service behind the gateway.
pub mod user_service;

pub use echo::{Echo, Received};
pub use envoy::Envoy;
pub use feed_server::{FeedServer, Mood};
pub use issuer::{Issuer, Store};
pub use key_server::{Answer, KeyServer};
pub use listener::{Heard, Listener, QueueKind};
pub use mongod::Mongod;
pub use rabbitmq::Rabbitmq;
pub use user_service::UserService;
