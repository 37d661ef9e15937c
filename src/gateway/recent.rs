//! The deliveries of running sessions, as they stood a moment ago.
//!
//! Whoever sees the page of a document asks for the document next, and the
//! books would be asked for the same row twice. What is kept says where the
//! sealed bytes lie and holds their wrapped key. It does not say whether they may
//! leave: that is asked of the books in any case, by the reservation. Nothing
//! in it is readable without the keys.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{crypto::Lookup, store::links::Found};

/// How long a delivery is kept.
const KEPT_FOR: TimeDelta = TimeDelta::seconds(60);
/// Deliveries that are kept, at the most; each takes some 2 KiB.
const KEPT_MAX: usize = 1_024;

/// What was found behind links lately.
#[derive(Debug)]
pub(super) struct Recent<T = Found>(Mutex<Kept<T>>);
type Kept<T> = HashMap<Lookup, (DateTime<Utc>, Arc<T>)>;

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Recent<T> {
    /// Keeps what was found behind a link.
    pub(super) fn put(&self, link: Lookup, found: T, now: DateTime<Utc>) -> Arc<T> {
        let found = Arc::new(found);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (since, _)| is_fresh(*since, now));
        }
        if kept.len() < KEPT_MAX || kept.contains_key(&link) {
            kept.insert(link, (now, Arc::clone(&found)));
        }
        found
    }

    /// What was found behind a link within the last minute.
    pub(super) fn get(&self, link: &Lookup, now: DateTime<Utc>) -> Option<Arc<T>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, found) = kept.get(link)?;
        is_fresh(*since, now).then(|| Arc::clone(found))
    }
}

/// A clock that ran back makes nothing fresh.
fn is_fresh(since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (TimeDelta::zero()..KEPT_FOR).contains(&now.signed_duration_since(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_176_000, 0).unwrap()
    }

    fn link(day: i64) -> Lookup {
        Lookup { day, print: [5; 32] }
    }

    #[test]
    fn it_is_known_for_a_minute() {
        let recent = Recent::default();
        assert_eq!(*recent.put(link(1), 'a', noon()), 'a', "given back");
        let known = |seconds| recent.get(&link(1), noon() + TimeDelta::seconds(seconds));
        assert_eq!(known(59).as_deref(), Some(&'a'), "within the minute");
        assert_eq!(known(60), None, "not after it");
        assert_eq!(known(-1), None, "nor when the clock ran back");
        assert_eq!(recent.get(&link(2), noon()), None, "another link is another");
        recent.put(link(1), 'b', noon() + TimeDelta::seconds(70));
        assert_eq!(known(80).as_deref(), Some(&'b'), "the newest counts");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let recent = Recent::default();
        let most = i64::try_from(KEPT_MAX).unwrap();
        for day in 0..most + 10 {
            recent.put(link(day), day, noon());
        }
        assert_eq!(recent.get(&link(most + 5), noon()), None, "one too many is not kept");
        recent.put(link(3), 7, noon());
        assert_eq!(recent.get(&link(3), noon()).as_deref(), Some(&7), "one that is there is");
        let later = noon() + TimeDelta::minutes(2);
        recent.put(link(most + 5), 8, later);
        assert_eq!(recent.get(&link(most + 5), later).as_deref(), Some(&8), "old ones make room");
        assert_eq!(recent.0.lock().unwrap().len(), 1, "and go");
    }
}
