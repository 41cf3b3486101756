use std::io;
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};

use super::connection::Connection;

/// Accepts connections, and waits a moment when the operating system cannot give any.
///
/// Out of file descriptors, every attempt fails at once: whoever just tries again burns a core exactly when others need it.
pub(super) struct PatientAcceptor(pub(super) TcpAcceptor);

const MOMENT: Duration = Duration::from_millis(100);

impl Acceptor for PatientAcceptor {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        loop {
            match self.0.accept().await {
                Ok((stream, local, remote, scheme)) => {
                    return Ok((Connection(stream), local, remote, scheme));
                }
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
