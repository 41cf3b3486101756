//! The program as an operator runs it: its arguments, what it prints, how it ends.

/// Runs the program.
mod program;

/// `config check`.
mod config;
/// `keys list`, `keys rotate` and `keys revoke`, beside a running issuer.
mod keys;
/// `serve`, from start to end.
mod serve;
/// `users import` and `users export`.
mod transfer;
/// `users create`.
mod users;
