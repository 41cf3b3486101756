use std::sync::Arc;

use super::StartError;
use super::stores::Stores;
use crate::config;
use crate::crypto::keeper::RingKeeper;
use crate::crypto::mail_sealer::MailSealer;
use crate::crypto::one_time::OneTimeMint;
use crate::domain::clock::{Clock, Random};
use crate::domain::guard::Guard;
use crate::domain::ports::OneTimeTokens;
use crate::domain::post::Post;
use crate::mail::sender::{MailParts, MailSender};
use crate::telemetry::metrics::Metrics;

/// All that has to do with mails.
pub(super) struct Mails {
    /// Writes them; nobody does if none can go out.
    pub(super) post: Option<Arc<Post>>,
    /// Makes and knows the tokens in them.
    pub(super) tokens: Arc<dyn OneTimeTokens>,
    /// Sends them.
    pub(super) sender: Option<MailSender>,
}

/// Joins the parts. Without a mail server nothing is written that would wait for one.
pub(super) fn open(
    settings: Option<&config::Mail>,
    stores: &Stores,
    ring: &Arc<RingKeeper>,
    guard: &Arc<Guard>,
    (clock, random): (&Arc<dyn Clock>, &Arc<dyn Random>),
    metrics: &Arc<Metrics>,
) -> Result<Mails, StartError> {
    let tokens = Arc::new(OneTimeMint::new(random.clone()));
    let Some(config::Mail { server, letterhead }) = settings else {
        return Ok(Mails { post: None, tokens, sender: None });
    };
    let sealer = Arc::new(MailSealer::new(ring.clone(), random.clone()));
    let post = Arc::new(Post {
        letters: stores.letters.clone(),
        tokens: tokens.clone(),
        sealer: sealer.clone(),
        guard: guard.clone(),
        random: random.clone(),
    });
    let parts = MailParts {
        outbox: stores.outbox.clone(),
        sealer,
        clock: clock.clone(),
        random: random.clone(),
        watch: metrics.clone(),
    };
    let sender = MailSender::new(server.clone(), letterhead.clone(), parts)?;
    Ok(Mails { post: Some(post), tokens, sender: Some(sender) })
}
