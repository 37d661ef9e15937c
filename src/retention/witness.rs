//! A second opinion on the time before anything is destroyed.
//!
//! A clock that jumps forty days ahead would destroy a month of letters, and
//! no backup would help. So everything that knows the time must agree within
//! an hour: our clock, the database's, the monotonic one since the last look,
//! and the note that the last look left on the books. If they do not, every
//! destruction is held, once on record, until they agree again.
//!
//! A clock that was *seen* to jump is believed again when it comes back, or
//! when a person vouches for it. A house that was closed for a weekend only
//! finds an old note; that clears by itself when our clock has run in step
//! with the others for [`SETTLE`], while the alarm stands.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;

use crate::{
    clock::SharedClock,
    store::{Db, StoreError},
};

/// For how long the clocks must run in step before an old note is believed to
/// mean a pause.
pub const SETTLE: Duration = Duration::from_hours(1);

/// A second source of time.
pub trait Witness: Send + Sync + std::fmt::Debug {
    /// What the witness's clock shows.
    fn now(&self) -> BoxFuture<'_, Result<DateTime<Utc>, StoreError>>;
    /// How long this process has run, on a clock that nobody can set.
    fn steady(&self) -> Duration;
}

/// The database as witness.
#[derive(Clone, Debug)]
pub struct DbWitness {
    db: Db,
    started: Instant,
}

impl DbWitness {
    /// Asks this database.
    pub fn new(db: Db) -> Self {
        Self { db, started: Instant::now() }
    }
}

impl Witness for DbWitness {
    fn now(&self) -> BoxFuture<'_, Result<DateTime<Utc>, StoreError>> {
        Box::pin(self.db.witness_time())
    }

    fn steady(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A witness that believes one clock: for the demo and for tests, where time
/// is moved by hand and the database's clock knows nothing of it.
#[derive(Clone, Debug)]
pub struct Believer {
    clock: SharedClock,
    since: DateTime<Utc>,
}

impl Believer {
    /// Believes this clock from now on.
    pub fn of(clock: SharedClock) -> Self {
        let since = clock.now();
        Self { clock, since }
    }
}

impl Witness for Believer {
    fn now(&self) -> BoxFuture<'_, Result<DateTime<Utc>, StoreError>> {
        let now = self.clock.now();
        Box::pin(std::future::ready(Ok(now)))
    }

    fn steady(&self) -> Duration {
        self.clock.now().signed_duration_since(self.since).to_std().unwrap_or_default()
    }
}

/// What was seen at one look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) ours: DateTime<Utc>,
    pub(crate) theirs: DateTime<Utc>,
    pub(crate) steady: Duration,
}

/// What this process remembers between looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// The last look at which all agreed, or a person vouched.
    honest: Option<Look>,
    /// Until there is one: since when our clock runs in step.
    first: Option<Look>,
}

/// What the clocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// They agree.
    Agreed,
    /// They do not.
    Apart {
        /// The greatest distance between two of them.
        by: TimeDelta,
        /// Our clock was seen to jump.
        jumped: bool,
    },
}

impl Memory {
    /// Compares the clocks. `noted` is what the last look wrote down, perhaps
    /// in another process or a year ago; `jumped` says that the standing hold
    /// is for a clock that was seen to jump.
    pub(crate) fn look(
        &mut self,
        look: Look,
        noted: Option<DateTime<Utc>>,
        jumped: bool,
        tolerance: TimeDelta,
    ) -> Opinion {
        let beside = distance(look.ours, look.theirs);
        if beside > tolerance {
            self.first = None;
            return Opinion::Apart { by: beside, jumped };
        }
        if let Some(honest) = &self.honest {
            let jump = honest.strayed(&look);
            if jump > tolerance {
                return Opinion::Apart { by: jump, jumped: true };
            }
        } else {
            let gap = noted.map_or(TimeDelta::zero(), |noted| distance(look.ours, noted));
            if gap > tolerance && (jumped || !self.settled(look, tolerance)) {
                return Opinion::Apart { by: gap, jumped };
            }
        }
        self.honest = Some(look);
        Opinion::Agreed
    }

    /// A person says that the time is right.
    pub(crate) fn vouched(&mut self, look: Look) {
        self.honest = Some(look);
    }

    /// Whether our clock has run in step with the monotonic one for long.
    fn settled(&mut self, look: Look, tolerance: TimeDelta) -> bool {
        let first = self.first.get_or_insert(look);
        if first.strayed(&look) > tolerance {
            *first = look;
        }
        look.steady.saturating_sub(first.steady) >= SETTLE
    }
}

impl Look {
    /// How far our clock is from where it should be at a later look.
    fn strayed(&self, later: &Self) -> TimeDelta {
        let passed = later.steady.saturating_sub(self.steady);
        let passed = TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX);
        let expected = self.ours.checked_add_signed(passed);
        expected.map_or(TimeDelta::MAX, |expected| distance(later.ours, expected))
    }
}

fn distance(a: DateTime<Utc>, b: DateTime<Utc>) -> TimeDelta {
    a.signed_duration_since(b).abs()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests add hours to noon")]
mod tests {
    use super::*;

    const TOLERANCE: TimeDelta = TimeDelta::hours(1);

    fn noon() -> DateTime<Utc> {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    /// Our clock, the database's and the monotonic one, in minutes from noon.
    fn look(ours: i64, theirs: i64, steady: i64) -> Look {
        Look {
            ours: noon() + TimeDelta::minutes(ours),
            theirs: noon() + TimeDelta::minutes(theirs),
            steady: Duration::from_secs(u64::try_from(steady * 60).unwrap()),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a note may be missing")]
    fn note(minutes: i64) -> Option<DateTime<Utc>> {
        Some(noon() + TimeDelta::minutes(minutes))
    }

    fn held(opinion: Opinion) -> bool {
        matches!(opinion, Opinion::Apart { .. })
    }

    #[test]
    fn clocks_within_the_tolerance_agree() {
        let mut memory = Memory::default();
        assert_eq!(memory.look(look(0, 59, 0), None, false, TOLERANCE), Opinion::Agreed, "first");
        let second = memory.look(look(1, -58, 1), note(0), false, TOLERANCE);
        assert_eq!(second, Opinion::Agreed, "59 minutes on either side");
    }

    #[test]
    fn a_database_that_is_two_hours_off_holds_and_stops_holding() {
        for off in [-120, 120] {
            let mut memory = Memory::default();
            let opinion = memory.look(look(0, off, 0), None, false, TOLERANCE);
            let by = TimeDelta::hours(2);
            assert_eq!(opinion, Opinion::Apart { by, jumped: false }, "held");
            assert!(!held(memory.look(look(1, 1, 1), note(0), false, TOLERANCE)), "released");
        }
    }

    #[test]
    fn a_jump_is_held_for_as_long_as_it_lasts_even_if_the_database_jumps_too() {
        let (mut memory, day) = (Memory::default(), 24 * 60);
        assert!(!held(memory.look(look(0, 0, 0), None, false, TOLERANCE)), "all is well");
        let jump = memory.look(look(40 * day, 40 * day, 1), note(0), false, TOLERANCE);
        assert!(matches!(jump, Opinion::Apart { jumped: true, .. }), "seen: {jump:?}");
        for minute in 2..200 {
            let ours = 40 * day + minute;
            let opinion = memory.look(look(ours, ours, minute), note(0), true, TOLERANCE);
            assert!(matches!(opinion, Opinion::Apart { jumped: true, .. }), "minute {minute}");
        }
        let back = memory.look(look(200, 200, 200), note(0), true, TOLERANCE);
        assert!(!held(back), "back where it should be, though the note is hours old");
    }

    #[test]
    fn a_jump_outlives_a_restart_until_a_person_vouches() {
        let (mut memory, day) = (Memory::default(), 24 * 60);
        for minute in 0..200 {
            let now = look(40 * day + minute, 40 * day + minute, minute);
            assert!(held(memory.look(now, note(0), true, TOLERANCE)), "minute {minute}");
        }
        memory.vouched(look(40 * day + 200, 40 * day + 200, 200));
        let now = look(40 * day + 201, 40 * day + 201, 201);
        assert!(!held(memory.look(now, note(40 * day + 200), false, TOLERANCE)), "vouched");
    }

    #[test]
    fn after_a_weekend_the_office_waits_an_hour() {
        let (mut memory, monday) = (Memory::default(), 3 * 24 * 60);
        for minute in 0..60 {
            let now = look(monday + minute, monday + minute, minute);
            assert!(held(memory.look(now, note(0), false, TOLERANCE)), "minute {minute}");
        }
        let now = look(monday + 60, monday + 60, 60);
        assert!(!held(memory.look(now, note(0), false, TOLERANCE)), "in step for an hour");
    }

    #[test]
    fn a_clock_that_runs_back_holds_too() {
        let mut memory = Memory::default();
        let past = memory.look(look(-24 * 60, -24 * 60, 0), note(0), false, TOLERANCE);
        assert!(held(past), "yesterday, says the note");
    }
}
