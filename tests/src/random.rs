//! Secrets for development stacks and tests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::TryRng as _;
use rand::rngs::SysRng;

/// A password nobody can guess, safe in a shell and in JSON.
#[must_use]
pub fn password() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<18>())
}

/// A master key as the issuer's configuration takes it: 32 bytes in base64.
#[must_use]
pub fn master_key() -> String {
    STANDARD.encode(bytes::<32>())
}

/// A short name that has not been used before: lower-case letters and digits.
#[must_use]
pub fn name() -> String {
    bytes::<6>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fresh random bytes.
///
/// # Panics
/// When the system has no randomness to give: nothing here can go on without.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the system's random source works");
    bytes
}
