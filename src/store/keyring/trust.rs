//! For how long a process believes its memory of a key.
//!
//! Another process may destroy a key at any time, and tells nobody. So what
//! may be gone is looked at again once a minute, by both kinds of clock: one
//! that is set back must not make a dead key live longer.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::name::{KeyName, Kind};
use crate::clock::SharedClock;

/// For how long a remembered key is trusted where another process may have
/// destroyed it.
pub const TRUSTED: Duration = Duration::from_mins(1);

/// When something was last read from the store, by both kinds of clock.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    at: DateTime<Utc>,
    instant: Instant,
}

impl Seen {
    pub(super) fn just_now(clock: &SharedClock) -> Self {
        Self { at: clock.now(), instant: Instant::now() }
    }

    /// The earlier of the two, by what has passed since.
    pub(super) fn earlier(self, other: Self) -> Self {
        if other.instant < self.instant { other } else { self }
    }

    /// Whether it may still be believed: neither the time of day nor the time
    /// since has run too far, nor has the clock run back.
    pub(super) fn holds(&self, now: DateTime<Utc>) -> bool {
        let age = now.signed_duration_since(self.at).to_std();
        age.is_ok_and(|age| age < TRUSTED) && self.instant.elapsed() < TRUSTED
    }
}

/// Whether another process may have destroyed this key by now.
pub(super) fn may_be_gone(name: &KeyName, now: DateTime<Utc>) -> bool {
    let hours = now.timestamp().div_euclid(3_600);
    match name.kind {
        Kind::Mail => name.number < hours,
        // A tenant's key, and all below it, may be destroyed on any day.
        Kind::Tenant
        | Kind::Day
        | Kind::Evidence
        | Kind::Access
        | Kind::LinkTag
        | Kind::LinkPepper => true,
        Kind::Probe
        | Kind::Dedupe
        | Kind::Outbox
        | Kind::Page
        | Kind::Verp
        | Kind::Factor
        | Kind::Index
        | Kind::Sealing => false,
    }
}
