//! A service and a caller that speak HTTP/2, with trailers, as gRPC needs it: each on a runtime of its own, so that
//! tests stay plain functions.

use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use tokio::net::{TcpListener, TcpStream as AsyncStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;
use ureq::http::{HeaderMap, HeaderValue, Request, Response};

const LIMIT: Duration = Duration::from_secs(20);

/// A call as it arrived, or an answer as it came back: headers, body, trailers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// The path of a call.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Message {
    /// A header's value, or a trailer's; an answer without a body has its trailers among the headers.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.trailers.get(name).or_else(|| self.headers.get(name)).and_then(|value| value.to_str().ok())
    }
}

/// A service that records calls, and answers each with the body that it got and `grpc-status: 0`.
pub(crate) struct Service {
    port: u16,
    calls: Arc<Mutex<Vec<Message>>>,
    // Its end is the order to stop.
    _stop: oneshot::Sender<()>,
}

impl Service {
    pub(crate) fn start() -> Self {
        let (calls, (stop, stopped)) = (Arc::<Mutex<Vec<Message>>>::default(), oneshot::channel());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let recorded = Arc::clone(&calls);
        std::thread::spawn(move || {
            runtime().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = accept(&listener, &recorded) => {}
                }
            });
        });
        Self { port, calls, _stop: stop }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Message> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One call on a connection of its own.
pub(crate) fn call(address: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Message {
    let mut request = Request::builder().method("POST").uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    runtime().block_on(async {
        timeout(LIMIT, exchange(stream, request, body.to_vec())).await.expect("an answer in time").unwrap()
    })
}

async fn exchange(stream: TcpStream, request: Request<()>, body: Vec<u8>) -> Result<Message, h2::Error> {
    let stream = AsyncStream::from_std(stream).unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await?;
    // How the connection ends is of no interest once there is an answer.
    tokio::spawn(async move { connection.await.ok() });
    let (answer, mut sending) = sender.send_request(request, false)?;
    // Who refuses a call need not read its body.
    let _unread = sending.send_data(body.into(), true);
    let (head, body) = answer.await?.into_parts();
    receive(String::new(), head.headers, body).await
}

async fn accept(listener: &TcpListener, calls: &Arc<Mutex<Vec<Message>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let calls = Arc::clone(calls);
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await?;
            while let Some(call) = connection.accept().await {
                let (request, respond) = call?;
                tokio::spawn(answer(request, respond, Arc::clone(&calls)));
            }
            Ok::<(), h2::Error>(())
        });
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    calls: Arc<Mutex<Vec<Message>>>,
) -> Result<(), h2::Error> {
    let (head, body) = request.into_parts();
    let call = receive(head.uri.path().to_owned(), head.headers, body).await?;
    let body = Bytes::from(call.body.clone());
    calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    let mut response = Response::new(());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut sending = respond.send_response(response, false)?;
    sending.send_data(body, false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    sending.send_trailers(trailers)
}

async fn receive(path: String, headers: HeaderMap, mut from: RecvStream) -> Result<Message, h2::Error> {
    let mut body = Vec::new();
    while let Some(piece) = from.data().await {
        let piece = piece?;
        from.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    let trailers = from.trailers().await?.unwrap_or_default();
    Ok(Message { path, headers, body, trailers })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
