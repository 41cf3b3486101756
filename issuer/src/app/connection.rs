use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

/// The end of a request's head.
mod head;
/// How many connections there may be.
mod room;

use self::head::HeadEnd;
pub(super) use self::room::Room;
use self::room::Turn;

/// How long the head of a request may take, from its first byte or, for the first one, from the connection.
const HEAD: Duration = Duration::from_secs(10);
/// How long a client may refuse to take any of an answer.
const STALLED: Duration = Duration::from_secs(20);

/// A connection that a client cannot keep without using it, and whose end is an error.
///
/// The server awaits a connection once more after its end, and thereby its request, too. After an error there is nothing
/// left of it to await: so whoever hangs up does not keep his request going.
///
/// The server has no deadline for heads and no limit to idle connections. So this looks on while bytes go by: a head has
/// to come to its end in time, an answer has to be taken, and who does neither makes room when others wait for it.
pub(super) struct Connection {
    stream: TcpStream,
    phase: Phase,
    /// Runs while the client does not take what is being written.
    stalled: Option<Pin<Box<Sleep>>>,
    room: Room,
    _place: OwnedSemaphorePermit,
}

enum Phase {
    /// No request is under way.
    Idle(Waiting),
    /// The head of one is on its way.
    Head(Waiting, HeadEnd),
    /// One is under way: its own deadlines hold.
    Busy,
}

/// For something that the client has to do.
struct Waiting {
    /// When it is too late; an idle connection is the server's own affair.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Until others want its place.
    turn: Turn,
}

impl Connection {
    /// A connection that has just been made.
    pub(super) async fn new(stream: TcpStream, room: Room) -> io::Result<Self> {
        let place = room.place().await.ok_or(io::ErrorKind::ConnectionAborted)?;
        let phase = Phase::Head(Waiting::until(&room, HEAD), HeadEnd::default());
        Ok(Self { stream, phase, stalled: None, room, _place: place })
    }

    /// Bytes from the client.
    fn came(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Phase::Idle(_) = self.phase {
            self.phase = Phase::Head(Waiting::until(&self.room, HEAD), HeadEnd::default());
        }
        if let Phase::Head(_, head) = &mut self.phase {
            let ends = head.is_in(bytes);
            if head.is_of_http_2() {
                return Err(io::ErrorKind::Unsupported.into());
            }
            if ends {
                self.phase = Phase::Busy;
            }
        }
        Ok(())
    }

    /// An answer is on its way: what comes next is another request.
    fn answered(&mut self, cx: &mut Context<'_>) {
        if let Phase::Busy = self.phase {
            let mut waiting = Waiting { deadline: None, turn: self.room.turn() };
            // The server need not read again before something comes; so this is what wakes it when its place is wanted.
            if waiting.is_over(cx) {
                cx.waker().wake_by_ref();
            }
            self.phase = Phase::Idle(waiting);
        }
    }

    /// Whether the client has had its time.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.phase {
            Phase::Idle(waiting) | Phase::Head(waiting, _) => waiting.is_over(cx),
            Phase::Busy => false,
        }
    }

    /// Why reading ends here.
    fn leave(&mut self) -> io::Error {
        if let Phase::Idle(waiting) | Phase::Head(waiting, _) = &mut self.phase {
            waiting.turn.leave();
        }
        io::ErrorKind::TimedOut.into()
    }

    /// Passes on what became of a write, unless the client takes nothing for too long.
    fn watched<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALLED)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Waiting {
    fn until(room: &Room, deadline: Duration) -> Self {
        let deadline = Box::pin(sleep_until(Instant::now() + deadline));
        Self { deadline: Some(deadline), turn: room.turn() }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let late = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        late || self.turn.poll(cx).is_ready()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        // What has arrived counts; the clock is looked at when nothing has.
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if room > 0 && buf.filled().len() == before => {
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            Poll::Ready(Ok(())) => Poll::Ready(self.came(buf.filled().get(before..).unwrap_or_default())),
            Poll::Pending if self.is_over(cx) => Poll::Ready(Err(self.leave())),
            pending_or_failed => pending_or_failed,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answered(cx);
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watched(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answered(cx);
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watched(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: issuer\r\n\r\n";
    const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

    /// A client, and its connection with a request under way.
    async fn busy(room: &Room) -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = Connection::new(stream, room.clone()).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        connection.read_exact(&mut [0; REQUEST.len()]).await.unwrap();
        (client, connection)
    }

    /// Waits until the server is told that this connection is over.
    async fn is_over(connection: &mut Connection) {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(8), connection.read(&mut byte)).await;
        let told = read.expect("it stays").expect_err("nothing to read");
        assert_eq!(told.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_becomes_idle_while_others_wait_leaves() {
        let room = Room::for_many(1);
        let (_client, mut connection) = busy(&room).await;
        let mut next = pin!(room.place());
        assert!(next.as_mut().now_or_never().is_none());
        assert!(connection.read(&mut [0]).now_or_never().is_none(), "not before its answer");
        connection.write_all(ANSWER).await.unwrap();
        is_over(&mut connection).await;
        drop(connection);
        assert!(next.await.is_some());
    }

    #[tokio::test]
    async fn who_has_another_request_lets_somebody_else_leave() {
        let room = Room::for_many(2);
        let (mut client, mut connection) = busy(&room).await;
        let (_other_client, mut other) = busy(&room).await;
        let mut next = pin!(room.place());
        assert!(next.as_mut().now_or_never().is_none());
        connection.write_all(ANSWER).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        connection.read_exact(&mut [0; REQUEST.len()]).await.unwrap();
        other.write_all(ANSWER).await.unwrap();
        is_over(&mut other).await;
        drop(other);
        assert!(next.await.is_some());
    }
}
