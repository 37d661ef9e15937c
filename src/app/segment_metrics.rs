//! The numbers of the store of sealed bytes.

use std::sync::{Mutex, PoisonError};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::blobs::{Act, Blobs};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActLabel {
    act: &'static str,
}

/// How the store of sealed bytes fares.
#[derive(Debug, Default)]
pub struct SegmentMetrics {
    failing: Family<ActLabel, Gauge>,
    failures: Family<ActLabel, Counter>,
    counted: Mutex<[u64; 4]>,
    missing: Gauge,
    orphans: Counter,
}

impl SegmentMetrics {
    pub(super) fn register(&self, book: &mut Registry) {
        let help = "1 while sealed bytes cannot be written, read, destroyed or listed";
        book.register("segments_failing", help, self.failing.clone());
        let help = "Times sealed bytes could not be written, read, destroyed or listed";
        book.register("segments_failures", help, self.failures.clone());
        let help = "Segments with documents that are not in the store";
        book.register("segments_missing", help, self.missing.clone());
        let help = "Segments destroyed that no delivery knew";
        book.register("segments_orphans", help, self.orphans.clone());
    }

    /// Takes over how the store fares.
    pub fn fares(&self, blobs: &Blobs) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for (act, counted) in Act::ALL.into_iter().zip(&mut *counted) {
            let label = ActLabel { act: act.word() };
            let fares = blobs.fares(act);
            let failing = i64::from(fares.trouble.is_some());
            self.failing.get_or_create(&label).set(failing);
            let before = std::mem::replace(counted, fares.failures);
            self.failures.get_or_create(&label).inc_by(fares.failures.saturating_sub(before));
        }
    }

    /// Sets how many segments are missing.
    pub fn missing(&self, count: usize) {
        self.missing.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Orphans were destroyed.
    pub fn orphans(&self, count: usize) {
        self.orphans.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}
