use tokio::sync::watch;

/// Wakes whoever passes on what was written, so that he need not look all the time.
#[derive(Clone)]
pub(super) struct News(watch::Sender<u64>);

impl News {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Something was committed.
    pub(super) fn spread(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn follow(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
