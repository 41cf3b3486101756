//! HTTP: the issuer's two listeners.
//!
//! A request comes in through `edge`, which knows everything that is the same for all of them, goes to its operation,
//! and leaves through `problem` if anything was wrong. All routes are in [`routes`].

/// Every route of both listeners; read this first.
pub mod routes;

/// `/admin/audit`.
mod admin_audit;
/// `/admin/roles*`.
mod admin_roles;
/// `/admin/users*`.
mod admin_users;
/// `/admin/alerts`, `/admin/users/{id}/login-history` and `/unlock`.
mod admin_watch;
/// `/auth/*`: accounts, logging in, and who a token belongs to.
mod auth;
/// `/openapi.json` and `/docs`.
mod docs;
/// `/health`.
mod health;
/// `/auth/login-history`.
mod history;
/// `/.well-known/jwks.json`.
mod keys;
/// `/auth/password-reset*`, `/auth/verify-email*`.
mod mailed;
/// `/.well-known/oauth-authorization-server`.
mod metadata;
/// `/auth/change-password`.
mod password;
/// `/auth/refresh`, `/auth/logout*`, `/auth/sessions*`.
mod sessions;

/// What is on the management listener alone, and the token that guards it.
mod management;
/// `/metrics`.
mod metrics;
/// `/revocations`.
mod revocations;

/// Around every request: its id, its deadline, its log line, and what happens to a panic.
mod edge;
/// Flows that outlive their request.
mod flows;
/// What every path is called, and the methods it takes.
mod known;
/// The client's address, behind proxies.
mod peer;
/// The span of a request.
mod trace;

/// From a caller to one who has the permission that is asked for.
mod allowed;
/// From `Authorization` to a caller.
mod bearer;
/// From a JSON body to a typed value.
mod body;
/// From a list's cursor to a place in the list, and back.
mod cursor;
/// From a JSON value to a typed one, naming the field that is wrong and repeating nothing.
mod fields;

/// What can be wrong, told to the OpenAPI document.
mod documented;
/// The only way from something wrong to the wire.
mod problem;
/// The table of everything that can be wrong: name, status, words.
mod reason;
/// The answer that hands out tokens.
mod tokens;
/// The answer that is an account.
mod user;
