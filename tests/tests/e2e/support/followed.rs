//! A gateway that follows a feed of revocations which does as it is told.

use std::path::PathBuf;
use std::time::Duration;

use doorward_tests::parts::FeedServer;
use doorward_tests::wait;
use serde_json::{Value, json};

use crate::support::gateway::{FEED_TOKEN, FEED_TOKEN_VARIABLE, Gateway, Listener, Plan, cluster};
use crate::support::settings::{inline, provider, settings};
use crate::support::signer::{Signer, jwks};

const LIMIT: Duration = Duration::from_secs(20);
const AGE: &str = "wasmcustom.doorward_revocations_age_seconds.provider.doorward";

/// The two of them, and whose tokens count.
pub(crate) struct Followed {
    pub(crate) gateway: Gateway,
    pub(crate) feed: FeedServer,
    pub(crate) key: Signer,
}

impl Followed {
    /// So many workers, and a feed as it is.
    pub(crate) fn start(concurrency: usize, changes: Value) -> Self {
        Self::start_at(FeedServer::start(FEED_TOKEN).unwrap(), concurrency, changes, None)
    }

    /// With a feed that is in some mood already, and perhaps another module.
    pub(crate) fn start_at(
        feed: FeedServer,
        concurrency: usize,
        changes: Value,
        module: Option<PathBuf>,
    ) -> Self {
        let key = Signer::es256("k1");
        let listeners = vec![Listener::plugin(following(&key, "feed", changes))];
        let clusters = vec![cluster("feed", feed.port())];
        let gateway = Gateway::start(Plan { listeners, clusters, concurrency, module });
        Self { gateway, feed, key }
    }

    /// Waits until the gateway knows of so many revocations.
    pub(crate) fn wait_until_known(&self, entries: u64) {
        let known = || self.gateway.stat("wasmcustom.doorward_revocations.provider.doorward") == entries;
        assert!(wait::until(LIMIT, || known().then_some(())).is_some(), "never {entries} entries");
        assert!(wait::until(LIMIT, || (self.age() < 60).then_some(())).is_some(), "{}", self.age());
    }

    /// How old the knowledge is, in seconds.
    pub(crate) fn age(&self) -> u64 {
        self.gateway.stat(AGE)
    }
}

/// Settings that follow the feed at this cluster.
pub(crate) fn following(key: &Signer, cluster: &str, changes: Value) -> Value {
    let mut provider = provider(inline(&jwks(&[key])));
    provider["revocation"] =
        json!({"cluster": cluster, "path": "/revocations", "token_env": FEED_TOKEN_VARIABLE});
    for (name, value) in changes.as_object().into_iter().flatten() {
        provider["revocation"][name] = value.clone();
    }
    settings(&[provider])
}
