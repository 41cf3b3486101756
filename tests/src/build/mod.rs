//! Compiling our own programs.

mod cargo;
/// The issuer and the example service.
pub mod programs;
/// A module that crashes on demand, to see what a crash costs.
pub mod trap;
/// Takes out of the module what Envoy would call for nothing.
mod trim;
/// The plugin, by whichever toolchain can be had.
pub mod wasm;
