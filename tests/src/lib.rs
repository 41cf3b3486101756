//! The harness: the real parts of Doorward, found or fetched, built, started, watched and stopped.
//!
//! Two callers use it. `cargo xtask` brings up a stack for people; the end-to-end tests bring up one for each test.
//! In reading order: [`tools`] knows where Envoy and MongoDB come from, [`build`] compiles our own programs,
//! [`process`] keeps a child process under control, [`parts`] knows how each program is configured and when it is
//! ready, and [`stack`] puts them together. [`prepared`] carries what `cargo xtask test` made ready into the tests.
//!
//! Everything is synchronous: a test reads from top to bottom, and there is no runtime to start.

pub mod build;
pub mod certificate;
pub mod error;
pub mod files;
pub mod http;
pub mod parts;
pub mod ports;
pub mod prepared;
pub mod process;
pub mod progress;
pub mod random;
pub mod stack;
pub mod tools;
pub mod wait;

pub use error::{Error, Result};
