//! How often somebody may try links that are not ours.
//!
//! The tag in a token tells a guess from a link without a look into the database,
//! so a guess costs next to nothing and a genuine link is never counted here,
//! whoever its holder's neighbours are. What is limited is the rest: pages, notes
//! and log rows for those who try thousands. The table is bounded; when it is full,
//! only the limit for all holds until old entries are gone.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use ipnet::IpNet;

/// Guesses from one block of addresses within [`WINDOW_SECONDS`] that get a page.
pub(super) const OF_ONE_MAX: u32 = 60;
/// The time after which a block begins anew.
pub(super) const WINDOW_SECONDS: i64 = 600;
/// Guesses of all within a second that get a page.
const OF_ALL_MAX: u32 = 2_000;
/// Blocks that are remembered.
const BLOCKS_MAX: usize = 50_000;

/// Who guessed, and how often.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    blocks: HashMap<IpNet, Tries>,
    all: Tries,
}

/// Tries since an instant, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    since: i64,
    count: u32,
}

impl Tries {
    /// Counts one more; whether it is within `max` in `window` seconds.
    fn one_more(&mut self, now: i64, window: i64, max: u32) -> bool {
        if now.saturating_sub(self.since) >= window || now < self.since {
            *self = Self { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= max
    }
}

impl Guesses {
    /// Counts a guess; whether it is answered with a page.
    pub(super) fn one_more(&self, from: Option<IpNet>, at: DateTime<Utc>) -> bool {
        let now = at.timestamp();
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = counted.all.one_more(now, 1, OF_ALL_MAX);
        let Some(from) = from else { return within };
        if counted.blocks.len() >= BLOCKS_MAX && !counted.blocks.contains_key(&from) {
            counted.blocks.retain(|_, tries| now.saturating_sub(tries.since) < WINDOW_SECONDS);
            if counted.blocks.len() >= BLOCKS_MAX {
                return within;
            }
        }
        let own = counted.blocks.entry(from).or_default();
        own.one_more(now, WINDOW_SECONDS, OF_ONE_MAX) && within
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn block(number: u32) -> Option<IpNet> {
        let [_, a, b, c] = number.to_be_bytes();
        Some(format!("{a}.{b}.{c}.0/24").parse().unwrap())
    }

    #[test]
    fn each_block_has_its_share_and_gets_it_again() {
        let guesses = Guesses::default();
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let passed = |from, at| (0..100).filter(|_| guesses.one_more(block(from), at)).count();
        assert_eq!(passed(1, start), 60, "sixty");
        assert_eq!(passed(2, start), 60, "a neighbour has sixty of its own");
        assert_eq!(passed(1, start + TimeDelta::seconds(599)), 0, "not yet");
        assert_eq!(passed(1, start + TimeDelta::seconds(600)), 60, "again");
    }

    #[test]
    fn a_flood_from_everywhere_is_limited_and_not_remembered() {
        let guesses = Guesses::default();
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let passed = (0..60_000).filter(|from| guesses.one_more(block(*from), start)).count();
        assert_eq!(passed, 2_000, "of all in a second");
        assert_eq!(guesses.0.lock().unwrap().blocks.len(), BLOCKS_MAX, "bounded");
        let later = start + TimeDelta::seconds(601);
        assert!(guesses.one_more(block(70_000), later), "old entries make room");
        assert_eq!(guesses.0.lock().unwrap().blocks.len(), 1, "and are gone");
    }
}
