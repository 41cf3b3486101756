use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use doorward_tests::http::raw::Connection;

use super::sessions::{Session, User};
use crate::bench::Error;
use crate::bench::clock::{now, wait_until};
use crate::bench::tokens::joined;

/// Requests a second, over all connections, as long as answers come in time.
const RATE: u32 = 1_000;
const CONNECTIONS: u32 = 8;
/// Between two requests of one connection.
const EVERY: Duration = Duration::from_micros(1_000_000 / (RATE / CONNECTIONS) as u64);

/// Requests with a good token at fixed times, however long the answers take.
pub(super) struct Crowd {
    request: Vec<u8>,
    address: String,
}

/// What each connection was served.
pub(super) type Served<'scope> = Vec<ScopedJoinHandle<'scope, Result<u64, Error>>>;

impl Crowd {
    pub(super) fn of(user: &User, sessions: &[Session], address: String) -> Self {
        let request = sessions.first().map(|session| session.request(user)).unwrap_or_default();
        Self { request, address }
    }

    pub(super) fn gather<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        stop: &'env AtomicBool,
    ) -> Served<'scope> {
        let begin = now();
        let one = |number| move || self.keep_asking(begin + EVERY / CONNECTIONS * number, stop);
        (0..CONNECTIONS).map(|number| scope.spawn(one(number))).collect()
    }

    /// Ends it, and says how many requests were served.
    pub(super) fn dismiss(served: Served<'_>, stop: &AtomicBool) -> Result<u64, Error> {
        stop.store(true, Ordering::Relaxed);
        served.into_iter().map(joined).sum()
    }

    fn keep_asking(&self, begin: Instant, stop: &AtomicBool) -> Result<u64, Error> {
        let mut connection = Connection::open(&self.address)?;
        let (mut served, mut next) = (0, begin);
        while !stop.load(Ordering::Relaxed) {
            wait_until(next);
            next += EVERY;
            let answer = connection.send(&self.request)?;
            if answer.status != 200 {
                return Err(Error::Refused(answer.status));
            }
            served += 1;
        }
        Ok(served)
    }
}
