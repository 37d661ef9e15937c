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

const WITHDRAW: &str = "
    -- withdraw
    UPDATE pieces SET batch = NULL, state = 'waiting' WHERE job_id = $1 AND state = 'batched'
";

/// Takes a letter of mine out of its batch and parks its delivery. False, and
/// nothing is written, when the work row is not mine any more.
pub async fn withdraw(
    tx: &mut Tx,
    epoch: Epoch,
    job: JobId,
    reason: &str,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<bool, StoreError> {
    if !work::park(tx, Some(epoch), job, reason, event, outbox).await? {
        return Ok(false);
    }
    execute!(tx, "take a letter out of its batch", WITHDRAW, job.0)?;
    Ok(true)
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[both("postal::withdraw", WITHDRAW)];
