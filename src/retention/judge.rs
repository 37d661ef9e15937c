//! Decides about one delivery on the day its key is to die: pure, and the
//! only place where the rule is written.
//!
//! A key opens everything that a tenant's service had due on one day. Before
//! it dies, every delivery under it must be due, ended, or under a later key.
//! What nobody can date is neither destroyed nor served: it moves to a later
//! key, so that its neighbours die on their day, and is listed for a person.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{
    domain::{
        calendar::retention::{RetentionClock, day_number, day_of_number, local_day, start_of_day},
        stage::Stage,
    },
    store::retention::DueJob,
};

/// A tenant's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantRules {
    /// Where the tenant's days begin.
    pub zone: Tz,
    /// How long a dispatched document is kept.
    pub clock: RetentionClock,
    /// How long after `send_at` an unsent job may wait before it is ended.
    pub undispatched_max: TimeDelta,
}

impl Default for TenantRules {
    fn default() -> Self {
        Self {
            zone: Tz::Asia__Tokyo,
            clock: RetentionClock::ONE_MONTH,
            undispatched_max: TimeDelta::days(30),
        }
    }
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its day has not come.
    Kept,
    /// It is destroyed now.
    Due(Why),
    /// It moves to the key of a later day.
    Later {
        /// That day, in days since 1970.
        day: i64,
        /// Whether a person has to look at it.
        listed: Option<Doubt>,
    },
    /// It can neither be destroyed nor moved; its key stays with it.
    Held(Doubt),
}

/// Why a delivery is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its window closed.
    WindowClosed,
    /// It was ended before it left, and its first possible day came.
    Ended,
    /// It grew too old to be sent.
    NeverDispatched,
}

/// Why a person has to look at a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// It left the house, and nobody knows when.
    UnknownDate,
    /// Its dates lie outside the calendar.
    OutsideCalendar,
    /// Its key does not open, so that it cannot be moved to another.
    KeyUnreadable,
}

impl Doubt {
    /// The code that is shown and logged.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownDate => "unknown_date",
            Self::OutsideCalendar => "outside_calendar",
            Self::KeyUnreadable => "key_unreadable",
        }
    }
}

/// Decides about one delivery.
pub(crate) fn judge(job: &DueJob, now: DateTime<Utc>, rules: &TenantRules) -> Verdict {
    let too_old = is_too_old(job, now, rules);
    match day_begins(job.purge_day, rules.zone) {
        None => return Verdict::Held(Doubt::OutsideCalendar),
        Some(begins) if begins > now && !too_old => return Verdict::Kept,
        Some(_) => {}
    }
    if job.sending {
        // In flight this minute: the answer will date it.
        return later(job, now, rules, None);
    }
    match job.purge_at {
        Some(at) if at <= now => return Verdict::Due(Why::WindowClosed),
        Some(at) => {
            let day = day_number(local_day(at, rules.zone));
            return Verdict::Later { day: day.max(tomorrow(now, rules.zone)), listed: None };
        }
        None => {}
    }
    match job.stage {
        Stage::Cancelled | Stage::Undeliverable | Stage::Recalled | Stage::Purged => {
            Verdict::Due(Why::Ended)
        }
        Stage::Accepted | Stage::Sealed | Stage::Parked if too_old => {
            Verdict::Due(Why::NeverDispatched)
        }
        Stage::Accepted | Stage::Sealed | Stage::Parked => later(job, now, rules, None),
        Stage::Dispatched | Stage::Opened | Stage::Ambiguous => {
            later(job, now, rules, Some(Doubt::UnknownDate))
        }
    }
}

/// Whether a job waited longer than it may without ever leaving the house.
fn is_too_old(job: &DueJob, now: DateTime<Utc>, rules: &TenantRules) -> bool {
    let unsent = matches!(job.stage, Stage::Accepted | Stage::Sealed | Stage::Parked);
    let end = job.send_at.checked_add_signed(rules.undispatched_max);
    unsent && job.purge_at.is_none() && !job.sending && end.is_some_and(|end| end <= now)
}

/// The earliest later day on which the delivery could be due: the day it grows
/// too old, or, where that is over, the day it would be due if it left now.
fn later(job: &DueJob, now: DateTime<Utc>, rules: &TenantRules, listed: Option<Doubt>) -> Verdict {
    let too_old_on = job
        .send_at
        .checked_add_signed(rules.undispatched_max)
        .map(|end| day_number(local_day(end, rules.zone)).saturating_add(1));
    let first = tomorrow(now, rules.zone);
    match (too_old_on, rules.clock.purge(now, rules.zone)) {
        (Some(day), _) if day >= first && listed.is_none() && !job.sending => {
            Verdict::Later { day, listed }
        }
        (_, Ok(purge)) => Verdict::Later { day: purge.purge_day, listed },
        (_, Err(_)) => Verdict::Held(Doubt::OutsideCalendar),
    }
}

pub(super) fn tomorrow(now: DateTime<Utc>, zone: Tz) -> i64 {
    day_number(local_day(now, zone)).saturating_add(1)
}

/// The instant at which the day with this number begins where the tenant is.
pub(crate) fn day_begins(day: i64, zone: Tz) -> Option<DateTime<Utc>> {
    start_of_day(zone, day_of_number(day)?)
}

/// The number of the latest day that has begun anywhere on earth (UTC+14).
pub(crate) fn latest_day(now: DateTime<Utc>) -> i64 {
    now.timestamp().saturating_add(14 * 3600).div_euclid(86_400)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
#[expect(clippy::arithmetic_side_effects, reason = "tests add days to dates")]
mod tests;
