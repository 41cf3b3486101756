//! What is secret: the key ring, the password pool, and the tokens signed and minted with the ring's keys.

/// The names of counters.
pub mod blinder;
/// Who has the ring, and changes it.
pub mod keeper;
/// What waits in the store to be mailed.
pub mod mail_sealer;
/// The one secret to keep: what seals the ring.
pub mod master_key;
/// Tokens that are mailed.
pub mod one_time;
/// Passwords: peppered bcrypt in the pool.
pub mod password;
/// A bounded pool of threads for slow work.
pub mod pool;
/// Refresh tokens.
pub mod refresh;
/// All keys at one moment, opened.
pub mod ring;
/// Access tokens and the published keys.
pub mod signer;

/// Encryption under the master key and under mail keys.
mod seal;
/// One key that signs, whatever its algorithm.
mod signing_key;
/// A ring in memory, for tests.
#[cfg(test)]
mod testing;
