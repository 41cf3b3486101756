/// What holds off those who guess.
mod abuse;
/// Whether the store answers, and what it says if it does not.
mod health;
/// The key ring.
mod keys;
/// What leaves: events, letters, revocations.
mod outbox;
/// Passwords, judged, hashed and checked.
mod passwords;
/// Roles and the record of what administrators did.
mod roles;
/// What must not be read where it waits.
mod sealer;
/// Open sessions.
mod sessions;
/// Tokens of every kind.
mod tokens;
/// Users and their password hashes.
mod users;

pub use self::abuse::{Alerts, Attempts, Blinder, LoginHistory};
pub use self::health::{StoreError, StoreHealth};
pub use self::keys::{Jwks, KeyAges, Keys, RingChanged};
pub use self::outbox::{Letters, Outbox, Revocations};
pub use self::passwords::{HashError, PasswordHasher, Verdict};
pub use self::roles::{Audit, Roles, WriteRoleError};
pub use self::sealer::{BrokenSeal, Sealer};
pub use self::sessions::{Exchanged, Opened, Sessions};
pub use self::tokens::{AccessTokens, OneTimeTokens, RefreshTokens, SignError};
pub use self::users::{Changed, Users, WriteUserError};

/// All that the issuer asks of a store, whichever it is.
pub trait Store:
    Users
    + Roles
    + Sessions
    + Letters
    + Keys
    + Audit
    + Outbox
    + Revocations
    + Attempts
    + LoginHistory
    + Alerts
    + StoreHealth
{
}

impl<S> Store for S where
    S: Users
        + Roles
        + Sessions
        + Letters
        + Keys
        + Audit
        + Outbox
        + Revocations
        + Attempts
        + LoginHistory
        + Alerts
        + StoreHealth
{
}
