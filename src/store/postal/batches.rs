//! Batches: letters that go to a partner together, and the crash in between.
//!
//! A batch stands on the books before it leaves, with the marker set on each
//! of its rows; handing the same batch over again after a crash is what the
//! partner's idempotency is for. Its id never changes.

use chrono::{DateTime, Utc};

use super::{PieceRow, PieceState, piece_columns, piece_row};
use crate::{
    domain::ids::{BatchId, Epoch, JobId},
    store::{
        StoreError, Tx,
        cells::Cells,
        error::Doing as _,
        execute, handouts, jobs,
        run::{Change as _, Rows as _},
        statements::{Statement, both, each},
        with_conn,
        work::{Leased, work_columns, work_row},
    },
};

/// A batch of letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRow {
    /// The batch.
    pub id: BatchId,
    /// The partner it goes to.
    pub partner: String,
    /// The partner's collection that it was made for.
    pub cutoff_at: DateTime<Utc>,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// When the partner gave its receipt.
    pub handed_at: Option<DateTime<Utc>>,
    /// How many letters are in it.
    pub piece_count: i64,
}

macro_rules! ready_sql {
    ($lock:literal) => {
        concat!(
            "-- ready_pieces
            SELECT ",
            work_columns!(),
            " FROM pieces p JOIN work w ON w.job_id = p.job_id
            WHERE p.partner = $1 AND p.batch IS NULL AND p.state = 'waiting'
              AND w.lease_epoch IS NULL AND w.step = 'hand_over' AND w.run_at <= $2
            ORDER BY w.run_at, w.job_id LIMIT $3 ",
            $lock
        )
    };
}
const READY_SQLITE: &str = ready_sql!("");
const READY_POSTGRES: &str = ready_sql!("FOR UPDATE OF w SKIP LOCKED");
const LEASE: &str = "
    -- ready_pieces: lease
    UPDATE work
    SET lease_epoch = $1, attempt = attempt + 1, first_try_at = COALESCE(first_try_at, $2)
    WHERE job_id = $3 AND lease_epoch IS NULL
";

/// Leases letters that are due for this partner, the longest due first.
pub async fn ready_pieces(
    tx: &mut Tx,
    epoch: Epoch,
    partner: &str,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Leased>, StoreError> {
    let act = "claim letters";
    let sql = match tx {
        Tx::Sqlite(_) => READY_SQLITE,
        Tx::Postgres(_) => READY_POSTGRES,
    };
    let rows = with_conn!(&mut *tx, |conn| sqlx::query(sql)
        .bind(partner)
        .bind(now.timestamp_micros())
        .bind(limit)
        .all(conn)
        .await
        .doing(act)?
        .iter()
        .map(work_row)
        .collect::<Result<Vec<_>, StoreError>>())?;
    let mut leased = vec![];
    for mut work in rows {
        execute!(tx, act, LEASE, epoch.0, now.timestamp_micros(), work.job.0).map(drop)?;
        let Some(job) = jobs::get(tx, None, work.job).await? else { continue };
        work.attempt = work.attempt.saturating_add(1);
        work.first_try_at = work.first_try_at.or(Some(now));
        leased.push(Leased::of(job, &work));
    }
    Ok(leased)
}

const JOIN_BATCH: &str = "
    -- make_batch: piece
    UPDATE pieces SET batch = $1, state = 'batched'
    WHERE job_id = $2 AND batch IS NULL AND state = 'waiting'
      AND EXISTS (SELECT 1 FROM work w
                  WHERE w.job_id = $2 AND w.lease_epoch = $3 AND w.step = 'hand_over')
";
const MARK: &str = "
    -- make_batch: work
    UPDATE work SET sending_since = $1 WHERE job_id = $2 AND lease_epoch = $3
";
const INSERT: &str = "
    -- make_batch
    INSERT INTO batches (id, partner, cutoff_at, made_at, handed_at, piece_count)
    VALUES ($1, $2, $3, $4, NULL, $5)
";

/// Puts letters that I hold into a batch, sets their markers and reserves what
/// is about to leave; answers which are in it. Without a single one there is no batch.
pub async fn make_batch(
    tx: &mut Tx,
    epoch: Epoch,
    batch: &BatchRow,
    jobs: &[JobId],
) -> Result<Vec<JobId>, StoreError> {
    let act = "make a batch";
    let mut members = vec![];
    for job in jobs {
        // The work row first, as everywhere.
        let work = crate::store::work::lock(tx, *job).await?;
        if work.is_none_or(|work| work.lease != Some(epoch)) {
            continue;
        }
        with_conn!(&mut *tx, |conn| {
            let joined = sqlx::query(JOIN_BATCH).bind(batch.id.0).bind(job.0).bind(epoch.0);
            let joined = joined.run(&mut *conn).await.doing(act)?;
            if joined == 1 {
                sqlx::query(MARK)
                    .bind(batch.made_at.timestamp_micros())
                    .bind(job.0)
                    .bind(epoch.0)
                    .run(conn)
                    .await
                    .doing(act)?;
                members.push(*job);
            }
        });
        if members.last() == Some(job) {
            let (partner, at) = (batch.partner.as_str(), batch.made_at);
            handouts::letter_leaves(tx, *job, batch.id, epoch, partner, at).await?;
        }
    }
    if !members.is_empty() {
        execute!(
            tx,
            act,
            INSERT,
            batch.id.0,
            batch.partner.as_str(),
            batch.cutoff_at.timestamp_micros(),
            batch.made_at.timestamp_micros(),
            i64::try_from(members.len()).unwrap_or(i64::MAX)
        )
        .map(drop)?;
    }
    Ok(members)
}

const ADOPT: &str = "
    -- adopt_batch
    UPDATE work SET lease_epoch = $1
    WHERE job_id IN (SELECT p.job_id FROM pieces p WHERE p.batch = $2)
      AND NOT EXISTS (SELECT 1 FROM workers k
                      WHERE k.epoch = work.lease_epoch AND k.stopped_at IS NULL
                        AND k.alive_until >= $3)
";
const STRANGERS: &str = "
    -- adopt_batch: strangers
    SELECT COUNT(*) FROM work w JOIN pieces p ON p.job_id = w.job_id
    WHERE p.batch = $1 AND (w.lease_epoch IS NULL OR w.lease_epoch <> $2)
";

/// Takes over a batch whose maker is dead. True when all of it is mine now,
/// so that it may be handed over again under the same id.
pub async fn adopt_batch(
    tx: &mut Tx,
    epoch: Epoch,
    batch: BatchId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let act = "take a batch over";
    let strangers = with_conn!(tx, |conn| {
        sqlx::query(ADOPT)
            .bind(epoch.0)
            .bind(batch.0)
            .bind(now.timestamp_micros())
            .run(&mut *conn)
            .await
            .doing(act)?;
        sqlx::query(STRANGERS).bind(batch.0).bind(epoch.0).number(conn).await
    })
    .doing(act)?;
    Ok(strangers == 0)
}

const HANDED: &str = "
    -- batch_handed
    UPDATE batches SET handed_at = $1 WHERE id = $2 AND handed_at IS NULL
";
const PIECES_HANDED: &str = "
    -- batch_handed: pieces
    UPDATE pieces SET state = $1, handed_at = $2, silent_after = $3
    WHERE batch = $4 AND state = 'batched'
    RETURNING job_id
";
const WORK_DONE: &str = "
    -- batch_handed: work
    DELETE FROM work WHERE job_id IN (SELECT p.job_id FROM pieces p WHERE p.batch = $1)
";

/// The partner gave its receipt: answers the letters that are handed over now,
/// for their events. Empty when that was on record already.
pub async fn batch_handed(
    tx: &mut Tx,
    batch: BatchId,
    at: DateTime<Utc>,
    silent_after: DateTime<Utc>,
) -> Result<Vec<JobId>, StoreError> {
    let act = "record a hand-over";
    let ids = with_conn!(tx, |conn| {
        let first = sqlx::query(HANDED).bind(at.timestamp_micros()).bind(batch.0);
        if first.run(&mut *conn).await.doing(act)? != 1 {
            return Ok(vec![]);
        }
        sqlx::query(WORK_DONE).bind(batch.0).run(&mut *conn).await.doing(act)?;
        sqlx::query(PIECES_HANDED)
            .bind(PieceState::Handed.word())
            .bind(at.timestamp_micros())
            .bind(silent_after.timestamp_micros())
            .bind(batch.0)
            .ids(conn)
            .await
            .doing(act)?
    });
    let mut jobs: Vec<JobId> = ids.into_iter().map(JobId).collect();
    jobs.sort_unstable();
    for job in &jobs {
        handouts::letter_went(tx, *job, batch, at).await?;
    }
    Ok(jobs)
}

const PIECES_OF: &str = concat!(
    "-- pieces_of\nSELECT ",
    piece_columns!(),
    " FROM pieces p WHERE p.batch = $1 ORDER BY p.job_id"
);

/// The letters of a batch, in the order of their acceptance.
pub async fn pieces_of(tx: &mut Tx, batch: BatchId) -> Result<Vec<PieceRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(PIECES_OF)
        .bind(batch.0)
        .all(conn)
        .await
        .doing("list a batch")?
        .iter()
        .map(piece_row)
        .collect())
}

const UNFINISHED: &str = "
    -- unfinished_batches
    SELECT b.id, b.partner, b.cutoff_at, b.made_at, b.handed_at, b.piece_count
    FROM batches b WHERE b.partner = $1 AND b.handed_at IS NULL ORDER BY b.id
";

/// Batches that were made and have no receipt.
pub async fn unfinished_batches(tx: &mut Tx, partner: &str) -> Result<Vec<BatchRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(UNFINISHED)
        .bind(partner)
        .all(conn)
        .await
        .doing("list unfinished batches")?
        .iter()
        .map(batch_row)
        .collect())
}

fn batch_row(row: &impl Cells) -> Result<BatchRow, StoreError> {
    Ok(BatchRow {
        id: BatchId(row.uuid("id")?),
        partner: row.text("partner")?,
        cutoff_at: row.time("cutoff_at")?,
        made_at: row.time("made_at")?,
        handed_at: row.time_opt("handed_at")?,
        piece_count: row.int("piece_count")?,
    })
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    each("postal::ready_pieces", READY_SQLITE, READY_POSTGRES),
    both("postal::ready_pieces lease", LEASE),
    both("postal::make_batch piece", JOIN_BATCH),
    both("postal::make_batch work", MARK),
    both("postal::make_batch", INSERT),
    both("postal::adopt_batch", ADOPT),
    both("postal::adopt_batch strangers", STRANGERS),
    both("postal::batch_handed", HANDED),
    both("postal::batch_handed pieces", PIECES_HANDED),
    both("postal::batch_handed work", WORK_DONE),
    both("postal::pieces_of", PIECES_OF),
    both("postal::unfinished_batches", UNFINISHED),
];
