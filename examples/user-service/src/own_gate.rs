//! Checking tokens ourselves, as a service without a gateway would: by the gateway's own core, as a library.
//!
//! Around all routes stands what stands in the gateway: a request is refused, or it loses what its client claimed about
//! himself and gains the truth, in the same headers. So nothing behind this is any different.

/// The gate's thread: decisions, and the keys that they need.
mod keeper;

use std::sync::Arc;
use std::sync::mpsc;

use doorward_gate::{Reason, Reply};
use poem::http::StatusCode;
use poem::http::header::{HeaderName, HeaderValue};
use poem::{Endpoint, IntoResponse, Request, Response};
use tokio::sync::oneshot;

use self::keeper::{Keeper, Work};
use crate::problem::Problem;

/// Whose tokens count.
#[derive(Debug, Clone)]
pub(crate) struct Trusted {
    /// The issuer, as `iss` says.
    pub(crate) issuer: String,
    /// Where its keys are.
    pub(crate) jwks: String,
    /// Whom its tokens must be for.
    pub(crate) audience: String,
}

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    #[error("--issuer, --jwks or --audience is wrong: {0}")]
    Policy(String),
    #[error("no thread can be started ({0})")]
    Thread(std::io::Error),
}

/// The way to the gate's thread.
#[derive(Clone)]
pub(crate) struct OwnGate(mpsc::SyncSender<Work>);

/// A request that wants to pass.
pub(crate) struct Question {
    head: Vec<(Vec<u8>, Vec<u8>)>,
    request_id: Option<String>,
    answer: oneshot::Sender<Verdict>,
}

/// What becomes of it.
pub(crate) enum Verdict {
    /// It passes, once these headers are gone and those are there.
    Pass { remove: Vec<String>, set: Vec<(String, String)> },
    /// It gets this answer.
    Refuse(Reply),
}

impl OwnGate {
    /// A gate for tokens of this issuer.
    pub(crate) fn start(trusted: &Trusted) -> Result<Self, GateError> {
        Keeper::start(trusted).map(Self)
    }

    async fn ask(&self, request: &Request) -> Verdict {
        let request_id = request.header("x-request-id").map(str::to_owned);
        let unavailable = Verdict::Refuse(Reply::new(Reason::KeysUnavailable, request_id.as_deref()));
        let (answer, verdict) = oneshot::channel();
        match self.0.try_send(Work::Decide(Question { head: head(request), request_id, answer })) {
            // Too many wait already: better told so than kept.
            Err(_) => unavailable,
            Ok(()) => verdict.await.unwrap_or(unavailable),
        }
    }
}

/// Around all routes: without a gate of our own, the gateway has done this.
pub(crate) async fn pass<E: Endpoint>(
    gate: Option<OwnGate>,
    routes: Arc<E>,
    mut request: Request,
) -> poem::Result<Response> {
    if let Some(gate) = gate {
        match gate.ask(&request).await {
            Verdict::Refuse(reply) => return Ok(wire(reply)),
            Verdict::Pass { remove, set } => rewrite(&mut request, &remove, set)?,
        }
    }
    routes.call(request).await.map(IntoResponse::into_response)
}

/// First everything that the client may not say, then what is true.
fn rewrite(request: &mut Request, remove: &[String], set: Vec<(String, String)>) -> poem::Result<()> {
    let headers = request.headers_mut();
    for name in remove {
        headers.remove(name);
    }
    for (name, value) in set {
        // The gate encodes what does not fit. Should it ever not, nobody passes as nobody.
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
            return Err(Problem::Internal.into());
        };
        headers.insert(name, value);
    }
    Ok(())
}

fn wire(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let response = Response::builder().status(status);
    let told = |response: poem::ResponseBuilder, (name, value)| response.header(name, value);
    reply.headers.into_iter().fold(response, told).body(reply.body)
}

/// What the gate looks at, with the names that HTTP/2 has for method and path.
fn head(request: &Request) -> Vec<(Vec<u8>, Vec<u8>)> {
    let path = request.original_uri().path_and_query().map_or("/", |path| path.as_str());
    let mut head = vec![
        (b":method".to_vec(), request.method().as_str().as_bytes().to_vec()),
        (b":path".to_vec(), path.as_bytes().to_vec()),
    ];
    let headers = request.headers().iter();
    head.extend(headers.map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())));
    head
}
