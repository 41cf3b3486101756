use std::future::Future;

use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::problem::Problem;
use super::reason::Reason;
use crate::telemetry::store_time::StoreTime;
use crate::telemetry::traces::TARGET;

/// Flows that write.
#[derive(Clone)]
pub(super) struct Flows(pub(super) TaskTracker);

impl Flows {
    /// Lets what writes run to its end, whether the client waits for it or not; the end of the process waits too.
    pub(super) async fn to_the_end<T: Send + 'static>(
        &self,
        flow: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let flow = flow.instrument(tracing::info_span!(target: TARGET, "flow")).in_current_span();
        // Failing to join means that it panicked, and the panic hook has logged that.
        let flow = StoreTime::current().count(flow);
        self.0.spawn(flow).await.map_err(|_panic| Reason::Internal.into())
    }
}
