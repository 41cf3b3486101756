//! What the operator wants: who may pass where, and what the service behind is told.

/// From what is written to what can be acted on.
mod compile;
/// A policy: a configuration that can be acted on.
pub mod config;
/// Strip first, then set: what happens to the headers of a request that passes.
mod headers;
/// Whether one rule lets in nobody whom another refuses.
mod implies;
/// What a policy says that its author may not have meant.
mod lint;
/// Request paths and templates.
pub mod path;
/// Rules, the first that matches, and what they demand of a caller.
mod rule;
/// The configuration file's own shape.
mod schema;

pub use config::{ConfigError, Policy, Provider, RevocationSource, Secret};
pub use headers::{HeaderMutation, HeaderPlan, PreparedHeaders};
pub(crate) use headers::{encode_list, encode_value};
pub(crate) use rule::Access;
pub use rule::{Permit, Rule, Rules};
pub use schema::{Config, Mode, RemoteKeys, WhenStale};
