//! gRPC as it is on the wire, over HTTP/2: a service that answers what it was sent, and calls to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One side of a call, as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Message {
    /// The call's outcome: in the trailers, or in the headers where there is nothing else.
    pub(crate) fn status(&self) -> Option<&str> {
        self.trailers.get("grpc-status").or(self.headers.get("grpc-status"))?.to_str().ok()
    }
}

/// A service on a port of its own, and the thread on which its clients run too.
pub(crate) struct Grpc {
    runtime: Runtime,
    port: u16,
    arrived: Arc<Mutex<Vec<Message>>>,
}

impl Grpc {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_io().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let arrived = Arc::default();
        runtime.spawn(accept(listener, Arc::clone(&arrived)));
        Self { runtime, port, arrived }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// All calls so far.
    pub(crate) fn arrived(&self) -> Vec<Message> {
        self.arrived.lock().unwrap().clone()
    }

    /// Begins a call: headers, and nothing more for now.
    pub(crate) fn call(&self, address: &str, path: &str, headers: &[(&str, &str)]) -> Call<'_> {
        let all = [("content-type", "application/grpc"), ("te", "trailers")]
            .into_iter()
            .chain(headers.iter().copied());
        let request = all.fold(Request::post(format!("http://localhost{path}")), |request, (name, value)| {
            request.header(name, value)
        });
        let (address, request) = (address.parse().unwrap(), request.body(()).unwrap());
        let (stream, answer) = self.runtime.block_on(begin(address, request)).unwrap();
        Call { runtime: &self.runtime, stream, answer }
    }
}

/// A call on its way.
pub(crate) struct Call<'a> {
    runtime: &'a Runtime,
    stream: SendStream<Bytes>,
    answer: JoinHandle<Result<Message, Failure>>,
}

impl Call<'_> {
    /// Sends one message. A call that was refused takes no more, which shows in its answer.
    pub(crate) fn send(mut self, message: &[u8]) -> Self {
        let _guard = self.runtime.enter();
        let _ = self.stream.send_data(frame(message), false);
        self
    }

    /// Ends the call with these trailers, and waits for its answer.
    pub(crate) fn finish(mut self, trailers: &[(&str, &str)]) -> Message {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        let _ = self.stream.send_trailers(trailers.iter().map(pair).collect());
        self.runtime.block_on(self.answer).unwrap().unwrap()
    }
}

/// A message behind its length, uncompressed.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

async fn begin(
    address: SocketAddr,
    request: Request<()>,
) -> Result<(SendStream<Bytes>, JoinHandle<Result<Message, Failure>>), Failure> {
    let (client, connection) = h2::client::handshake(TcpStream::connect(address).await?).await?;
    tokio::spawn(connection);
    let (response, stream) = client.ready().await?.send_request(request, false)?;
    let answer = tokio::spawn(async move {
        let (head, body) = response.await?.into_parts();
        receive(Message { headers: head.headers, ..Message::default() }, body).await
    });
    Ok((stream, answer))
}

async fn accept(listener: TcpListener, arrived: Arc<Mutex<Vec<Message>>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let arrived = Arc::clone(&arrived);
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(socket).await?;
            while let Some(call) = connection.accept().await {
                let (request, respond) = call?;
                tokio::spawn(serve(request, respond, Arc::clone(&arrived)));
            }
            Ok::<(), h2::Error>(())
        });
    }
}

/// Answers with the body that came, once all of it has come.
async fn serve(
    request: Request<RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    arrived: Arc<Mutex<Vec<Message>>>,
) -> Result<(), Failure> {
    let (head, body) = request.into_parts();
    let begun = Message { path: head.uri.path().to_owned(), headers: head.headers, ..Message::default() };
    let message = receive(begun, body).await?;
    let body = Bytes::from(message.body.clone());
    // Recorded before it is answered: who has the answer finds the record.
    arrived.lock().unwrap().push(message);
    let response = Response::builder().header("content-type", "application/grpc").body(())?;
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(body, false)?;
    stream.send_trailers(HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]))?;
    Ok(())
}

async fn receive(mut message: Message, mut body: RecvStream) -> Result<Message, Failure> {
    while let Some(chunk) = body.data().await.transpose()? {
        body.flow_control().release_capacity(chunk.len())?;
        message.body.extend(chunk);
    }
    message.trailers = body.trailers().await?.unwrap_or_default();
    Ok(message)
}
