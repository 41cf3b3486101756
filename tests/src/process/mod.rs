//! Child processes that cannot be left behind.
//!
//! Every part runs under a small supervisor: `xtask supervise`, a process that holds nothing but a pipe from us and
//! the part's process group. When the pipe closes, because the part was stopped or because we died in whatever way,
//! the supervisor ends the group. Nothing depends on destructors or signal handlers of the process that started it.

/// Files and directories that disappear with the process that needed them.
pub mod guard;
/// A running part as its owner sees it: wait until ready, stop, kill, read its log.
pub mod running;
/// The supervisor's own side, run inside `xtask supervise` and `xtask guard`.
pub mod supervisor;

pub use guard::{Guard, Workdir};
pub use running::{Launch, Running, without_own_settings};
