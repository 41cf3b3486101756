use std::io;
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};

use super::connection::{Connection, Room};

/// Accepts connections, as many as there is room for, and waits a moment when the operating system cannot give any.
///
/// Out of file descriptors, every attempt fails at once: whoever just tries again burns a core exactly when others need it.
pub(super) struct PatientAcceptor {
    pub(super) acceptor: TcpAcceptor,
    pub(super) room: Room,
}

const MOMENT: Duration = Duration::from_millis(100);

impl Acceptor for PatientAcceptor {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        loop {
            match self.acceptor.accept().await {
                Ok((stream, local, remote, scheme)) => {
                    let connection = Connection::new(stream, self.room.clone()).await?;
                    return Ok((connection, local, remote, scheme));
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
