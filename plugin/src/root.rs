use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel, MapType};
use std::rc::Rc;
use std::time::Duration;

use crate::configuration;
use crate::door::{Callout, Door};
use crate::filter::Filter;
use crate::host;
use crate::metrics::Metrics;
use crate::report::Reporter;
use crate::waiting::WaitingRoom;
use doorward_gate::RequestHead;

/// The first tick comes at once: it takes over the keys that other workers have, or sees to it that some come.
const FIRST_TICK: Duration = Duration::from_millis(10);

/// One worker's state. Nothing is static, so that two configurations in one VM do not meet.
pub(crate) struct Worker {
    pub(crate) door: Door,
    pub(crate) waiting: WaitingRoom,
    pub(crate) reporter: Reporter,
    pub(crate) metrics: Metrics,
}

/// The root context: configuration, ticks and callouts of one worker.
pub(crate) struct Root {
    worker: Option<Rc<Worker>>,
}

impl Root {
    pub(crate) fn new() -> Self {
        Self { worker: None }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, callout: u32, _: usize, body_size: usize, _: usize) {
        let Some(worker) = &self.worker else { return };
        let Some(about) = worker.door.landed(callout) else { return };
        let good = body_size <= about.longest_answer() && answered_200();
        let body = if good { host::answer_body(body_size) } else { None };
        let (now, mut news) = (host::now(), Vec::new());
        let (what, is_answered) = match about {
            Callout::Keys { provider } => {
                let is_answered = body.is_some();
                worker.door.keys_answered(provider, body, now, &mut news);
                ("fetches", is_answered)
            }
            Callout::Feed { provider, number } => {
                ("revocation_polls", worker.door.feed_answered(provider, number, body, now, &mut news))
            }
        };
        let result = if is_answered { "answered" } else { "failed" };
        worker.metrics.add(&format!("doorward_{what}.result.{result}"), 1);
        worker.release(&news);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let policy = match configuration::read(&host::plugin_configuration()) {
            Ok(policy) => policy,
            Err(error) => {
                host::log(LogLevel::Error, &format!("doorward: configuration refused: {error}"));
                return false;
            }
        };
        let door = Door::new(policy);
        if !door.native_signatures() {
            host::log(
                LogLevel::Warn,
                "doorward: this host has no verify_signature; signatures are checked in wasm",
            );
        }
        door.tick_every(FIRST_TICK);
        self.worker = Some(Rc::new(Worker {
            door,
            waiting: WaitingRoom::default(),
            reporter: Reporter::default(),
            metrics: Metrics::new(),
        }));
        true
    }

    fn on_tick(&mut self) {
        let Some(worker) = &self.worker else { return };
        let now = host::now();
        let (news, next) = worker.door.tick(now);
        worker.reporter.tick(now);
        worker.door.measure(&worker.metrics, now);
        worker.metrics.flush();
        worker.release(&news);
        worker.metrics.hold(worker.waiting.len());
        worker.door.tick_every(if worker.waiting.is_empty() {
            next
        } else {
            next.min(Duration::from_millis(50))
        });
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        self.worker
            .as_ref()
            .map(|worker| Box::new(Filter::new(context_id, Rc::clone(worker))) as Box<dyn HttpContext>)
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

fn answered_200() -> bool {
    let headers = host::header_pairs(MapType::HttpCallResponseHeaders).unwrap_or_default();
    RequestHead::parse(&headers).is_some_and(|head| head.single(":status") == Some(b"200"))
}
