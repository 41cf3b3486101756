//! The issuer: registers users, logs them in, signs their access tokens and publishes the keys that verify them.
//!
//! Read [`domain`] first: it holds the values and the flows and knows nothing of HTTP or databases. [`store`] and
//! [`crypto`] implement its ports, [`http`] calls its flows, and only [`app`] sees all of them.

pub mod app;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod events;
pub mod http;
pub mod mail;
pub mod store;
pub mod telemetry;
