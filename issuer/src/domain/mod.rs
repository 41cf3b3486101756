//! Values and flows of the issuer. Knows no HTTP, no database and no cryptography; it speaks to them through
//! [`ports`].
//!
//! Read [`register`], [`login`], [`refresh`] and [`authenticate`] first: one file per flow, top to bottom.

/// What a person should look at.
pub mod alert;
/// Counters of attempts, and what is too many; no I/O.
pub mod attempts;
/// What administrators did.
pub mod audit;
/// The time and the dice, as ports, and the system's own.
pub mod clock;
/// Who asks, from where: travels with every flow.
pub mod context;
/// A canonical e-mail address.
pub mod email;
/// Answers whose time tells nothing.
mod evenly;
/// What happened, as the rest of the system hears of it.
pub mod event;
/// From the names of roles to roles that there are.
mod existing_roles;
/// What is wrong with one field of a request.
pub mod field;
/// Identifiers that cannot be mixed up.
pub mod ids;
/// Sealed keys, as the store sees them.
pub mod keys;
/// What is mailed, and how it waits for that.
pub mod mail;
/// Tokens that are good once, for one purpose.
pub mod one_time;
/// What waits to be told, and what becomes of it.
pub mod outbox;
/// Long lists, a page at a time.
pub mod page;
/// The secret a user types, and what is stored of it.
pub mod password;
/// Proof that somebody may do what he asks for.
pub mod permit;
/// Which passwords may be chosen.
pub mod policy;
/// From a link that somebody shall have to a sealed mail job.
pub mod post;
/// Tokens that are dead before their time.
pub mod revocation;
/// Roles and the permissions they carry.
pub mod role;
/// A login: one family of refresh tokens.
pub mod session;
/// What tokens say, and what a login hands out.
pub mod token;
/// The account.
pub mod user;
/// An account as one line of JSON.
pub mod user_line;
/// A canonical user name, and what a user may log in with.
pub mod username;

/// What the flows need from the outside, with the obligations of whoever provides it.
pub mod ports;

/// What administrators do about roles.
pub mod administer_roles;
/// What administrators do about users.
pub mod administer_users;
/// Bearer token in, caller out.
pub mod authenticate;
/// Another password, and the end of everything that the old one opened.
pub mod change_password;
/// What is handed out for an open session.
pub mod grant;
/// Who tries what from where, and when it is enough.
pub mod guard;
/// Accounts from elsewhere, line by line.
pub mod import;
/// Login name and password in, session and tokens out.
pub mod login;
/// Who logged in as whom.
pub mod login_history;
/// What users do about their own sessions: see them, end one, end all.
pub mod own_sessions;
/// A link by mail for those who forgot their password, and the new password for it.
pub mod password_reset;
/// What somebody should look at, for those who may.
pub mod read_alerts;
/// What administrators did, for those who may know.
pub mod read_audit;
/// Refresh token in, the next pair out.
pub mod refresh;
/// A new account.
pub mod register;
/// Dead tokens, as soon as they are, to all gateways.
pub mod revocation_feed;
/// A link by mail, and the proof that its reader owns the address.
pub mod verify_email;
