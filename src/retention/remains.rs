//! What is left when the documents are dead: segments, mail keys, partitions.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::{Done, Retention, RetentionError};
use crate::{
    blobs::BlobError,
    domain::{
        ids::SegmentId,
        log::{Actor, Fact, Kind},
    },
    store::{
        checkpoints,
        ledger::{self, DetailKey, EventDraft, EventRow},
        retention, workers,
    },
};

/// Segments and hours of one tick.
const PORTION: usize = 200;
const HOURS: &str = "retention/hours";

impl Retention {
    /// Destroys segments in which nothing lives: bytes first, then the row.
    pub(super) async fn destroy_segments(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let mut tx = self.db.begin().await?;
        // A segment whose process is dead gets nothing more.
        let dead = workers::dead_epochs(&mut tx, now).await?;
        retention::close_segments(&mut tx, &dead, now).await?;
        tx.commit().await?;
        let mut tx = self.db.read().await?;
        let empty = retention::empty_segments(&mut tx, now, self.settings.segment_grace).await?;
        let known = retention::known_segments(&mut tx).await?;
        drop(tx);
        for segment in empty.into_iter().take(PORTION) {
            if !self.destroy_bytes(segment).await? {
                continue;
            }
            let id = segment.0.as_bytes().as_slice();
            let event = self.of_office(Kind::SegmentDestroyed, now, vec![("segment", id.into())])?;
            let mut tx = self.db.begin().await?;
            retention::segment_destroyed(&mut tx, segment, now).await?;
            ledger::append(&mut tx, &[event]).await?;
            tx.commit().await?;
            done.segments = done.segments.saturating_add(1);
        }
        self.destroy_orphans(&known.into_iter().collect(), now, done).await
    }

    /// Destroys segments that no row knows: written, but never committed.
    async fn destroy_orphans(
        &self,
        known: &HashSet<SegmentId>,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let orphans = self.blobs.list().await?.into_iter().filter(|id| !known.contains(id));
        for segment in orphans.filter(|id| self.is_old(*id, now)).take(PORTION) {
            let gone = self.destroy_bytes(segment).await?;
            done.segments = done.segments.saturating_add(usize::from(gone));
        }
        Ok(())
    }

    /// False when somebody is still writing it.
    async fn destroy_bytes(&self, segment: SegmentId) -> Result<bool, RetentionError> {
        match self.blobs.destroy(segment).await {
            Ok(()) | Err(BlobError::Gone) => Ok(true),
            Err(BlobError::InUse) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a segment is older than any batch can wait to be written down.
    fn is_old(&self, segment: SegmentId, now: DateTime<Utc>) -> bool {
        let Some((seconds, nanos)) = segment.0.get_timestamp().map(|stamp| stamp.to_unix()) else {
            return false;
        };
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let opened = DateTime::from_timestamp(seconds, nanos);
        let until = opened.and_then(|opened| opened.checked_add_signed(self.settings.segment_grace));
        until.is_some_and(|until| until <= now)
    }

    /// Destroys the keys of hours whose mails are all settled, written down
    /// before and reported after like the keys of a day.
    pub(super) async fn destroy_mail_keys(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        self.finish_hours(now, done).await?;
        let mut hours = Vec::new();
        // A mail sealed in the last second of an hour is on the books in the
        // next one: an hour is left alone until another full one has passed.
        let before = now.timestamp().div_euclid(3_600).saturating_sub(1);
        let live = self.keys.live_mail_hours_before(before).await?;
        let mut tx = self.db.read().await?;
        for hour in live {
            if hours.len() < PORTION && retention::unsettled_on_mail_hour(&mut tx, hour).await? == 0 {
                hours.push(hour);
            }
        }
        drop(tx);
        if hours.is_empty() {
            return Ok(());
        }
        let note = hours.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
        let mut tx = self.db.begin().await?;
        checkpoints::set(&mut tx, HOURS, now, &note).await?;
        tx.commit().await?;
        self.finish_hours(now, done).await
    }

    async fn finish_hours(&self, now: DateTime<Utc>, done: &mut Done) -> Result<(), RetentionError> {
        let mut tx = self.db.read().await?;
        let note = checkpoints::get(&mut tx, HOURS).await?;
        drop(tx);
        let Some(note) = note.filter(|note| !note.value.is_empty()) else { return Ok(()) };
        let hours: Result<Vec<i64>, _> = note.value.split(' ').map(str::parse).collect();
        let hours = hours.map_err(|_| RetentionError::Note)?;
        self.keys.destroy_mail_hours(&hours).await?;
        let event = |hour: &i64| {
            self.of_office(
                Kind::KeyDestroyed,
                now,
                vec![("key", "mail".into()), ("mail_hour", (*hour).into())],
            )
        };
        let events: Vec<EventRow> = hours.iter().map(event).collect::<Result<_, _>>()?;
        let mut tx = self.db.begin().await?;
        ledger::append(&mut tx, &events).await?;
        checkpoints::set(&mut tx, HOURS, now, "").await?;
        tx.commit().await?;
        done.mail_keys = done.mail_keys.saturating_add(hours.len());
        Ok(())
    }

    /// Drops partitions of months in which everything is purged.
    pub(super) async fn drop_months(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let mut tx = self.db.read().await?;
        let months = retention::droppable_months(&mut tx, now).await?;
        drop(tx);
        for month in months {
            let mut tx = self.db.begin().await?;
            retention::drop_month(&mut tx, &month).await?;
            tx.commit().await?;
            done.months = done.months.saturating_add(1);
        }
        Ok(())
    }

    fn of_office(
        &self,
        kind: Kind,
        at: DateTime<Utc>,
        facts: Vec<(&'static str, Fact)>,
    ) -> Result<EventRow, RetentionError> {
        Ok(self.scribe.event(EventDraft {
            tenant: &self.settings.office,
            job: None,
            at,
            kind,
            actor: Actor::Retention,
            code: None,
            facts,
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?)
    }
}
