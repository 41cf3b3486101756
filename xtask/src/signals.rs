//! Ctrl-C and termination.
//!
//! While a stack is starting a signal may simply end this process: the supervisors notice, stop the parts, and the
//! guard removes what is left. Once it is up, it is stopped in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use nix::sys::signal::{SigSet, Signal};

use crate::error::Error;

/// Signals on their way to this process.
#[derive(Debug)]
pub(crate) struct Signals {
    arrived: Receiver<()>,
    orderly: Arc<AtomicBool>,
}

impl Signals {
    /// Takes over signal handling, for this thread and those that it starts from now on.
    pub(crate) fn take_over() -> Result<Self, Error> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        set.thread_block().map_err(|errno| Error::io("take over signals")(errno.into()))?;
        let (send, arrived) = channel();
        let orderly = Arc::new(AtomicBool::new(false));
        let for_thread = Arc::clone(&orderly);
        std::thread::spawn(move || {
            while set.wait().is_ok() {
                if !for_thread.load(Ordering::SeqCst) || send.send(()).is_err() {
                    std::process::exit(130);
                }
            }
        });
        Ok(Self { arrived, orderly })
    }

    /// From here on signals are handed over to [`Signals::arrived`].
    pub(crate) fn expect_orderly_end(&self) {
        self.orderly.store(true, Ordering::SeqCst);
    }

    /// Waits for a signal, for this long at most.
    pub(crate) fn arrived(&self, limit: std::time::Duration) -> bool {
        self.arrived.recv_timeout(limit).is_ok()
    }
}
