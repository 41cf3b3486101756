//! Compiling our own programs.

mod cargo;
/// The issuer and the example service.
pub mod programs;
/// The plugin, by whichever toolchain can be had.
pub mod wasm;
