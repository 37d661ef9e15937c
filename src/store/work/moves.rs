//! What a worker decides about one delivery: it needs a person, nobody knows
//! whether its mail left, it cannot be delivered.
//!
//! Each takes the work row and the delivery under lock, asks `Stage::after`,
//! and writes stage, event and outbox together. Coming too late is not an
//! error: the answer is `false` and nothing is written.

use chrono::{DateTime, Utc};

use super::{
    Step,
    dispatch::{Clock, start_clock},
};
use crate::{
    domain::{
        ids::{Epoch, JobId},
        stage::Event,
    },
    store::{
        StoreError, Tx, jobs,
        ledger::{self, EventRow},
        outbox::{self, OutboxRow},
        statements::Statement,
    },
};

/// A person has to look at the delivery. With `Some(epoch)` only if the row is
/// still that epoch's; a row of mine whose delivery came to rest meanwhile
/// just ends.
pub async fn park(
    tx: &mut Tx,
    epoch: Option<Epoch>,
    job: JobId,
    reason: &str,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<bool, StoreError> {
    let Some((row, work)) = super::lock_both(tx, job).await? else { return Ok(false) };
    let resend = work.as_ref().is_some_and(|work| work.step == Step::Resend);
    let held = work.and_then(|work| work.lease);
    if epoch.is_some() && held != epoch {
        return Ok(false);
    }
    let Ok(stage) = row.stage.after(Event::Park) else {
        if epoch.is_some() {
            super::delete(tx, job).await?;
        }
        if !resend {
            return Ok(false);
        }
        // The delivery stays where it stands; that its second mail cannot go
        // is a person's business all the same.
        jobs::advance(tx, &row, row.stage, event.at, Some(reason)).await?;
        record(tx, event, outbox).await?;
        return Ok(true);
    };
    jobs::advance(tx, &row, stage, event.at, Some(reason)).await?;
    super::delete(tx, job).await?;
    record(tx, event, outbox).await?;
    Ok(true)
}

/// Nobody knows whether the mail left; the clock runs from the marker. Only
/// for a row whose marker is set: who settles a dead process's rows second
/// changes nothing. The delivery's reason is the event's code.
#[expect(clippy::too_many_arguments, reason = "one fact, told in full")]
pub async fn ambiguous(
    tx: &mut Tx,
    job: JobId,
    at: DateTime<Utc>,
    purge_at: DateTime<Utc>,
    purge_day: i64,
    rewrapped: Option<&[u8]>,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<bool, StoreError> {
    let Some((row, Some(work))) = super::lock_both(tx, job).await? else { return Ok(false) };
    if work.sending_since.is_none() {
        return Ok(false);
    }
    super::delete(tx, job).await?;
    let Ok(stage) = row.stage.after(Event::LoseReply) else { return Ok(false) };
    let reason = event.code.clone().unwrap_or_else(|| "reply_lost".to_owned());
    let reason = if stage == row.stage { row.reason.as_deref() } else { Some(reason.as_str()) };
    jobs::advance(tx, &row, stage, at, reason).await?;
    // What was dispatched before keeps its day.
    if row.dispatched_at.is_none() {
        let clock = Clock { dispatched_at: None, purge_at, purge_day, rewrapped };
        start_clock(tx, &row, &clock).await?;
    }
    record(tx, event, outbox).await?;
    Ok(true)
}

/// The mail bounced for good, the relay refused it for good, or the letter
/// came back. What was opened, recalled or cancelled keeps its stage; the
/// event is logged all the same.
pub async fn undeliverable(
    tx: &mut Tx,
    job: JobId,
    reason: &str,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<bool, StoreError> {
    let Some((row, _)) = super::lock_both(tx, job).await? else { return Ok(false) };
    let Ok(stage) = row.stage.after(Event::Return) else { return Ok(false) };
    let reason = if stage == row.stage { row.reason.as_deref() } else { Some(reason) };
    jobs::advance(tx, &row, stage, event.at, reason).await?;
    super::delete(tx, job).await?;
    record(tx, event, outbox).await?;
    Ok(true)
}

/// Writes down what happened and what is published about it.
pub(in crate::store) async fn record(
    tx: &mut Tx,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<(), StoreError> {
    ledger::append(tx, &[event]).await?;
    outbox::add(tx, outbox).await
}

/// This file has no statements of its own.
pub(in crate::store) const STATEMENTS: &[Statement] = &[];
