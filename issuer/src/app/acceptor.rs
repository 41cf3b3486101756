use std::io;
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use tokio::net::TcpStream;

/// Accepts connections, and waits a moment when the operating system cannot give any.
///
/// Out of file descriptors, every attempt fails at once: whoever just tries again burns a core exactly when others need it.
pub(super) struct PatientAcceptor(pub(super) TcpAcceptor);

const MOMENT: Duration = Duration::from_millis(100);

impl Acceptor for PatientAcceptor {
    type Io = TcpStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, LocalAddr, RemoteAddr, Scheme)> {
        loop {
            match self.0.accept().await {
                Ok(accepted) => return Ok(accepted),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "there is no condition to wait for but time"
                    )]
                    tokio::time::sleep(MOMENT).await;
                }
            }
        }
    }
}
