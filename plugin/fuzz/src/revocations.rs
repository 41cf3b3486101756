//! Pages of revocations, and entries of the board, from anybody.
#![no_main]

use std::cell::Cell;
use std::time::Duration;

use doorward_gate::token::revocation::{Board, Feed, Page, Slot};
use libfuzzer_sys::fuzz_target;

/// A board on which everything is what somebody else left there, save the lease.
struct Littered<'a> {
    data: &'a [u8],
    lease: Cell<Option<Vec<u8>>>,
}

impl Board for Littered<'_> {
    fn read(&self, slot: Slot) -> Option<Vec<u8>> {
        if slot == Slot::Lease {
            let lease = self.lease.take();
            self.lease.set(lease.clone());
            return lease;
        }
        Some(self.data.to_vec())
    }

    fn write(&mut self, slot: Slot, value: &[u8]) {
        if slot == Slot::Lease {
            self.lease.set(Some(value.to_vec()));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let page = Page::parse(data);
    let mut board = Littered { data, lease: Cell::default() };
    let mut feed = Feed::new(7, Duration::from_secs(60));
    let mut now = Duration::from_secs(1_800_000_000);
    for _ in 0..4 {
        now += Duration::from_secs(1);
        if let Some(poll) = feed.tick(&mut board, now) {
            feed.answered(poll.number, page.clone().ok(), &mut board, now);
        }
    }
});
