//! What people decide: send it again, do not send it, take it back.
//!
//! A delivery whose mail may be leaving at this moment (its marker is set, or
//! its letter is in a batch) cannot be cancelled any more; the answer says so,
//! and a little later it can be recalled.

use chrono::{DateTime, Utc};

use super::{Step, moves::record};
use crate::{
    domain::{
        ids::JobId,
        job::Channel,
        stage::{Event, Stage},
    },
    store::{
        StoreError, Tx,
        error::Doing as _,
        execute,
        jobs::{self, JobRow},
        ledger::EventRow,
        links,
        outbox::OutboxRow,
        run::Rows as _,
        statements::{Statement, both},
        with_conn,
    },
};

const INSERT: &str = "
    -- retry_by_person
    INSERT INTO work (job_id, tenant, step, run_at, attempt, crashes)
    VALUES ($1, $2, $3, $4, 0, 0)
    ON CONFLICT (job_id) DO NOTHING
";
const RESET_PIECE: &str = "
    -- retry_by_person: piece
    UPDATE pieces
    SET state = 'waiting', batch = NULL, handed_at = NULL, accepted_at = NULL, reason = NULL,
        silent_after = NULL
    WHERE job_id = $1
";

/// Sends a parked or ambiguous delivery on its way again. What was sealed
/// before it was parked is kept and goes out as it is, under the same
/// Message-ID; otherwise it is rendered anew. `None`, and nothing is written,
/// when the delivery is not the event's tenant's, stands elsewhere, or has
/// neither payload nor artifact left.
pub async fn retry_by_person(
    tx: &mut Tx,
    job: JobId,
    now: DateTime<Utc>,
    event: EventRow,
) -> Result<Option<Stage>, StoreError> {
    let Some((row, _)) = lock_for(tx, job, &event).await? else { return Ok(None) };
    let Ok(mut stage) = row.stage.after(Event::Retry) else { return Ok(None) };
    let sealed = row.artifact_len.is_some();
    if stage == Stage::Accepted && sealed {
        stage = stage.after(Event::Seal)?;
    }
    let step = match (stage, row.channel) {
        (Stage::Accepted, _) if row.payload.is_none() => return Ok(None),
        (Stage::Accepted, _) => Step::Seal,
        (_, Channel::Email) => Step::Send,
        (_, Channel::Post) => Step::HandOver,
    };
    jobs::advance(tx, &row, stage, now, None).await?;
    let act = "take a job up again";
    execute!(
        tx,
        act,
        INSERT,
        job.0,
        row.tenant.as_str(),
        step.word(),
        now.max(row.send_at).timestamp_micros()
    )
    .map(drop)?;
    execute!(tx, act, RESET_PIECE, job.0).map(drop)?;
    record(tx, event, &[]).await?;
    Ok(Some(stage))
}

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// It will not be sent.
    Cancelled,
    /// It had been cancelled before; nothing was written.
    AlreadyCancelled,
    /// It has left, or has come to another end.
    TooLate(Stage),
    /// It may be leaving at this moment.
    Sending,
    /// The tenant has no such delivery.
    NoSuchJob,
}

const PIECE_BATCHED: &str = "
    -- cancel: piece
    SELECT COUNT(*) FROM pieces p WHERE p.job_id = $1 AND p.batch IS NOT NULL
";

/// Takes a delivery back before it is dispatched. Its link, if it has one
/// already, is revoked.
pub async fn cancel(
    tx: &mut Tx,
    job: JobId,
    now: DateTime<Utc>,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<CancelAnswer, StoreError> {
    let Some((row, sending)) = lock_for(tx, job, &event).await? else {
        return Ok(CancelAnswer::NoSuchJob);
    };
    if row.stage == Stage::Cancelled {
        return Ok(CancelAnswer::AlreadyCancelled);
    }
    let Ok(stage) = row.stage.after(Event::Cancel) else {
        return Ok(CancelAnswer::TooLate(row.stage));
    };
    let batched =
        with_conn!(&mut *tx, |conn| sqlx::query(PIECE_BATCHED).bind(job.0).number(conn).await)
            .doing("look for a letter's batch")?;
    // A rejected letter lies in a batch too, but is parked, not on its way.
    if sending || (batched > 0 && row.stage == Stage::Sealed) {
        return Ok(CancelAnswer::Sending);
    }
    jobs::advance(tx, &row, stage, now, None).await?;
    super::delete(tx, job).await?;
    links::revoke_of_job(tx, job, now).await?;
    record(tx, event, outbox).await?;
    Ok(CancelAnswer::Cancelled)
}

/// Holds a delivery until the transaction ends, so that an instant that is read
/// now comes after everything that was written about it before. False when
/// there is no such delivery.
pub async fn hold(tx: &mut Tx, job: JobId) -> Result<bool, StoreError> {
    Ok(super::lock_both(tx, job).await?.is_some())
}

/// What became of a wish to recall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecallAnswer {
    /// Its link opens no more.
    Recalled,
    /// It had been recalled before; nothing was written.
    AlreadyRecalled,
    /// It has not left yet (cancel it), or has come to another end.
    Refused(Stage),
    /// The tenant has no such delivery.
    NoSuchJob,
}

/// Takes a document back after it was dispatched: the link is revoked. Bytes
/// are reserved under the same locks, so that whoever reads the account after
/// this has committed finds all that will ever be in it.
pub async fn recall(
    tx: &mut Tx,
    job: JobId,
    now: DateTime<Utc>,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<RecallAnswer, StoreError> {
    let Some((row, _)) = lock_for(tx, job, &event).await? else {
        return Ok(RecallAnswer::NoSuchJob);
    };
    if row.stage == Stage::Recalled {
        return Ok(RecallAnswer::AlreadyRecalled);
    }
    let Ok(stage) = row.stage.after(Event::Recall) else {
        return Ok(RecallAnswer::Refused(row.stage));
    };
    jobs::advance(tx, &row, stage, now, None).await?;
    super::delete(tx, job).await?;
    links::revoke_of_job(tx, job, now).await?;
    record(tx, event, outbox).await?;
    Ok(RecallAnswer::Recalled)
}

/// The delivery under lock, if it belongs to the tenant of the event that is
/// to be written, and whether its mail may be leaving.
async fn lock_for(
    tx: &mut Tx,
    job: JobId,
    event: &EventRow,
) -> Result<Option<(JobRow, bool)>, StoreError> {
    let both = super::lock_both(tx, job).await?;
    Ok(both
        .filter(|(row, _)| row.tenant == event.tenant)
        .map(|(row, work)| (row, work.is_some_and(|work| work.sending_since.is_some()))))
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    both("retry_by_person", INSERT),
    both("retry_by_person: piece", RESET_PIECE),
    both("cancel: piece", PIECE_BATCHED),
];
