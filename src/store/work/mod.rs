//! What is in flight: one small row per delivery that still has to move.
//!
//! A row is leased to an epoch, one life of one process, and comes free again
//! when that epoch is dead; leases carry no deadline of their own. Every write
//! that follows a lease names the epoch, so that a worker who was given up for
//! dead changes nothing any more. `sending_since` is the marker set before a
//! mail may leave: a row that has it is never simply sent again.
//!
//! The row is locked before the delivery's own row, everywhere.

use chrono::{DateTime, Utc};

use super::{
    StoreError, Tx,
    cells::Cells,
    error::Doing as _,
    execute,
    jobs::{self, JobRow},
    ledger::{self, EventRow},
    run::Rows as _,
    statements::{Statement, both, each},
    with_conn,
};
use crate::domain::{
    ids::{Epoch, JobId, TenantId},
    stage::Stage,
};

pub mod claim;
pub mod dispatch;
pub mod mark;
pub mod moves;
pub mod person;
pub mod reissue;
pub mod seal;
mod sealed;

pub use claim::{Leased, claim};
pub use dispatch::{DispatchedJob, dispatched_now};
pub use mark::mark_sending_now;
pub use moves::{ambiguous, park, undeliverable};
pub use person::{CancelAnswer, RecallAnswer, cancel, hold, recall, retry_by_person};
pub use reissue::{Reissue, ReissueAnswer, recomposed, reissue, reissued};
pub use seal::seal_now;
pub use sealed::{NewLink, Next, SealedJob, SealedMail};

/// What has to be done next for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Render and seal the document.
    Seal,
    /// Send the sealed mail.
    Send,
    /// Hand the letter to the print partner.
    HandOver,
    /// Send a mail with a link that is issued again; the delivery stays where
    /// it stands.
    Resend,
    /// Remind of a link that nobody has opened; the delivery stays where it
    /// stands.
    Remind,
}

impl Step {
    /// Every step, in the order of the journey.
    pub const ALL: [Self; 5] = [Self::Seal, Self::Send, Self::HandOver, Self::Resend, Self::Remind];

    /// The word stored in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Send => "send",
            Self::HandOver => "hand_over",
            Self::Resend => "resend",
            Self::Remind => "remind",
        }
    }

    /// The step with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.word() == word)
    }
}

/// A work row as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkRow {
    /// The delivery.
    pub job: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What has to be done.
    pub step: Step,
    /// Not before this instant.
    pub run_at: DateTime<Utc>,
    /// How often the step was begun, the present attempt included.
    pub attempt: i64,
    /// How many workers died holding it.
    pub crashes: i64,
    /// When the step was first begun.
    pub first_try_at: Option<DateTime<Utc>>,
    /// Who holds it.
    pub lease: Option<Epoch>,
    /// Since when its mail may have left.
    pub sending_since: Option<DateTime<Utc>>,
}

/// Every column of a work row, of a table called `w`.
macro_rules! work_columns {
    () => {
        "w.job_id, w.tenant AS work_tenant, w.step, w.run_at, w.attempt, w.crashes, \
         w.first_try_at, w.lease_epoch, w.sending_since"
    };
}
pub(crate) use work_columns;

pub(super) fn work_row(row: &impl Cells) -> Result<WorkRow, StoreError> {
    Ok(WorkRow {
        job: JobId(row.uuid("job_id")?),
        tenant: row.tenant("work_tenant")?,
        step: step_of(row)?,
        run_at: row.time("run_at")?,
        attempt: row.int("attempt")?,
        crashes: row.int("crashes")?,
        first_try_at: row.time_opt("first_try_at")?,
        lease: row.uuid_opt("lease_epoch")?.map(Epoch),
        sending_since: row.time_opt("sending_since")?,
    })
}

/// Reads the column `step`.
pub(super) fn step_of(row: &impl Cells) -> Result<Step, StoreError> {
    row.word("step", "the word of a step", Step::parse)
}

macro_rules! lock_sql {
    ($lock:literal) => {
        concat!("-- lock\nSELECT ", work_columns!(), " FROM work w WHERE w.job_id = $1 ", $lock)
    };
}
const LOCK_SQLITE: &str = lock_sql!("");
const LOCK_POSTGRES: &str = lock_sql!("FOR UPDATE");

/// The work row of a delivery, if it has one; it stays as it is until the
/// transaction ends.
pub async fn lock(tx: &mut Tx, job: JobId) -> Result<Option<WorkRow>, StoreError> {
    let sql = match tx {
        Tx::Sqlite(_) => LOCK_SQLITE,
        Tx::Postgres(_) => LOCK_POSTGRES,
    };
    with_conn!(tx, |conn| sqlx::query(sql)
        .bind(job.0)
        .optional(conn)
        .await
        .doing("lock a work row")?
        .map(|row| work_row(&row))
        .transpose())
}

/// The delivery and its work row, locked in the agreed order.
pub(super) async fn lock_both(
    tx: &mut Tx,
    job: JobId,
) -> Result<Option<(JobRow, Option<WorkRow>)>, StoreError> {
    let work = lock(tx, job).await?;
    Ok(jobs::lock(tx, job).await?.map(|job| (job, work)))
}

const DELETE: &str = "
    -- delete
    DELETE FROM work WHERE job_id = $1
";

/// Nothing is left to do for a delivery.
pub(super) async fn delete(tx: &mut Tx, job: JobId) -> Result<(), StoreError> {
    execute!(tx, "end a job's work", DELETE, job.0)?;
    Ok(())
}

const RETRY: &str = "
    -- retry_later
    UPDATE work SET lease_epoch = NULL, sending_since = NULL, run_at = $1
    WHERE job_id = $2 AND lease_epoch = $3
";

/// Puts a row of mine off until `run_at`, lease and marker gone, and logs
/// `event`. False, and nothing is written, when the row is not mine any more;
/// the row just ends when its delivery came to rest meanwhile.
pub async fn retry_later(
    tx: &mut Tx,
    epoch: Epoch,
    job: JobId,
    run_at: DateTime<Utc>,
    event: Option<EventRow>,
) -> Result<bool, StoreError> {
    let Some((row, Some(work))) = lock_both(tx, job).await? else { return Ok(false) };
    if work.lease != Some(epoch) {
        return Ok(false);
    }
    let goes_on = match work.step {
        Step::Resend if reissue::reissues_at(row.stage) => true,
        Step::Remind => row.stage == Stage::Dispatched,
        Step::Seal | Step::Send | Step::HandOver | Step::Resend => {
            matches!(row.stage, Stage::Accepted | Stage::Sealed)
        }
    };
    if goes_on {
        execute!(tx, "put a job off", RETRY, run_at.timestamp_micros(), job.0, epoch.0)?;
    } else {
        delete(tx, job).await?;
    }
    if let Some(event) = event {
        ledger::append(tx, &[event]).await?;
    }
    Ok(true)
}

const GIVE_BACK: &str = "
    -- give_back
    UPDATE work SET lease_epoch = NULL, sending_since = NULL, attempt = attempt - 1,
        run_at = CASE WHEN run_at < $3 THEN $3 ELSE run_at END
    WHERE job_id = $1 AND lease_epoch = $2
";

/// Returns rows of mine: not an attempt. Only for rows whose mail has certainly
/// not left. Nobody takes them before `not_before`: at once at shutdown, later
/// when trouble of our own is the cause. Returns how many were still mine.
pub async fn give_back(
    tx: &mut Tx,
    epoch: Epoch,
    jobs: &[JobId],
    not_before: Option<DateTime<Utc>>,
) -> Result<u64, StoreError> {
    let not_before = not_before.map_or(0, |at| at.timestamp_micros());
    let mut returned: u64 = 0;
    for job in jobs {
        let rows = execute!(tx, "give a job back", GIVE_BACK, job.0, epoch.0, not_before)?;
        returned = returned.saturating_add(rows);
    }
    Ok(returned)
}

const DEPTH: &str = "
    -- depth
    SELECT COUNT(CASE WHEN w.lease_epoch IS NULL AND w.run_at <= $1 THEN 1 END) AS ready,
           COUNT(CASE WHEN w.lease_epoch IS NULL AND w.run_at > $1 THEN 1 END) AS scheduled,
           COUNT(w.lease_epoch) AS leased,
           MIN(CASE WHEN w.lease_epoch IS NULL AND w.run_at <= $1 THEN w.run_at END) AS oldest_due
    FROM work w
";

/// How much is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Due, and held by nobody.
    pub ready: i64,
    /// Not due yet.
    pub scheduled: i64,
    /// Held by a worker.
    pub leased: i64,
    /// Since when the oldest of the ready ones is due.
    pub oldest_due: Option<DateTime<Utc>>,
}

/// Counts what is in flight: one pass over the table of work, which is as
/// small as the backlog.
pub async fn depth(tx: &mut Tx, now: DateTime<Utc>) -> Result<Depth, StoreError> {
    with_conn!(tx, |conn| {
        let row =
            sqlx::query(DEPTH).bind(now.timestamp_micros()).one(conn).await.doing("count work")?;
        Ok(Depth {
            ready: row.int("ready")?,
            scheduled: row.int("scheduled")?,
            leased: row.int("leased")?,
            oldest_due: row.time_opt("oldest_due")?,
        })
    })
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    each("work::lock", LOCK_SQLITE, LOCK_POSTGRES),
    both("work::delete", DELETE),
    both("work::retry_later", RETRY),
    both("work::give_back", GIVE_BACK),
    both("work::depth", DEPTH),
];
