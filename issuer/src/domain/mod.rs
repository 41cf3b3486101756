//! Values and flows of the issuer. Knows no HTTP, no database and no cryptography; it speaks to them through
//! [`ports`].
//!
//! Read [`register`], [`login`] and [`authenticate`] first: one file per flow, top to bottom.

/// The time and the dice, as ports, and the system's own.
pub mod clock;
/// Who asks, from where: travels with every flow.
pub mod context;
/// A canonical e-mail address.
pub mod email;
/// What is wrong with one field of a request.
pub mod field;
/// Identifiers that cannot be mixed up.
pub mod ids;
/// Sealed keys, as the store sees them.
pub mod keys;
/// The secret a user types, and what is stored of it.
pub mod password;
/// Which passwords may be chosen.
pub mod policy;
/// Roles and the permissions they carry.
pub mod role;
/// A login: one family of refresh tokens.
pub mod session;
/// What tokens say, and what a login hands out.
pub mod token;
/// The account.
pub mod user;
/// A canonical user name, and what a user may log in with.
pub mod username;

/// What the flows need from the outside, with the obligations of whoever provides it.
pub mod ports;

/// Bearer token in, caller out.
pub mod authenticate;
/// Login name and password in, session and tokens out.
pub mod login;
/// A new account.
pub mod register;
