//! Settings of how much is done at once, how often it is tried, and how long
//! things are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Span;

/// `[uploads]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uploads {
    /// Bytes of a finished PDF, at the most; a longer one is refused
    /// (65536 to 104857600).
    pub bytes_max: usize,
    /// How long an upload is kept for a job to name it; it stays longer while
    /// such a job is not sealed (1h to 30days).
    pub keep: Span,
    /// Uploads of one tenant at rest, at the most; the next one is refused
    /// (1 to 1000000).
    pub per_tenant: u32,
    /// Uploads on their way in at once, at the most; the next one is asked to
    /// come again. Each may take three times its size in memory (1 to 64).
    pub at_once: usize,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            bytes_max: 20 << 20,
            keep: Span(Duration::from_hours(24)),
            per_tenant: 1_000,
            at_once: 4,
        }
    }
}

/// `[work]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Work {
    /// Messages of one intake commit, at the most (1 to 4096).
    pub batch: usize,
    /// Jobs in memory on their way, at the most; the rest waits on the books
    /// (1 to 65536).
    pub in_flight: usize,
    /// Jobs of one tenant in memory, at the most (1 to 65536).
    pub in_flight_per_tenant: usize,
    /// Threads that render; 0: one per core (0 to 256).
    pub render_threads: usize,
    /// Jobs rendered by a thread in one go (1 to 256).
    pub render_chunk: usize,
    /// How long a commit waits for company when there is a backlog
    /// (0s to 100ms).
    pub linger: Span,
    /// A process silent for this long has lost its leases (5s to 10min).
    pub lease: Span,
    /// Work rows on the books above which no message is taken
    /// (1000 to 100000000).
    pub backlog_max: u64,
    /// A job that ended its worker this many times is parked (1 to 100).
    pub crashes_max: u32,
    /// How long a shutdown may take (1s to 5min).
    pub drain: Span,
    /// How often the books are asked for due work when nothing woke us
    /// (1s to 1min).
    pub poll: Span,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            batch: 256,
            in_flight: 1_024,
            in_flight_per_tenant: 512,
            render_threads: 0,
            render_chunk: 8,
            linger: Span(Duration::from_millis(4)),
            lease: Span(Duration::from_secs(30)),
            backlog_max: 200_000,
            crashes_max: 3,
            drain: Span(Duration::from_secs(25)),
            poll: Span(Duration::from_secs(1)),
        }
    }
}

/// `[retention]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Calendar months that a delivered artifact is kept (1 to 120).
    pub months: u32,
    /// Days after `send_at` at which an unsent job is destroyed (1 to 365).
    pub undispatched_days_max: u32,
    /// Clocks further apart than this hold every destruction (1min to 1day).
    pub clock_tolerance: Span,
    /// How often the day's work is looked for (1s to 1h).
    pub every: Span,
    /// Jobs destroyed in one transaction (1 to 10000).
    pub batch: usize,
    /// Calendar years after that of a job's arrival for which its evidence stays
    /// readable; then its key is destroyed (1 to 30).
    pub evidence_years: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            months: 1,
            undispatched_days_max: 30,
            clock_tolerance: Span(Duration::from_hours(1)),
            every: Span(Duration::from_mins(1)),
            batch: 500,
            evidence_years: 12,
        }
    }
}
