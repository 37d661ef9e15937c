//! What is left when the documents are dead: segments, mail keys, partitions.

use std::{
    collections::{HashMap, HashSet},
    sync::PoisonError,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Done, Retention, RetentionError};
use crate::{
    blobs::BlobError,
    domain::{
        ids::{Epoch, SegmentId},
        log::{Actor, Fact, Kind},
    },
    store::{
        checkpoints,
        keyring::hours,
        ledger::{self, DetailKey, EventDraft, EventRow},
        retention::{self, SegmentRow},
    },
};

/// Segments and hours of one tick.
const PORTION: usize = 200;
/// Rows of one step through the keys of old jobs.
const KEYS_STEP: i64 = 1_000;
const HOURS: &str = "retention/hours";

/// What is only done once in a while: it looks at everything there is.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    last: Option<DateTime<Utc>>,
    keys_cursor: Vec<u8>,
    /// Segments that were missing at the last round.
    pub(super) missing: Option<HashSet<SegmentId>>,
    /// Whether the store was another's at the last round.
    pub(super) foreign: bool,
}

/// How long after one round the next one is made.
const BETWEEN_ROUNDS: TimeDelta = TimeDelta::hours(1);
/// The time before a round that failed is made again.
const BEFORE_A_RETRY: TimeDelta = TimeDelta::minutes(5);

impl Retention {
    /// Destroys segments in which nothing lives: bytes first, then the row.
    pub(super) async fn destroy_segments(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let mut tx = self.db.read().await?;
        let empty = retention::empty_segments(&mut tx, now, self.settings.segment_grace).await?;
        drop(tx);
        let mut failed = None;
        for segment in empty.into_iter().take(PORTION) {
            match self.destroy_bytes(segment).await {
                Ok(true) => {}
                Ok(false) => continue,
                // One that cannot be destroyed stops no other.
                Err(error) => {
                    failed = failed.or(Some(error));
                    continue;
                }
            }
            let id = segment.0.as_bytes().as_slice();
            let event =
                self.of_office(Kind::SegmentDestroyed, now, vec![("segment", id.into())])?;
            let mut tx = self.db.begin().await?;
            if retention::segment_destroyed(&mut tx, segment, now).await? {
                ledger::append(&mut tx, &[event]).await?;
                done.segments = done.segments.saturating_add(1);
            }
            tx.commit().await?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Once an hour: closes segments that nobody appends to any more, drops
    /// months in which everything is purged, forgets the keys of jobs that left
    /// the books long ago, and compares the store with the books.
    pub(super) async fn make_rounds(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        if !self.is_time_for_rounds(now) {
            return Ok(());
        }
        let ended = self.round(now, done).await;
        if ended.is_err() {
            let last = now.checked_sub_signed(BETWEEN_ROUNDS);
            let last = last.and_then(|last| last.checked_add_signed(BEFORE_A_RETRY));
            self.with_rounds(|rounds| rounds.last = last);
        }
        ended
    }

    async fn round(&self, now: DateTime<Utc>, done: &mut Done) -> Result<(), RetentionError> {
        let mut tx = self.db.read().await?;
        let known = retention::known_segments(&mut tx, None).await?;
        drop(tx);
        self.close_left_behind(&known, now).await?;
        self.drop_months(now, done).await?;
        self.forget_keys(now).await?;
        // Last, because the store may be away.
        self.compare_segments(now, done).await
    }

    fn is_time_for_rounds(&self, now: DateTime<Utc>) -> bool {
        self.with_rounds(|rounds| {
            let since = rounds.last.map(|last| now.signed_duration_since(last));
            let due =
                since.is_none_or(|since| since >= BETWEEN_ROUNDS || since < TimeDelta::zero());
            if due {
                rounds.last = Some(now);
            }
            due
        })
    }

    pub(super) fn with_rounds<T>(&self, act: impl FnOnce(&mut Rounds) -> T) -> T {
        act(&mut self.rounds.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A process appends to its newest segment only; the older ones of the
    /// same process are closed once no batch can be waiting for its commit.
    async fn close_left_behind(
        &self,
        known: &[SegmentRow],
        now: DateTime<Utc>,
    ) -> Result<(), RetentionError> {
        let mut newest: HashMap<Epoch, SegmentId> = HashMap::new();
        for row in known {
            let latest = newest.entry(row.epoch).or_insert(row.id);
            *latest = row.id.max(*latest);
        }
        let left: Vec<SegmentId> = known
            .iter()
            .filter(|row| row.closed_at.is_none() && newest.get(&row.epoch) != Some(&row.id))
            .filter(|row| is_older(row.id, self.settings.segment_grace, now))
            .map(|row| row.id)
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        retention::close_segments(&mut tx, &left, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes one step through the keys of jobs.
    async fn forget_keys(&self, now: DateTime<Utc>) -> Result<(), RetentionError> {
        let Some(before) = now.checked_sub_signed(self.settings.dedupe_kept) else { return Ok(()) };
        let mut cursor = self.with_rounds(|rounds| rounds.keys_cursor.clone());
        let mut tx = self.db.begin().await?;
        retention::forget_keys(&mut tx, before, &mut cursor, KEYS_STEP).await?;
        tx.commit().await?;
        self.with_rounds(|rounds| rounds.keys_cursor = cursor);
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

    /// Destroys the keys of hours whose mails are all settled, written down
    /// before and reported after like the keys of a day.
    pub(super) async fn destroy_mail_keys(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        self.finish_hours(now, done).await?;
        let live = self.keys.live_mail_hours_before(hours::first_kept(now)).await?;
        if live.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.read().await?;
        let needed: HashSet<i64> =
            retention::needed_mail_hours(&mut tx).await?.into_iter().collect();
        drop(tx);
        let settled = live.into_iter().filter(|hour| !needed.contains(hour));
        let hours: Vec<i64> = settled.take(PORTION).collect();
        if hours.is_empty() {
            return Ok(());
        }
        let note = hours.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
        let mut tx = self.db.begin().await?;
        checkpoints::set(&mut tx, HOURS, now, &note).await?;
        tx.commit().await?;
        self.finish_hours(now, done).await
    }

    async fn finish_hours(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
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
    async fn drop_months(&self, now: DateTime<Utc>, done: &mut Done) -> Result<(), RetentionError> {
        let Some(before) = now.checked_sub_signed(self.settings.rows_kept) else { return Ok(()) };
        let mut tx = self.db.read().await?;
        let months = retention::droppable_months(&mut tx, before).await?;
        drop(tx);
        for month in months {
            let mut tx = self.db.begin().await?;
            let dropped = retention::drop_month(&mut tx, &month).await?;
            tx.commit().await?;
            done.months = done.months.saturating_add(usize::from(dropped));
        }
        Ok(())
    }

    pub(super) fn of_office(
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

/// Whether a segment was named longer than `age` ago; its id carries the time.
pub(super) fn is_older(segment: SegmentId, age: TimeDelta, now: DateTime<Utc>) -> bool {
    let stamp = segment.0.get_timestamp().map(|stamp| stamp.to_unix());
    let Some((seconds, nanos)) = stamp else { return false };
    let opened = i64::try_from(seconds).ok().and_then(|s| DateTime::from_timestamp(s, nanos));
    let until = opened.and_then(|opened| opened.checked_add_signed(age));
    until.is_some_and(|until| until <= now)
}
