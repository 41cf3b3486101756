//! Compiling our own programs.

mod cargo;
/// The issuer and the example service.
pub mod programs;
/// Takes out of the module what Envoy would call for nothing.
mod trim;
/// The plugin, by whichever toolchain can be had.
pub mod wasm;
