//! Spans at an OpenTelemetry collector: a real one by its protocol, which here only writes down what arrives.

use std::net::TcpListener;
use std::time::Duration;

use doorward_tests::parts::Echo;
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use serde_json::json;

use crate::support::alone::Alone;
use crate::support::timed::timed;
use crate::support::whole::{PASSWORD, text};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[test]
fn a_login_is_part_of_its_callers_trace() {
    let collector = Echo::start(&[]).unwrap();
    let mut alone = Alone::start(&[("telemetry.otlp_endpoint", &collector.url())]);
    let registered = alone.register("ada@example.test").json().unwrap();
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let headers =
        [("content-type", "application/json"), ("traceparent", &traceparent), ("x-request-id", "login-1")];
    let body = json!({ "email": "ada@example.test", "password": PASSWORD }).to_string();
    let tokens = alone.door.send("POST", "/auth/login", &headers, body.into_bytes()).unwrap().json().unwrap();
    assert_eq!(alone.door.get("/no/such/path?token=of-a-careless-client").unwrap().status, 404);

    alone.issuer.process.signal(Signal::SIGTERM).unwrap();
    assert_eq!(
        alone.issuer.process.ended(Duration::from_secs(15)).unwrap(),
        Some(0),
        "the last spans are sent, too"
    );

    let spans = spans(&collector);
    let login: Vec<&Span> = spans.iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
    let request = one(&login, "POST /auth/login");
    assert_eq!(hex(&request.parent_span_id), CALLER);
    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!(attribute(request, "http.request.method"), "POST");
    assert_eq!(attribute(request, "http.route"), "/auth/login");
    assert_eq!(attribute(request, "http.response.status_code"), "200");
    assert_eq!(attribute(request, "request_id"), "login-1");
    for (name, parent) in [
        ("users.by_login", "POST /auth/login"),
        ("password", "POST /auth/login"),
        ("password.wait", "password"),
        ("password.work", "password"),
        ("flow", "POST /auth/login"),
        ("sessions.open", "flow"),
    ] {
        let (span, parent) = (one(&login, name), one(&login, parent));
        assert_eq!(span.parent_span_id, parent.span_id, "{name}");
        assert!(parent.start_time_unix_nano <= span.start_time_unix_nano, "{name}");
        assert!(span.end_time_unix_nano <= parent.end_time_unix_nano, "{name}");
    }
    // Whoever brings no trace begins one.
    let all: Vec<&Span> = spans.iter().collect();
    let register = one(&all, "POST /auth/register");
    assert!(register.parent_span_id.is_empty() && hex(&register.trace_id) != TRACE, "{register:?}");
    assert_eq!(attribute(one(&all, "GET -"), "http.response.status_code"), "404");
    let ours = |span: &&Span| span.kind() != SpanKind::Server && span.parent_span_id.is_empty();
    assert_eq!(spans.iter().find(ours), None, "work in the background makes no traces");

    let told = format!("{spans:?}");
    let secrets =
        [PASSWORD.to_owned(), "ada@example.test".to_owned(), text(&registered, "id"), "careless".to_owned()]
            .into_iter()
            .chain(["access_token", "refresh_token"].map(|token| text(&tokens, token)));
    for secret in secrets {
        assert!(!told.contains(&secret), "{secret} is in {told}");
    }
}

#[test]
fn what_fails_on_our_side_is_an_error_in_the_trace() {
    let collector = Echo::start(&[]).unwrap();
    let mut alone = Alone::start(&[("telemetry.otlp_endpoint", &collector.url())]);
    // The table is gone behind the issuer's back.
    alone.database().execute_batch("ALTER TABLE users RENAME TO hidden").unwrap();
    assert_eq!(alone.log_in("ada@example.test").status, 503);
    alone.issuer.process.signal(Signal::SIGTERM).unwrap();
    assert_eq!(alone.issuer.process.ended(Duration::from_secs(15)).unwrap(), Some(0));
    let spans = spans(&collector);
    let all: Vec<&Span> = spans.iter().collect();
    for name in ["POST /auth/login", "users.by_login"] {
        let status = one(&all, name).status.as_ref().unwrap();
        assert_eq!(status.code(), StatusCode::Error, "{name}");
    }
}

#[test]
fn a_collector_that_does_not_answer_costs_nobody_anything() {
    // Connections are accepted by the kernel, and then nothing ever happens.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut alone = Alone::start(&[("telemetry.otlp_endpoint", &endpoint)]);
    let ask = |times: usize| {
        for _ in 0..times {
            assert_eq!(alone.door.get("/.well-known/jwks.json").unwrap().status, 200);
        }
    };
    // More than the queue holds, so that from here on spans are dropped.
    ask(3_000);
    let before = resident_kilobytes(alone.issuer.process.pid());
    let ((), longest) = timed(|| ask(1_500));
    let grown = resident_kilobytes(alone.issuer.process.pid()).saturating_sub(before);
    assert!(grown < 4_096, "memory grew by {grown} kB");
    // Were a single one held up by the collector, it would be for five seconds; quick ones take a millisecond.
    assert!(longest < Duration::from_secs(30), "1,500 requests took {longest:?}");
    alone.issuer.process.signal(Signal::SIGTERM).unwrap();
    let (code, end) = timed(|| alone.issuer.process.ended(Duration::from_secs(15)).unwrap());
    assert_eq!(code, Some(0));
    assert!(end < Duration::from_secs(8), "the end took {end:?}");
}

/// Everything that arrived.
fn spans(collector: &Echo) -> Vec<Span> {
    collector
        .received("/v1/traces")
        .iter()
        .flat_map(|request| {
            ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap().resource_spans
        })
        .inspect(|spans| {
            let resource = spans.resource.as_ref().unwrap();
            let service =
                resource.attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
            assert_eq!(
                shown(service.value.as_ref().and_then(|value| value.value.as_ref())),
                "doorward-issuer"
            );
        })
        .flat_map(|spans| spans.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

#[track_caller]
fn one<'s>(spans: &[&'s Span], name: &str) -> &'s Span {
    let named: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "{name} among {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>());
    named[0]
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    shown(found.and_then(|found| found.value.as_ref()).and_then(|value| value.value.as_ref()))
}

fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn resident_kilobytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
