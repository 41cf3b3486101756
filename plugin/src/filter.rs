use doorward_gate::policy::{HeaderMutation, Permit};
use doorward_gate::{Decision, Need, Refusal, Reply, RequestHead, Waiting};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel, MapType};
use std::cell::Cell;
use std::rc::Rc;

use crate::host;
use crate::report::request_id;
use crate::root::Worker;
use crate::waiting::Stage;

/// One request on its way through the gate.
pub(crate) struct Filter {
    context_id: u32,
    worker: Rc<Worker>,
    stage: Stage,
    /// Where it stands instead once the request waits: others may take it on.
    waiting: Option<Rc<Cell<Stage>>>,
}

impl Filter {
    pub(crate) fn new(context_id: u32, worker: Rc<Worker>) -> Self {
        // Until the head was decided about, nothing may go on.
        Self { context_id, worker, stage: Stage::Held, waiting: None }
    }

    fn stage(&self) -> Stage {
        self.waiting.as_ref().map_or(self.stage, |stage| stage.get())
    }

    fn action(&self) -> Action {
        if self.stage() == Stage::Passed { Action::Continue } else { Action::Pause }
    }
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let buffer = host::header_pairs(MapType::HttpRequestHeaders).unwrap_or_default();
        let Some(head) = RequestHead::parse(&buffer) else {
            self.stage = self.worker.broken();
            return Action::Pause;
        };
        match self.worker.door.decide(&head, Waiting::Allowed) {
            Decision::Hold(need) => match self.worker.hold(self.context_id, &buffer, need) {
                Some(stage) => self.waiting = Some(stage),
                None => self.stage = self.worker.decide_at_once(&head),
            },
            decided => self.stage = self.worker.carry_out(&decided, &head),
        }
        self.action()
    }

    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        self.action()
    }

    /// Trailers are headers to many servers (RFC 9110 section 6.5), so protected names do not pass there either.
    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let buffer = host::header_pairs(MapType::HttpRequestTrailers).unwrap_or_default();
        let stripped = RequestHead::parse(&buffer)
            .is_some_and(|trailers| host::remove_trailers(&self.worker.door.protected_in(&trailers)).is_ok());
        if !stripped {
            let broken = self.worker.broken();
            match &self.waiting {
                Some(stage) => stage.set(broken),
                None => self.stage = broken,
            }
        }
        self.action()
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if self.stage() == Stage::Held {
            self.worker.waiting.forget(self.context_id);
        }
    }
}

impl Worker {
    /// Takes a request in to wait, if that is of any use.
    #[cold]
    fn hold(&self, context_id: u32, head: &[u8], need: Need) -> Option<Rc<Cell<Stage>>> {
        if !self.door.is_worth_waiting(need) {
            return None;
        }
        let stage = self.waiting.enter(context_id, head.to_vec(), need, host::now());
        self.metrics.add("doorward_held", u64::from(stage.is_some()));
        stage
    }

    /// Looks again at those who wait for one of these, and answers those whose time is up.
    pub(crate) fn release(&self, news: &[Need]) {
        for (waiter, is_over) in self.waiting.leave(news, host::now()) {
            if host::switch_to(waiter.context_id).is_err() {
                // Its end was not told to us; there is nobody left to answer.
                self.metrics.add("doorward_failures", 1);
                continue;
            }
            let Some(head) = RequestHead::parse(&waiter.head) else {
                waiter.stage.set(self.broken());
                continue;
            };
            let waiting = if is_over { Waiting::Over } else { Waiting::Allowed };
            match self.door.decide(&head, waiting) {
                // Who has the keys may still need revocations.
                Decision::Hold(need) if self.door.is_worth_waiting(need) => {
                    self.waiting.come_back(waiter, need);
                    continue;
                }
                Decision::Hold(_) => waiter.stage.set(self.decide_at_once(&head)),
                decided => waiter.stage.set(self.carry_out(&decided, &head)),
            }
            if waiter.stage.get() == Stage::Passed {
                host::resume();
            }
        }
    }

    /// Decides with what there is.
    #[cold]
    fn decide_at_once(&self, head: &RequestHead<'_>) -> Stage {
        self.carry_out(&self.door.decide(head, Waiting::Over), head)
    }

    fn carry_out(&self, decision: &Decision, head: &RequestHead<'_>) -> Stage {
        match decision {
            Decision::Forward(permit, mutation) => self.forward(permit, mutation),
            Decision::Refuse(refusal) => self.refuse(refusal, head),
            // Nobody may wait any more, so the gate never says this.
            Decision::Hold(_) => self.broken(),
        }
    }

    fn forward(&self, permit: &Permit, mutation: &HeaderMutation) -> Stage {
        if let Some(identity) = permit.identity().filter(|_| self.door.tells_access_log()) {
            host::set_filter_state("doorward_user_id", identity.user_id());
        }
        let stage = self.apply(mutation);
        if stage == Stage::Passed {
            self.metrics.forwarded(permit.rule());
        }
        stage
    }

    #[cold]
    fn refuse(&self, refusal: &Refusal, head: &RequestHead<'_>) -> Stage {
        let shadow = self.door.shadow(head);
        self.metrics.refused(refusal, shadow.is_none());
        self.reporter.refused(refusal, head, shadow.is_none());
        match shadow {
            Some(mutation) => self.apply(&mutation),
            None => {
                host::reply(&Reply::new(refusal.reason, request_id(head)));
                Stage::Answered
            }
        }
    }

    /// A request goes on only with its changes made.
    fn apply(&self, mutation: &HeaderMutation) -> Stage {
        match host::apply(mutation) {
            Ok(()) => Stage::Passed,
            Err(host::HostFailed) => self.broken(),
        }
    }

    /// The host did not do its part: whatever the reason, nothing passes.
    #[cold]
    fn broken(&self) -> Stage {
        self.metrics.add("doorward_failures", 1);
        host::log(
            LogLevel::Error,
            "doorward: Envoy did not read or change a request's headers; it was answered 500",
        );
        host::reply(&Reply::broken());
        Stage::Answered
    }
}
