use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// A port of its own, whose connections are served by a thread each until it is dropped.
#[derive(Debug)]
pub(super) struct Served {
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl Served {
    /// Accepts connections from now on. One that breaks is the other side's business.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub(super) fn by(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("listen"))?;
        let port = listener.local_addr().map_err(Error::io("listen"))?.port();
        let stopped = Arc::new(AtomicBool::new(false));
        let (seen, serve) = (Arc::clone(&stopped), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(io::Result::ok) {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(stream).ok());
            }
        });
        Ok(Self { port, stopped })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, so that it sees the order.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}
