//! A letter that cannot go leaves its batch and waits for a person.

use crate::{
    domain::ids::{Epoch, JobId},
    store::{
        StoreError, Tx, execute,
        ledger::EventRow,
        outbox::OutboxRow,
        statements::{Statement, both},
        work,
    },
};

const MAY_HAVE_LEFT: &str = "
    -- withdraw: handout
    UPDATE handouts SET ended_at = $1
    WHERE job_id = $2 AND ended_at IS NULL
      AND id IN (SELECT p.batch FROM pieces p WHERE p.job_id = $2 AND p.state = 'batched')
";
const WITHDRAW: &str = "
    -- withdraw
    UPDATE pieces SET batch = NULL, state = 'waiting' WHERE job_id = $1 AND state = 'batched'
";

/// Takes a letter of mine out of its batch and parks its delivery. An attempt
/// before may have begun to hand the batch over, so what was reserved for the
/// letter stays on the books as its upper bound. False, and nothing is
/// written, when the work row is not mine any more.
pub async fn withdraw(
    tx: &mut Tx,
    epoch: Epoch,
    job: JobId,
    reason: &str,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<bool, StoreError> {
    let at = event.at;
    if !work::park(tx, Some(epoch), job, reason, event, outbox).await? {
        return Ok(false);
    }
    let act = "take a letter out of its batch";
    execute!(tx, act, MAY_HAVE_LEFT, at.timestamp_micros(), job.0)?;
    execute!(tx, act, WITHDRAW, job.0)?;
    Ok(true)
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] =
    &[both("postal::withdraw handout", MAY_HAVE_LEFT), both("postal::withdraw", WITHDRAW)];
