use std::future::pending;
use std::io;
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Room};

/// Accepts connections, as many as there is room for, until the end has begun, and waits a moment when the operating
/// system cannot give any.
///
/// Out of file descriptors, every attempt fails at once: whoever just tries again burns a core exactly when others need it.
pub(super) struct PatientAcceptor {
    /// None once the end has begun: whoever connects then is refused at once, and goes elsewhere.
    acceptor: Option<TcpAcceptor>,
    room: Room,
    end: CancellationToken,
}

const MOMENT: Duration = Duration::from_millis(100);

impl PatientAcceptor {
    pub(super) fn new(acceptor: TcpAcceptor, room: Room, end: CancellationToken) -> Self {
        Self { acceptor: Some(acceptor), room, end }
    }

    /// The next connection, or none if there is no other one to come.
    async fn next(&mut self) -> Option<io::Result<Accepted>> {
        let acceptor = self.acceptor.as_mut()?;
        tokio::select! {
            // Whoever is in the queue has connected and may have sent his request: he is served before it closes.
            biased;
            accepted = acceptor.accept() => Some(accepted),
            () = self.end.cancelled() => None,
        }
    }
}

type Accepted = (TcpStream, LocalAddr, RemoteAddr, Scheme);

impl Acceptor for PatientAcceptor {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.as_ref().map(TcpAcceptor::local_addr).unwrap_or_default()
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        loop {
            let Some(accepted) = self.next().await else {
                self.acceptor = None;
                return pending().await;
            };
            match accepted {
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
