//! What the operator sees: log lines on standard error, as JSON or for people, [`metrics`], and [`traces`].
//!
//! Nobody logs a password, a token or a whole e-mail address: types that hold one have no `Debug` that shows it.

/// What is counted and measured.
pub mod metrics;
/// How long a request has waited for the store.
pub mod store_time;
/// What goes to an OpenTelemetry collector.
pub mod traces;

use std::error::Error;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use std::time::{Duration, Instant};

use opentelemetry_otlp::ExporterBuildError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use self::traces::Traces;
use crate::config::{LogFormat, Telemetry};

/// Makes the process log to standard error.
pub fn install(settings: &Telemetry) {
    install_with(settings, None);
}

/// The same; and spans go to the collector, if there is one, until what this returns is dropped.
///
/// # Errors
/// When spans cannot be sent as the environment says.
pub fn install_with_traces(settings: &Telemetry) -> Result<Option<Traces>, ExporterBuildError> {
    let traces = settings.otlp_endpoint.as_deref().map(Traces::to).transpose()?;
    install_with(settings, traces.as_ref());
    Ok(traces)
}

fn install_with(settings: &Telemetry, traces: Option<&Traces>) {
    let format = settings
        .format
        .unwrap_or_else(|| if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json });
    let subscriber = traced_subscriber(&settings.log, format, std::io::stderr, traces);
    // Fails only where a subscriber is already installed, as in a test of the whole program; that one stays.
    let _installed = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(log_panic));
}

/// The subscriber behind [`install`], with another place to write to, and without traces.
pub fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    writer: W,
) -> impl tracing::Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    traced_subscriber(filter, format, writer, None)
}

fn traced_subscriber<W>(
    filter: &str,
    format: LogFormat,
    writer: W,
    traces: Option<&Traces>,
) -> impl tracing::Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer: Box<dyn tracing_subscriber::Layer<_> + Send + Sync> = match format {
        LogFormat::Json => Box::new(layer.json().flatten_event(true).with_span_list(false)),
        LogFormat::Text => Box::new(layer),
    };
    // The framework's own start-up lines repeat ours; the operator's filter wins over that. Spans of traces are no log.
    // The client of the broker shows whole messages, even live links of mails, to an operator who wants it all.
    let messages = "lapin::returned_messages=off,lapin::channels=debug,lapin::frames=debug";
    let quiet = format!("{}=off,{messages}", traces::TARGET);
    let filter = EnvFilter::new(format!("poem=warn,lapin=error,{filter},{quiet}"));
    tracing_subscriber::registry().with(layer.with_filter(filter)).with(traces.map(Traces::layer))
}

/// An error and everything that caused it, on one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _written = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Measures how long something takes.
#[derive(Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "measures; decides nothing")]
        let now = Instant::now();
        Self(now)
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// The time since the start, to a hundredth of a millisecond.
    #[must_use]
    pub fn milliseconds(self) -> f64 {
        (self.elapsed().as_secs_f64() * 100_000.0).round() / 100.0
    }
}

/// Says where it happened. What a formatted message holds nobody knows, so only fixed ones are shown.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let message = panic.payload().downcast_ref::<&'static str>().copied();
    tracing::error!(place, message, "a task panicked");
}
