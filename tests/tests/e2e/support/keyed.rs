//! A gateway with the plugin whose keys come from a server that does as it is told.

use doorward_tests::parts::{Answer, KeyServer};
use serde_json::Value;

use crate::support::gateway::{Gateway, Plan, cluster};
use crate::support::settings::{provider, remote, settings};

/// Where the keys are.
pub(crate) const PATH: &str = "/jwks.json";

/// The two of them.
pub(crate) struct Keyed {
    pub(crate) gateway: Gateway,
    pub(crate) keys: KeyServer,
}

impl Keyed {
    /// One provider, whose keys are this for a start.
    pub(crate) fn start(concurrency: usize, refresh: &str, answer: Answer) -> Self {
        Self::start_with(&[provider(remote(PATH, refresh))], concurrency, &[(PATH, answer)])
    }

    pub(crate) fn start_with(providers: &[Value], concurrency: usize, answers: &[(&str, Answer)]) -> Self {
        Self::start_plan(answers, |clusters| Plan {
            clusters,
            concurrency,
            ..Plan::plugin(settings(providers))
        })
    }

    pub(crate) fn start_plan(answers: &[(&str, Answer)], plan: impl FnOnce(Vec<Value>) -> Plan) -> Self {
        let keys = KeyServer::start().unwrap();
        for (path, answer) in answers {
            keys.answer(path, answer.clone());
        }
        let gateway = Gateway::start(plan(vec![cluster("keys", keys.port())]));
        Self { gateway, keys }
    }

    /// From now on these are the keys, also for a fetch that waits.
    pub(crate) fn release(&self, jwks: &str) {
        self.keys.answer(PATH, Answer::Document(jwks.to_owned()));
    }

    /// Lets the keys go as soon as so many requests are in the gateway.
    pub(crate) fn release_once_held(&self, requests: u64, jwks: &str) {
        self.gateway.wait_for_stat("http.door_0.downstream_rq_active", requests);
        self.release(jwks);
    }

    /// How often somebody asked for the keys.
    pub(crate) fn fetches(&self) -> usize {
        self.keys.asked(PATH).len()
    }
}
