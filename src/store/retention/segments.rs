//! Segments of sealed bytes, as the books know them: who opened them, how many
//! artifacts in them live, whether they are gone.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    domain::ids::{Epoch, SegmentId},
    store::{
        StoreError, Tx,
        cells::{Cells, micros},
        error::Doing as _,
        execute,
        run::Rows as _,
        statements::{Statement, both},
        with_conn,
    },
};

/// A segment on the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// The segment.
    pub id: SegmentId,
    /// When its first artifact was recorded.
    pub opened_at: DateTime<Utc>,
    /// Who appends to it.
    pub epoch: Epoch,
    /// How many artifacts in it are not purged.
    pub live: i64,
    /// How many were ever recorded.
    pub sealed_count: i64,
    /// Since when nobody appends to it.
    pub closed_at: Option<DateTime<Utc>>,
    /// When its bytes were destroyed.
    pub destroyed_at: Option<DateTime<Utc>>,
}

const EMPTY: &str = "
    -- empty_segments
    SELECT s.id FROM segments s LEFT JOIN workers k ON k.epoch = s.epoch
    WHERE s.destroyed_at IS NULL AND s.live <= 0
      AND (s.closed_at < $1 OR k.stopped_at < $1 OR k.alive_until < $1
           OR (k.epoch IS NULL AND s.opened_at < $1))
    ORDER BY s.id
";

/// Segments in which nothing lives and to which nobody appends any more: they
/// were closed, or their epoch died, more than `grace` before `now`.
pub async fn empty_segments(
    tx: &mut Tx,
    now: DateTime<Utc>,
    grace: TimeDelta,
) -> Result<Vec<SegmentId>, StoreError> {
    let before = now.checked_sub_signed(grace).unwrap_or(DateTime::UNIX_EPOCH);
    let ids =
        with_conn!(tx, |conn| sqlx::query(EMPTY).bind(before.timestamp_micros()).ids(conn).await)
            .doing("look for empty segments")?;
    Ok(ids.into_iter().map(SegmentId).collect())
}

const CLOSE: &str = "
    -- close_segments
    UPDATE segments SET closed_at = $1 WHERE id = $2 AND closed_at IS NULL
";

/// Nobody appends to these segments any more.
pub async fn close_segments(
    tx: &mut Tx,
    segments: &[SegmentId],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for segment in segments {
        execute!(tx, "close a segment", CLOSE, now.timestamp_micros(), segment.0).map(drop)?;
    }
    Ok(())
}

const DESTROYED: &str = "
    -- segment_destroyed
    UPDATE segments SET destroyed_at = $1
    WHERE id = $2 AND live <= 0 AND destroyed_at IS NULL
";

/// The segment's bytes are gone. False when that was on record already, or
/// when something in it lives, which then is a bug worth shouting about.
pub async fn segment_destroyed(
    tx: &mut Tx,
    segment: SegmentId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let rows =
        execute!(tx, "record a destroyed segment", DESTROYED, now.timestamp_micros(), segment.0)?;
    Ok(rows == 1)
}

const KNOWN: &str = "
    -- known_segments
    SELECT s.id, s.opened_at, s.epoch, s.live, s.sealed_count, s.closed_at, s.destroyed_at
    FROM segments s WHERE s.destroyed_at IS NULL OR s.destroyed_at > $1
    ORDER BY s.id
";

/// Every segment that is not destroyed, and those that were since
/// `destroyed_since`: to tell an orphan on disk from a segment in use.
pub async fn known_segments(
    tx: &mut Tx,
    destroyed_since: Option<DateTime<Utc>>,
) -> Result<Vec<SegmentRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(KNOWN)
        .bind(micros(destroyed_since).unwrap_or(i64::MAX))
        .all(conn)
        .await
        .doing("list segments")?
        .iter()
        .map(segment_row)
        .collect())
}

fn segment_row(row: &impl Cells) -> Result<SegmentRow, StoreError> {
    Ok(SegmentRow {
        id: SegmentId(row.uuid("id")?),
        opened_at: row.time("opened_at")?,
        epoch: Epoch(row.uuid("epoch")?),
        live: row.int("live")?,
        sealed_count: row.int("sealed_count")?,
        closed_at: row.time_opt("closed_at")?,
        destroyed_at: row.time_opt("destroyed_at")?,
    })
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    both("retention::empty_segments", EMPTY),
    both("retention::close_segments", CLOSE),
    both("retention::segment_destroyed", DESTROYED),
    both("retention::known_segments", KNOWN),
];
