use std::sync::Arc;

use tokio::sync::watch;

use super::StartError;
use super::stores::Stores;
use super::watch::Mailed;
use crate::config;
use crate::crypto::keeper::RingKeeper;
use crate::crypto::mail_sealer::MailSealer;
use crate::crypto::one_time::OneTimeMint;
use crate::domain::clock::{Clock, Random};
use crate::domain::guard::Guard;
use crate::domain::outbox::{Delivery, Link};
use crate::domain::ports::OneTimeTokens;
use crate::domain::post::Post;
use crate::events::mail_jobs::MailJobs;
use crate::events::relay::Relay;
use crate::mail::sender::{MailParts, MailSender};
use crate::telemetry::metrics::Metrics;

/// All that has to do with mails.
pub(super) struct Mails {
    /// Writes them; nobody does if none can go out.
    pub(super) post: Option<Arc<Post>>,
    /// Makes and knows the tokens in them.
    pub(super) tokens: Arc<dyn OneTimeTokens>,
    /// Sends them, if we do.
    pub(super) sender: Option<MailSender>,
    /// Carries them to the broker, for another service to send.
    pub(super) relay: Option<Relay>,
}

/// Joins the parts. Where mails go nowhere, nothing is written that would wait to be sent.
pub(super) fn open(
    settings: Option<&config::Mail>,
    stores: &Stores,
    ring: &Arc<RingKeeper>,
    guard: &Arc<Guard>,
    (clock, random): (&Arc<dyn Clock>, &Arc<dyn Random>),
    metrics: &Arc<Metrics>,
) -> Result<Mails, StartError> {
    let tokens = Arc::new(OneTimeMint::new(random.clone()));
    let Some(settings) = settings else {
        return Ok(Mails { post: None, tokens, sender: None, relay: None });
    };
    let sealer = Arc::new(MailSealer::new(ring.clone(), random.clone()));
    let post = Arc::new(Post {
        users: stores.users.clone(),
        letters: stores.letters.clone(),
        tokens: tokens.clone(),
        sealer: sealer.clone(),
        guard: guard.clone(),
        random: random.clone(),
    });
    let mails = Mails { post: Some(post), tokens, sender: None, relay: None };
    match settings {
        config::Mail::Smtp { server, letterhead } => {
            let parts = MailParts {
                outbox: stores.outbox.clone(),
                sealer,
                clock: clock.clone(),
                random: random.clone(),
                watch: metrics.clone(),
            };
            let sender = MailSender::new(server.clone(), letterhead.clone(), parts)?;
            Ok(Mails { sender: Some(sender), ..mails })
        }
        config::Mail::Exchange { broker, base_url } => {
            let (base_url, watch) = (base_url.clone(), Arc::new(Mailed(metrics.clone())));
            let relay = Relay {
                load: Box::new(MailJobs { sealer, base_url, watch }),
                outbox: stores.outbox.clone(),
                broker: broker.clone(),
                clock: clock.clone(),
                random: random.clone(),
                // How the broker is doing, the relay of events says: it is the same one.
                health: watch::Sender::new(Delivery { link: Link::Unavailable, parked: 0 }),
            };
            Ok(Mails { relay: Some(relay), ..mails })
        }
    }
}
