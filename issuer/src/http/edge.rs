use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::known::RouteName;
use super::peer::client_address;
use super::problem::{Problem, render};
use super::trace::RequestTrace;
use crate::domain::clock::{Random, random_uuid};
use crate::domain::context::RequestContext;
use crate::domain::ids::UserId;
use crate::telemetry::Stopwatch;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::store_time::StoreTime;

/// What is the same for every request: its id, its client's address, its deadline, its log line, and that whatever goes
/// wrong in it, a panic too, leaves as a problem.
#[derive(Clone)]
pub(super) struct Edge {
    pub(super) trusted_hops: usize,
    pub(super) random: Arc<dyn Random>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) draining: CancellationToken,
}

/// Who turned out to be calling; noted by whoever finds out, read for the log line.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<OnceLock<UserId>>);

impl Seen {
    pub(super) fn note(&self, user: UserId) {
        self.0.get_or_init(|| user);
    }
}

impl<E: Endpoint> Middleware<E> for Edge {
    type Output = EdgeEndpoint<E>;

    fn transform(&self, inner: E) -> EdgeEndpoint<E> {
        EdgeEndpoint { edge: self.clone(), inner }
    }
}

/// An endpoint with the edge around it.
pub(super) struct EdgeEndpoint<E> {
    edge: Edge,
    inner: E,
}

/// Longer than any operation should take; what writes goes on to its end all the same.
const DEADLINE: Duration = Duration::from_secs(30);

impl<E: Endpoint> Endpoint for EdgeEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let context = self.edge.context(&request);
        let seen = Seen::default();
        let method = request.method().clone();
        let line = Line::begin(&method, &context.request_id, &seen);
        let trace = RequestTrace::begin(&method, request.headers(), &context.request_id);
        // At the highest level, so that every line within has the id, whatever the operator's filter.
        let span = tracing::error_span!("request", request_id = context.request_id);
        request.set_data(context.clone());
        request.set_data(seen);
        let answer = line.store_time.clone().count(self.answer(request));
        let response = answer.instrument(span.clone()).instrument(trace.span()).await;
        let mut response = span.in_scope(|| finish(response, &context.request_id));
        if self.edge.draining.is_cancelled() {
            // Before the connection is closed from here, with the next request on its way.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.edge.metrics.request(route(&response), response.status().as_u16());
        trace.end(&method, route(&response), response.status());
        line.end(&response);
        Ok(response)
    }
}

impl<E: Endpoint> EdgeEndpoint<E> {
    async fn answer(&self, request: Request) -> Response {
        let call = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        match tokio::time::timeout(DEADLINE, call).await {
            Ok(Ok(Ok(response))) => response.into_response(),
            Ok(Ok(Err(error))) => error.into_response(),
            // The panic hook has logged where it happened.
            Ok(Err(_panic)) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Err(_elapsed) => poem::Error::from(Problem::overloaded(Duration::from_secs(1))).into_response(),
        }
    }
}

impl Edge {
    fn context(&self, request: &Request) -> RequestContext {
        RequestContext {
            request_id: self.request_id(request),
            address: client_address(request, self.trusted_hops),
            user_agent: request.header(header::USER_AGENT.as_str()).map(str::to_owned),
        }
    }

    /// The id that came with the request, if it can do no harm in a log or a header; a new one otherwise.
    fn request_id(&self, request: &Request) -> String {
        let sane =
            |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        match request.header(REQUEST_ID).filter(sane) {
            Some(id) => id.to_owned(),
            None => random_uuid(&*self.random).to_string(),
        }
    }
}

const REQUEST_ID: &str = "x-request-id";

fn finish(response: Response, request_id: &str) -> Response {
    let mut response = render(response, request_id);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Tokens and personal data must not lie in caches; what may, says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The one line per request, written at its end; or when its client hangs up, which drops it half way.
struct Line {
    method: Method,
    request_id: String,
    seen: Seen,
    stopwatch: Stopwatch,
    store_time: StoreTime,
    ended: bool,
}

impl Line {
    fn begin(method: &Method, request_id: &str, seen: &Seen) -> Self {
        let (method, request_id, seen) = (method.clone(), request_id.to_owned(), seen.clone());
        let (stopwatch, store_time) = (Stopwatch::start(), StoreTime::default());
        Self { method, request_id, seen, stopwatch, store_time, ended: false }
    }

    /// With the name of the route, never the path: a path may hold anything.
    fn end(mut self, response: &Response) {
        self.ended = true;
        tracing::info!(
            method = self.method.as_str(),
            route = route(response),
            status = response.status().as_u16(),
            reason = response.data::<Problem>().map(Problem::name),
            latency_ms = self.stopwatch.milliseconds(),
            store_ms = self.store_time.milliseconds(),
            request_id = self.request_id,
            user_id = self.seen.0.get().map(tracing::field::display),
            "request"
        );
    }
}

fn route(response: &Response) -> &str {
    response.data::<RouteName>().map_or("-", |name| &name.0)
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.ended {
            tracing::info!(
                method = self.method.as_str(),
                latency_ms = self.stopwatch.milliseconds(),
                request_id = self.request_id,
                user_id = self.seen.0.get().map(tracing::field::display),
                "request given up by its client"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use poem::EndpointExt;
    use poem::endpoint::make;
    use serde_json::Value;

    use super::*;
    use crate::config::LogFormat;
    use crate::domain::clock::SystemRandom;
    use crate::telemetry::subscriber;

    fn edge() -> Edge {
        let draining = CancellationToken::new();
        Edge { trusted_hops: 0, random: Arc::new(SystemRandom), metrics: Arc::new(Metrics::new()), draining }
    }

    async fn ask(inner: impl Endpoint) -> (Response, Value) {
        let mut response = inner.with(edge()).call(Request::default()).await.unwrap();
        let body = response.take_body().into_json().await.unwrap();
        (response, body)
    }

    #[tokio::test]
    async fn a_panic_leaves_as_a_problem() {
        let (response, body) = ask(make(|_| async { panic!("with a secret") as Result<()> })).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body["type"], "urn:doorward:problem:internal");
        assert!(!body.to_string().contains("secret"), "{body}");
        assert!(response.header("x-request-id").is_some());
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_is_logged_all_the_same() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let writer = std::sync::Mutex::new(log.reopen().unwrap());
        let _logging = tracing::subscriber::set_default(subscriber("info", LogFormat::Json, writer));
        let inner = make(|_| std::future::pending::<Result<()>>()).with(edge());
        let mut call = Box::pin(inner.call(Request::builder().header(REQUEST_ID, "gone-1").finish()));
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(call);
        let logged = std::fs::read_to_string(log.path()).unwrap();
        assert!(logged.contains("gone-1") && logged.contains("given up by its client"), "{logged}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_cut_off() {
        let (response, body) = ask(make(|_| std::future::pending::<Result<()>>())).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["type"], "urn:doorward:problem:overloaded");
    }
}
