//! Mails: what they say, and the SMTP server that takes them. They wait in the outbox, sealed, until [`sender`] has sent
//! them; no request ever waits for that.

/// The mail itself: addresses, headers, and both forms of the text.
mod message;
/// From the outbox to the server.
pub mod sender;
/// The server that takes mails, as the operator names it.
pub mod server;
/// One connection to the server.
mod smtp;
/// What mails say.
mod text;
