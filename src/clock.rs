//! The only door through which the time of day enters the program.
//!
//! Whatever compares, stores or prints an instant is handed a clock by its
//! caller and asks it once per step, at the top. Durations that must not jump
//! with the wall clock (time-outs, leases at the moment of use) are measured
//! with [`std::time::Instant`], which is not a time of day.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// A clock that can be shared between rooms.
pub type SharedClock = Arc<dyn Clock>;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The current instant, in UTC, at microsecond precision.
    fn now(&self) -> DateTime<Utc>;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may ask")]
    fn now(&self) -> DateTime<Utc> {
        let now = Utc::now();
        // The database keeps microseconds; so do we, everywhere.
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }
}

/// A clock that moves only when it is told to: for tests, for the simulation,
/// and for `demo --once`, which looks at the day after the retention window.
#[derive(Debug)]
pub struct HandClock {
    unix_micros: AtomicI64,
}

impl HandClock {
    /// Starts the clock at `start`.
    pub fn starting_at(start: DateTime<Utc>) -> Self {
        Self { unix_micros: AtomicI64::new(start.timestamp_micros()) }
    }

    /// Moves time forward by `step`; a step backwards is possible, because
    /// operators' clocks do that too and the witness must notice.
    pub fn advance(&self, step: TimeDelta) {
        let micros = step.num_microseconds().unwrap_or(i64::MAX);
        self.unix_micros.fetch_add(micros, Ordering::SeqCst);
    }

    /// Puts the clock to `instant`.
    pub fn set(&self, instant: DateTime<Utc>) {
        self.unix_micros.store(instant.timestamp_micros(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.unix_micros.load(Ordering::SeqCst)).unwrap_or_default()
    }
}
