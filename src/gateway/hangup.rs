//! How a stream that was taken back reaches a reader who reads no more: its
//! connection is cut, unless it has begun with another request.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

/// Cuts the connection that a request came over, as long as that request is
/// the connection's last: a browser, or a proxy, uses one connection for many.
/// Whoever serves the pages puts one into each request's extensions and waits
/// for the cut; without one a stream that is stopped ends when its reader reads
/// on.
#[derive(Clone, Default)]
pub struct Hangup {
    line: Arc<Line>,
    request: u64,
}

#[derive(Default)]
struct Line {
    cut: CancellationToken,
    requests: AtomicU64,
}

impl fmt::Debug for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hangup(..)")
    }
}

impl Hangup {
    /// The same connection's next request.
    #[must_use]
    pub fn next_request(&self) -> Self {
        let request = self.line.requests.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        Self { line: Arc::clone(&self.line), request }
    }

    /// Waits until the connection is to be cut.
    pub async fn cut_off(&self) {
        self.line.cut.cancelled().await;
    }

    pub(super) fn cut(&self) {
        if self.is_last() {
            self.line.cut.cancel();
        }
    }

    fn is_last(&self) -> bool {
        self.line.requests.load(Ordering::SeqCst) == self.request
    }

    /// Whether nothing of this request's answer waits to be sent any more: the
    /// connection is gone, or has begun with the next request.
    pub(super) fn is_over(&self) -> bool {
        !self.is_last() || Arc::strong_count(&self.line) == 1
    }

    #[cfg(test)]
    pub(super) fn is_cut(&self) -> bool {
        self.line.cut.is_cancelled()
    }
}
