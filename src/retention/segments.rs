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
//! that the books know, and without it nothing unknown is destroyed, and no
//! segment is begun.

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
/// Digits at the head of such a note.
const HEAD_DIGITS: usize = 16;
/// The note that holds the mark of our store, once it was seen to carry it.
const MARK: &str = "blobs/mark";
/// The note of a mark that our store is about to get.
const DRAWN: &str = "blobs/mark-drawn";
/// What no store carries.
const NOBODYS_MARK: &str = "";
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
    /// It was never marked.
    Nobodys,
    /// The books have a mark, and the store has none: its volume is not
    /// mounted, it was emptied, or it is another one.
    Bare,
    /// It has the mark of other books.
    Theirs,
}

/// Whether the store is the one that the books know.
pub async fn whose(db: &Db, blobs: &Blobs) -> Result<Whose, RetentionError> {
    let ours = mark_of_books(db).await?;
    let drawn = note(db, DRAWN).await?;
    let found = blobs.mark().await?;
    Ok(match (ours, found) {
        (None, None) => Whose::Nobodys,
        (Some(_), None) => Whose::Bare,
        (Some(ours), Some(found)) if ours == found => Whose::Ours,
        // Who marked it died before it was on the books.
        (None, found @ Some(_)) if drawn == found => Whose::Nobodys,
        (None | Some(_), Some(_)) => Whose::Theirs,
    })
}

/// The mark that our store carries; none before it got one.
pub async fn mark_of_books(db: &Db) -> Result<Option<String>, RetentionError> {
    note(db, MARK).await
}

/// Tells the store which mark it must carry, if the books know it. From then
/// on nothing is begun in a store that does not. Nor is anything begun in one
/// that carries another's mark and nothing of ours: its owner would take it for
/// orphans.
pub async fn expect_mark(db: &Db, blobs: &Blobs) -> Result<(), RetentionError> {
    if blobs.expects_mark() {
        return Ok(());
    }
    if let Some(mark) = mark_of_books(db).await? {
        blobs.expect_mark(&mark);
        return Ok(());
    }
    // In a store that is away nothing is begun anyway; it is asked again.
    if matches!(whose(db, blobs).await, Ok(Whose::Theirs)) && !compare(db, blobs).await?.some_known
    {
        blobs.expect_mark(NOBODYS_MARK);
    }
    Ok(())
}

async fn note(db: &Db, name: &str) -> Result<Option<String>, RetentionError> {
    let mut tx = db.read().await?;
    Ok(checkpoints::get(&mut tx, name).await?.map(|note| note.value))
}

/// Orphans, and what was noted before they were looked for.
#[derive(Clone, Debug)]
pub(super) struct Found {
    orphans: Vec<SegmentId>,
    noted: Option<String>,
}

/// The segments of a note, behind its head.
fn orphans_in(note: &str) -> Vec<&str> {
    let mut words: Vec<&str> = note.split(' ').filter(|word| !word.is_empty()).collect();
    if words.first().is_some_and(|head| head.len() == HEAD_DIGITS) {
        words.remove(0);
    }
    words
}

/// What a store without a mark looks like.
#[derive(Clone, Copy)]
struct Looks {
    /// All that the books need is in it.
    whole: bool,
    /// Something of the books is in it.
    known: bool,
    /// Nothing old in it is unknown to the books.
    new: bool,
}

impl Looks {
    /// Whether it may be marked. What is full of segments that we do not know,
    /// and of none that we do, is most likely another's, whose mark is still
    /// to come. Where ours has a mark, an empty one is most likely the place of
    /// a volume that is not mounted.
    const fn like_ours(self, whose: Whose) -> bool {
        match whose {
            Whose::Nobodys => self.whole && (self.known || self.new),
            Whose::Bare => self.whole && self.known,
            Whose::Ours | Whose::Theirs => false,
        }
    }
}

impl Retention {
    /// Looks for what only the store or only the books have.
    pub(super) async fn compare_segments(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        if let Some(found) = self.look_for_orphans(now).await?
            && self.note_orphans(&found, now).await?
        {
            self.finish_orphans(now, done).await?;
        }
        Ok(())
    }

    /// Compares, tells what is missing, and gives the orphans that may be
    /// destroyed; nothing while those that are noted are not finished.
    pub(super) async fn look_for_orphans(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Option<Found>, RetentionError> {
        // Read before the store is: who finishes what it says changes it, and
        // what is found here was found before that.
        let noted = note(&self.db, ORPHANS).await?;
        let Compared { missing, unknown, some_known } = compare(&self.db, &self.blobs).await?;
        self.tell_missing(&missing);
        let age = self.settings.segment_grace.max(ORPHAN_AGE);
        let old = unknown.into_iter().filter(|id| is_older(*id, age, now));
        let old: Vec<SegmentId> = old.take(PORTION).collect();
        let looks = Looks { whole: missing.is_empty(), known: some_known, new: old.is_empty() };
        let ours = self.is_our_store(now, looks).await?;
        let busy = noted.as_deref().is_some_and(|note| !orphans_in(note).is_empty());
        Ok((ours && !busy && !old.is_empty()).then_some(Found { orphans: old, noted }))
    }

    /// Notes orphans that are to be destroyed; `false` when another process
    /// noted or finished some since they were looked for.
    pub(super) async fn note_orphans(
        &self,
        found: &Found,
        now: DateTime<Utc>,
    ) -> Result<bool, RetentionError> {
        let note = self.orphans_note(&found.orphans)?;
        let mut tx = self.db.begin().await?;
        let read = found.noted.as_deref();
        let first = checkpoints::exchange(&mut tx, ORPHANS, read, now, &note).await?;
        tx.commit().await?;
        Ok(first)
    }

    /// A note that stands for itself: no other has the same digits at its head.
    fn orphans_note(&self, orphans: &[SegmentId]) -> Result<String, RetentionError> {
        let head = data_encoding::HEXLOWER.encode(&self.entropy.array::<8>()?);
        let ids = orphans.iter().map(ToString::to_string);
        Ok(std::iter::once(head).chain(ids).collect::<Vec<_>>().join(" "))
    }

    /// Destroys the orphans that are noted, and says so in the log. One that
    /// cannot be destroyed stays noted and stops no other. Of two processes
    /// that do so at once one writes down what became of a note.
    pub(super) async fn finish_orphans(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let Some(note) = note(&self.db, ORPHANS).await? else { return Ok(()) };
        let ids: Result<Vec<SegmentId>, _> =
            orphans_in(&note).iter().map(|id| id.parse()).collect();
        let ids = ids.map_err(|_| RetentionError::Note)?;
        if ids.is_empty() {
            return Ok(());
        }
        let mut events: Vec<EventRow> = Vec::new();
        let (mut left, mut failed) = (Vec::new(), None);
        for segment in ids {
            match self.blobs.destroy(segment).await {
                Ok(()) | Err(BlobError::Gone) => {}
                // Somebody writes a segment of two days ago: the next round asks again.
                Err(BlobError::InUse) => continue,
                Err(error) => {
                    left.push(segment);
                    failed = failed.or(Some(error));
                    continue;
                }
            }
            let id = segment.0.as_bytes().as_slice();
            let facts = vec![("orphan", 1.into()), ("segment", id.into())];
            events.push(self.of_office(Kind::SegmentDestroyed, now, facts)?);
        }
        let rest = self.orphans_note(&left)?;
        let mut tx = self.db.begin().await?;
        if checkpoints::exchange(&mut tx, ORPHANS, Some(&note), now, &rest).await? {
            ledger::append(&mut tx, &events).await?;
            tx.commit().await?;
            done.orphans = done.orphans.saturating_add(events.len());
            if !events.is_empty() {
                let count = events.len();
                tracing::warn!(count, "segments that no delivery knows were destroyed");
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Whether unknown segments are ours to destroy: never in the round that
    /// marks the store. Marks one that has no mark if it looks like ours.
    async fn is_our_store(&self, now: DateTime<Utc>, looks: Looks) -> Result<bool, RetentionError> {
        let mut whose = whose(&self.db, &self.blobs).await?;
        let bare = matches!(whose, Whose::Nobodys | Whose::Bare);
        if looks.like_ours(whose) {
            self.mark_store(now).await?;
            // Another process, or another office, may have been faster.
            whose = self::whose(&self.db, &self.blobs).await?;
        }
        expect_mark(&self.db, &self.blobs).await?;
        let foreign = whose != Whose::Ours;
        let was_foreign =
            self.with_rounds(|rounds| std::mem::replace(&mut rounds.foreign, foreign));
        if foreign && !was_foreign {
            tracing::error!(
                "the store of sealed bytes is not the one that these books know (another bucket, \
                 prefix or folder, or a volume that is not mounted): nothing unknown in it is \
                 destroyed; see `kakitome check`"
            );
        } else if was_foreign && !foreign {
            tracing::info!("the store of sealed bytes is the one that these books know");
        }
        Ok(!foreign && !bare)
    }

    /// Gives the store the mark that the books know; one that is drawn where
    /// they know none. On the books it counts once the store carries it, so
    /// that a death in between leaves no store that nobody may write to.
    async fn mark_store(&self, now: DateTime<Utc>) -> Result<(), RetentionError> {
        let mark = match mark_of_books(&self.db).await? {
            Some(mark) => mark,
            None => self.drawn_mark(now).await?,
        };
        self.blobs.set_mark(&mark).await?;
        if self.blobs.mark().await?.as_ref() == Some(&mark) {
            let mut tx = self.db.begin().await?;
            checkpoints::first(&mut tx, MARK, now, &mark).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// The mark that was drawn first.
    pub(super) async fn drawn_mark(&self, now: DateTime<Utc>) -> Result<String, RetentionError> {
        let drawn = data_encoding::HEXLOWER.encode(&self.entropy.array::<16>()?);
        let mut tx = self.db.begin().await?;
        checkpoints::first(&mut tx, DRAWN, now, &drawn).await?;
        let first = checkpoints::get(&mut tx, DRAWN).await?;
        tx.commit().await?;
        Ok(first.map_or(drawn, |note| note.value))
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
