use std::sync::LazyLock;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use poem::http::{HeaderMap, Method, StatusCode};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::telemetry::traces::TARGET;

/// The span of a request: part of the client's trace if it says so (W3C Trace Context). What the client sent is not in
/// it, save for method and request id.
pub(super) struct RequestTrace(Span);

static W3C: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

impl RequestTrace {
    pub(super) fn begin(method: &Method, headers: &HeaderMap, request_id: &str) -> Self {
        let span = tracing::info_span!(
            target: TARGET,
            "request",
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method.as_str(),
            http.route = Empty,
            http.response.status_code = Empty,
            request_id,
        );
        if !span.is_disabled() {
            let parent = W3C.extract(&HeaderExtractor(headers));
            if parent.span().span_context().is_valid() {
                // Fails for a span that nobody records, and then there is nothing to do.
                let _set = span.set_parent(parent);
            }
        }
        Self(span)
    }

    /// What happens within belongs to the request.
    pub(super) fn span(&self) -> Span {
        self.0.clone()
    }

    /// How it ended; `route` is the name of the route, never the path.
    pub(super) fn end(self, method: &Method, route: &str, status: StatusCode) {
        if self.0.is_disabled() {
            return;
        }
        // The span has begun, and a field would come too late.
        self.0.context().span().update_name(format!("{method} {route}"));
        self.0.record("http.route", route);
        self.0.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            self.0.record("otel.status_code", "ERROR");
        }
    }
}
