//! Where the real parts come from: the `PATH` first, else a pinned copy in `.tools/` of the checkout.

/// Envoy, the proxy.
pub mod envoy;
/// MongoDB's server.
pub mod mongod;
/// The programs that must be there before anything else: cargo, a C and a C++ compiler.
pub mod prerequisites;
/// RabbitMQ's server, from the distribution.
pub mod rabbitmq;
/// Schemas of Compose files and of Kubernetes' objects.
pub mod schemas;
mod wheel;
