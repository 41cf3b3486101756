use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use poem::Server;
use poem::listener::TcpAcceptor;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::acceptor::PatientAcceptor;
use super::connection::Room;
use crate::config;
use crate::http::routes::Parts;

/// How long connections stay open once the end has begun. Their next answer tells them to connect elsewhere; closing them at
/// once would lose requests that are on their way, which nobody may repeat for their senders.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long requests under way may take from then on; together with the rest below 15 s.
const DRAIN: Duration = Duration::from_secs(7);
const LAST_WORDS: Duration = Duration::from_secs(1);
const FLOWS: Duration = Duration::from_secs(3);

/// Longer than Envoy keeps an idle connection: were we the first to close, a request on its way would be lost.
const IDLE: Duration = Duration::from_secs(65 * 60);

/// Both listeners, bound: whoever connects now will be answered as soon as they run.
pub struct Listeners {
    public: TcpListener,
    management: TcpListener,
    max_connections: usize,
    /// Where the public listener is.
    pub public_address: SocketAddr,
    /// Where the management listener is.
    pub management_address: SocketAddr,
}

impl Listeners {
    /// Binds both.
    ///
    /// # Errors
    /// When an address is taken or not ours.
    pub async fn bind(settings: &config::Server) -> Result<Self, StartError> {
        let (public, public_address) = bind("server.public", settings.public).await?;
        let (management, management_address) = bind("server.management", settings.management).await?;
        let max_connections = room_for(settings.max_connections);
        Ok(Self { public, management, max_connections, public_address, management_address })
    }

    /// Answers requests until `end`, then stops in good order: not ready and not to be connected to any more, what is
    /// under way comes to its end, and the management listener closes last, so that the state can be watched.
    ///
    /// # Errors
    /// When a listener breaks.
    pub async fn run(self, parts: &Parts, end: impl Future<Output = ()>) -> Result<(), StartError> {
        tracing::info!(listener = "public", address = %self.public_address, "listening");
        tracing::info!(listener = "management", address = %self.management_address, "listening");
        let drained = CancellationToken::new();
        let room = Room::for_many(self.max_connections);
        let management = accept(self.management, room, drained.clone())?.run_with_graceful_shutdown(
            parts.management(),
            drained.clone().cancelled_owned(),
            Some(LAST_WORDS),
        );
        let public = async {
            // However this ends, the other listener must not wait for ever.
            let _drained = drained.clone().drop_guard();
            let draining = parts.draining.clone();
            let room = Room::for_many(self.max_connections);
            let acceptor = accept(self.public, room.clone(), draining.clone())?;
            let ended = acceptor.run_with_graceful_shutdown(
                parts.public(),
                async move {
                    end.await;
                    tracing::info!("draining");
                    draining.cancel();
                    farewell(&room).await;
                },
                Some(DRAIN),
            );
            let ended = ended.await.map_err(StartError::Serve);
            wait_for_flows(parts).await;
            ended
        };
        let following = parts.revocations.follow(drained.cancelled());
        let (public, management, ()) = tokio::join!(public, management, following);
        tracing::info!("stopped");
        public.and(management.map_err(StartError::Serve))
    }
}

/// SIGTERM or Ctrl-C.
///
/// # Errors
/// When the process cannot receive signals.
pub(super) fn termination() -> Result<impl Future<Output = ()>, StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Serve)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Serve)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn accept(
    listener: TcpListener,
    room: Room,
    end: CancellationToken,
) -> Result<Server<Infallible, PatientAcceptor>, StartError> {
    let acceptor = TcpAcceptor::from_tokio(listener).map_err(StartError::Serve)?;
    Ok(Server::new_with_acceptor(PatientAcceptor::new(acceptor, room, end)).idle_timeout(IDLE))
}

/// Waits for those who are connected to go, but not for long.
async fn farewell(room: &Room) {
    const LOOK: Duration = Duration::from_millis(20);
    let mut looks = tokio::time::interval(LOOK);
    let gone = async {
        while !room.is_empty() {
            looks.tick().await;
        }
    };
    // Whoever stays has been idle all the time.
    let _late = tokio::time::timeout(FAREWELL, gone).await;
}

/// What the process has open besides clients: the store, the log, the broker.
const OTHER_FILES: u64 = 128;

/// As many as wanted, if the operating system lets this process have them: two listeners share its files.
fn room_for(wanted: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let possible = usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX).max(16);
    if possible < wanted {
        tracing::warn!(
            wanted,
            possible,
            "fewer connections than server.max_connections: raise the limit on open files"
        );
    }
    wanted.min(possible)
}

/// Flows whose client is gone write all the same.
async fn wait_for_flows(parts: &Parts) {
    parts.flows.close();
    if tokio::time::timeout(FLOWS, parts.flows.wait()).await.is_err() {
        tracing::warn!(left = parts.flows.len(), "not everything came to its end in time");
    }
}
