//! The store of sealed bytes against the books: what neither of them should
//! have.
//!
//! A segment without a row was written by a process that died before its
//! commit, or whose put was given up and arrived all the same. It is destroyed
//! when it is too old to get a row any more; which ones go is noted on the
//! books before and in the log after.
//!
//! A row without its segment is a loss that nothing here can mend. It is told
//! at once and for as long as it lasts, and nothing is written down of it: the
//! volume may only not be mounted.
//!
//! A store that two offices share, or that is not the one the books grew up
//! with, would look like nothing but orphans. So each store carries a mark
//! that the books know, and without it nothing unknown is destroyed.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Done, Retention, RetentionError, remains::is_older};
use crate::{
    blobs::{BlobError, Blobs},
    domain::{ids::SegmentId, log::Kind},
    store::{
        Db, checkpoints,
        ledger::{self, EventRow},
        retention::{self, SegmentRow},
    },
};

/// Orphans of one round.
const PORTION: usize = 200;
/// A segment is appended to on its own day only. One without a row that is
/// older than two days can get neither bytes nor a row any more.
const ORPHAN_AGE: TimeDelta = TimeDelta::hours(49);
/// The note of orphans that are about to be destroyed.
const ORPHANS: &str = "retention/orphans";
/// The note that holds the mark of our store.
const MARK: &str = "blobs/mark";
/// Missing segments that a line of the log names.
const NAMED_MAX: usize = 8;

/// What a comparison of the store with the books found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Segments in which something lives, but which are not in the store.
    pub missing: Vec<SegmentId>,
    /// Segments in the store that no row knows.
    pub unknown: Vec<SegmentId>,
    /// Whether some segment of the books lies in the store.
    pub some_known: bool,
}

/// Compares the store with the books. A segment that comes or goes meanwhile
/// is in neither list.
pub async fn compare(db: &Db, blobs: &Blobs) -> Result<Compared, RetentionError> {
    let before = known(db).await?;
    let stored: HashSet<SegmentId> = blobs.list().await?.into_iter().collect();
    let after = known(db).await?;
    let was_known: HashSet<SegmentId> = before.iter().map(|row| row.id).collect();
    let is_known: HashSet<SegmentId> = after.iter().map(|row| row.id).collect();
    let missing = after.iter().filter(|row| row.live > 0 && was_known.contains(&row.id));
    let missing = missing.map(|row| row.id).filter(|id| !stored.contains(id)).collect();
    let unknown = stored.difference(&was_known).filter(|id| !is_known.contains(id));
    let mut unknown: Vec<SegmentId> = unknown.copied().collect();
    unknown.sort_unstable();
    let some_known = was_known.iter().any(|id| stored.contains(id));
    Ok(Compared { missing, unknown, some_known })
}

async fn known(db: &Db) -> Result<Vec<SegmentRow>, RetentionError> {
    let mut tx = db.read().await?;
    Ok(retention::known_segments(&mut tx, None).await?)
}

/// Whose store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// It has our mark.
    Ours,
    /// Neither the books nor the store have a mark yet.
    Nobodys,
    /// The books have a mark, and the store has none: it was emptied, or is
    /// another one.
    Bare,
    /// It has the mark of other books.
    Theirs,
}

/// Whether the store is the one that the books know.
pub async fn whose(db: &Db, blobs: &Blobs) -> Result<Whose, RetentionError> {
    let mut tx = db.read().await?;
    let ours = checkpoints::get(&mut tx, MARK).await?.map(|note| note.value);
    drop(tx);
    let found = blobs.mark().await?;
    Ok(match (ours, found) {
        (None, None) => Whose::Nobodys,
        (Some(_), None) => Whose::Bare,
        (Some(ours), Some(found)) if ours == found => Whose::Ours,
        (None | Some(_), Some(_)) => Whose::Theirs,
    })
}

impl Retention {
    /// Looks for what only the store or only the books have.
    pub(super) async fn compare_segments(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let Compared { missing, unknown, some_known } = compare(&self.db, &self.blobs).await?;
        self.tell_missing(&missing);
        let age = self.settings.segment_grace.max(ORPHAN_AGE);
        let old = unknown.into_iter().filter(|id| is_older(*id, age, now));
        let old: Vec<SegmentId> = old.take(PORTION).collect();
        // What is full of segments that we do not know, and of none that we do,
        // is most likely another's, whose mark is still to come.
        let may_be_ours = missing.is_empty() && (some_known || old.is_empty());
        if !self.is_our_store(now, may_be_ours).await? || old.is_empty() {
            return Ok(());
        }
        let note = old.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let mut tx = self.db.begin().await?;
        checkpoints::set(&mut tx, ORPHANS, now, &note).await?;
        tx.commit().await?;
        self.finish_orphans(now, done).await
    }

    /// Destroys the orphans that are noted, and says so in the log. One that
    /// cannot be destroyed stays noted and stops no other.
    pub(super) async fn finish_orphans(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let mut tx = self.db.read().await?;
        let note = checkpoints::get(&mut tx, ORPHANS).await?;
        drop(tx);
        let Some(note) = note.filter(|note| !note.value.is_empty()) else { return Ok(()) };
        let ids: Result<Vec<SegmentId>, _> = note.value.split(' ').map(str::parse).collect();
        let mut events: Vec<EventRow> = Vec::new();
        let (mut left, mut failed) = (Vec::new(), None);
        for segment in ids.map_err(|_| RetentionError::Note)? {
            match self.blobs.destroy(segment).await {
                Ok(()) | Err(BlobError::Gone) => {}
                // Somebody writes a segment of two days ago: the next round asks again.
                Err(BlobError::InUse) => continue,
                Err(error) => {
                    left.push(segment.to_string());
                    failed = failed.or(Some(error));
                    continue;
                }
            }
            let id = segment.0.as_bytes().as_slice();
            let facts = vec![("orphan", 1.into()), ("segment", id.into())];
            events.push(self.of_office(Kind::SegmentDestroyed, now, facts)?);
        }
        let mut tx = self.db.begin().await?;
        ledger::append(&mut tx, &events).await?;
        checkpoints::set(&mut tx, ORPHANS, now, &left.join(" ")).await?;
        tx.commit().await?;
        done.orphans = done.orphans.saturating_add(events.len());
        if !events.is_empty() {
            let count = events.len();
            tracing::warn!(count, "segments that no delivery knows were destroyed");
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Whether unknown segments are ours to destroy: never in the round that
    /// marks the store. Marks one that has no mark if it `may_be_ours`.
    async fn is_our_store(
        &self,
        now: DateTime<Utc>,
        may_be_ours: bool,
    ) -> Result<bool, RetentionError> {
        let mut whose = whose(&self.db, &self.blobs).await?;
        let bare = matches!(whose, Whose::Nobodys | Whose::Bare);
        if bare && may_be_ours {
            let mark = self.mark_of_books(now).await?;
            self.blobs.set_mark(&mark).await?;
            // Another process, or another office, may have been faster.
            whose = self::whose(&self.db, &self.blobs).await?;
        }
        let foreign = whose != Whose::Ours;
        let was_foreign =
            self.with_rounds(|rounds| std::mem::replace(&mut rounds.foreign, foreign));
        if foreign && !was_foreign {
            tracing::error!(
                "the store of sealed bytes is not the one that these books know (another bucket, \
                 prefix or folder, or a volume that is not mounted): nothing unknown in it is \
                 destroyed; see `kakitome check`"
            );
        }
        Ok(!foreign && !bare)
    }

    /// The mark that the books know; drawn where they know none.
    async fn mark_of_books(&self, now: DateTime<Utc>) -> Result<String, RetentionError> {
        let drawn = data_encoding::HEXLOWER.encode(&self.entropy.array::<16>()?);
        let mut tx = self.db.begin().await?;
        let mark = match checkpoints::get(&mut tx, MARK).await? {
            Some(note) => note.value,
            None => {
                checkpoints::set(&mut tx, MARK, now, &drawn).await?;
                drawn
            }
        };
        tx.commit().await?;
        Ok(mark)
    }

    fn tell_missing(&self, missing: &[SegmentId]) {
        let now: HashSet<SegmentId> = missing.iter().copied().collect();
        let was = self.with_rounds(|rounds| rounds.missing.replace(now.clone()));
        let was = was.unwrap_or_default();
        if missing.is_empty() {
            if !was.is_empty() {
                tracing::info!("no segment is missing any more");
            }
            return;
        }
        if was != now {
            let named: Vec<String> =
                missing.iter().take(NAMED_MAX).map(ToString::to_string).collect();
            let (count, segments) = (missing.len(), named.join(" "));
            tracing::error!(
                count,
                segments,
                "segments with documents are missing from the store: their links cannot be \
                 served; see `kakitome check`"
            );
        }
    }

    /// Segments with documents that were missing at the last round; none
    /// before the first.
    pub fn missing_segments(&self) -> Option<usize> {
        self.with_rounds(|rounds| rounds.missing.as_ref().map(HashSet::len))
    }
}
