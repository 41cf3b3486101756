use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};
use rand::TryRng;
use uuid::{Builder, Uuid};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present moment in whole milliseconds: the finest step that every store keeps.
    fn now(&self) -> Timestamp;
}

/// Throws the dice.
pub trait Random: Send + Sync {
    /// Fills `bytes` with output of a cryptographic generator.
    fn fill(&self, bytes: &mut [u8]);
}

/// A random (version 4) UUID.
#[must_use]
pub fn random_uuid(random: &dyn Random) -> Uuid {
    Builder::from_random_bytes(random_bytes(random)).into_uuid()
}

/// `N` random bytes.
#[must_use]
pub fn random_bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// `at` moved on by `by`; stops at the end of time instead of failing.
#[must_use]
pub fn later(at: Timestamp, by: std::time::Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
        let now = Timestamp::now();
        now.round(TimestampRound::new().smallest(Unit::Millisecond).mode(jiff::RoundMode::Trunc))
            .unwrap_or(now)
    }
}

/// The operating system's random number generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// When the operating system has no randomness to give: nothing safe could follow.
    fn fill(&self, bytes: &mut [u8]) {
        rand::rngs::SysRng.try_fill_bytes(bytes).expect("the operating system gives randomness");
    }
}
