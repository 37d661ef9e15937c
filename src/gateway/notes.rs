//! What is written down a little later, in groups: fetched pages, guesses, and
//! documents that could not be given.
//!
//! None of these lets anyone see anything, so none has to be on record before
//! an answer goes out; an open and a download have, and do not come here. A
//! scanner that fetches a page fifty times in a minute makes one row that says
//! fifty; a guesser makes one row a minute and address block.
//!
//! The memory is bounded. When it is full, further notes are counted and
//! dropped, and the next row that is written says how many: a flood of guesses
//! must not become a flood of the log.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use ipnet::IpNet;

use super::{labels::Labels, visitor::Visitor};
use crate::domain::ids::{JobId, TenantId};

/// What is noted; equal notes of a minute are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Note {
    /// The page of a link was fetched.
    Fetched {
        /// Whose link.
        tenant: TenantId,
        /// The delivery.
        job: JobId,
        /// Whether the link still opened anything.
        alive: bool,
        /// What made the visitor look like a program.
        labels: Labels,
    },
    /// A document was asked for and could not be given, or not to its end.
    NotServed {
        /// Whose document.
        tenant: TenantId,
        /// The delivery.
        job: JobId,
        /// Whether it is damaged itself; else something of ours was away.
        damaged: bool,
    },
    /// A link was tried that is not ours.
    Guessed {
        /// From where.
        block: Option<IpNet>,
    },
}

/// How often something was noted in a minute, and by whom first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    /// The first instant.
    pub(super) at: DateTime<Utc>,
    /// How often.
    pub(super) count: i64,
    /// Who was first.
    pub(super) visitor: Option<Visitor>,
}

/// Notes of a minute (minutes since 1970).
pub(super) type Slot = (i64, Note);

/// The notes that are not written down yet.
#[derive(Debug)]
pub(super) struct Notes {
    max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    slots: HashMap<Slot, Tally>,
    dropped: i64,
}

/// Notes taken out to be written down.
#[derive(Debug)]
pub(super) struct Taken {
    /// Each note and its tally, in no order.
    pub(super) slots: Vec<(Slot, Tally)>,
    /// How many could not be kept since the last time.
    pub(super) dropped: i64,
}

impl Notes {
    /// Room for `max` different notes.
    pub(super) fn new(max: usize) -> Self {
        Self { max, held: Mutex::default() }
    }

    /// Notes something.
    pub(super) fn add(&self, note: Note, at: DateTime<Utc>, visitor: Option<Visitor>) {
        let slot = (at.timestamp().div_euclid(60), note);
        self.put(slot, Tally { at, count: 1, visitor });
    }

    /// Takes all notes out, together with how many were dropped.
    pub(super) fn take(&self) -> Taken {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = held.slots.drain().collect();
        Taken { slots, dropped: std::mem::take(&mut held.dropped) }
    }

    /// Puts back what could not be written down.
    pub(super) fn put_back(&self, taken: Taken) {
        for (slot, tally) in taken.slots {
            self.put(slot, tally);
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.dropped = held.dropped.saturating_add(taken.dropped);
    }

    fn put(&self, slot: Slot, tally: Tally) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = held.slots.get_mut(&slot) {
            before.count = before.count.saturating_add(tally.count);
            if tally.at < before.at {
                (before.at, before.visitor) = (tally.at, tally.visitor);
            }
        } else if held.slots.len() < self.max {
            held.slots.insert(slot, tally);
        } else {
            held.dropped = held.dropped.saturating_add(tally.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    fn fetched(job: u128) -> Note {
        let tenant = TenantId::parse("acme").unwrap();
        Note::Fetched {
            tenant,
            job: JobId(Uuid::from_u128(job)),
            alive: true,
            labels: Labels::default(),
        }
    }

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_176_000, 0).unwrap()
    }

    #[test]
    fn fetches_of_a_minute_are_one_note() {
        let notes = Notes::new(10);
        for second in [0, 20, 59, 60] {
            notes.add(fetched(1), noon() + TimeDelta::seconds(second), None);
        }
        notes.add(fetched(2), noon(), None);
        let mut counts: Vec<_> = notes.take().slots.into_iter().map(|(_, t)| t.count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 1, 3], "a minute, the next minute, another link");
        assert!(notes.take().slots.is_empty(), "taken is taken");
    }

    #[test]
    fn a_flood_is_counted_and_not_kept() {
        let notes = Notes::new(2);
        for job in 0..5 {
            notes.add(fetched(job), noon(), None);
        }
        notes.add(fetched(0), noon(), None);
        let taken = notes.take();
        assert_eq!((taken.slots.len(), taken.dropped), (2, 3), "bounded, and said so");
    }

    #[test]
    fn what_could_not_be_written_is_not_lost() {
        let notes = Notes::new(2);
        notes.add(fetched(1), noon() + TimeDelta::seconds(5), None);
        let taken = notes.take();
        notes.add(fetched(1), noon() + TimeDelta::seconds(9), None);
        notes.put_back(taken);
        let slots = notes.take().slots;
        assert_eq!(slots.len(), 1, "one minute, one note");
        let tally = &slots[0].1;
        assert_eq!(
            (tally.count, tally.at),
            (2, noon() + TimeDelta::seconds(5)),
            "both, from the first"
        );
    }
}
