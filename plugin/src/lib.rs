//! The Doorward gateway as a proxy-wasm filter: carries host calls to the core and its decisions back.
//!
//! [`root`] configures the gate and keeps its keys fresh, [`filter`] takes one request through it, [`host`] is the
//! only file that names host calls. What is decided, and why, is all in `doorward-gate`.
#![expect(missing_docs, reason = "the SDK's macro exports a function without any")]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

/// The plugin's configuration as Envoy hands it over.
mod configuration;
/// What one worker shares between its requests: the gate, its keys and who waits for them.
mod door;
/// Revocations, followed.
mod feeds;
/// One request.
mod filter;
/// Every call to the host.
mod host;
/// Counters and gauges.
mod metrics;
/// Refusals, told to the operator.
mod report;
/// One worker: configuration, ticks and callouts.
mod root;
/// Requests that wait for keys or revocations.
mod waiting;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(root::Root::new()));
}}
