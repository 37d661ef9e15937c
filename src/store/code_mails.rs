//! Codes that wait to be mailed: one a delivery, the newest.
//!
//! A row is written with the code that it carries, and goes when the relay has
//! taken the mail or the code is over; so a code is never lost silently. What
//! is claimed is put off by a minute in one conditional update: two workers do
//! not mail the same code, and a worker that died is followed by another.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    StoreError, Tx,
    cells::{Cells as _, micros},
    error::Doing as _,
    execute,
    run::Rows as _,
    statements::{Statement, both},
    with_conn,
};
use crate::domain::ids::JobId;

/// For how long a claimed row is the claimer's.
const CLAIM: TimeDelta = TimeDelta::minutes(1);

/// A code that is to be mailed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeMail {
    /// Whose link it opens.
    pub job: JobId,
    /// Names the code; its Message-ID is made of it.
    pub code_id: Uuid,
    /// The code, sealed under the delivery's key.
    pub sealed: Vec<u8>,
    /// When the code is over, and nothing is to be mailed any more.
    pub until: DateTime<Utc>,
    /// How often it was tried.
    pub attempt: i64,
}

const WANT: &str = "
    -- code_mails::want
    INSERT INTO code_mails (job_id, code_id, sealed, until, run_at, attempt)
    VALUES ($1, $2, $3, $4, $5, 0)
    ON CONFLICT (job_id) DO UPDATE
    SET code_id = excluded.code_id, sealed = excluded.sealed, until = excluded.until,
        run_at = excluded.run_at, attempt = 0
";

/// Has a code mailed, in place of the one before.
pub async fn want(tx: &mut Tx, mail: &CodeMail, now: DateTime<Utc>) -> Result<(), StoreError> {
    execute!(
        tx,
        "have a code mailed",
        WANT,
        mail.job.0,
        mail.code_id,
        mail.sealed.as_slice(),
        mail.until.timestamp_micros(),
        now.timestamp_micros()
    )
    .map(drop)
}

const DUE: &str = "
    -- code_mails::due
    SELECT c.job_id, c.code_id, c.sealed, c.until, c.attempt
    FROM code_mails c WHERE c.run_at <= $1 ORDER BY c.run_at LIMIT $2
";

/// Codes whose time has come, the oldest first.
pub async fn due(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<CodeMail>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(DUE)
        .bind(now.timestamp_micros())
        .bind(limit)
        .all(conn)
        .await
        .doing("look for codes to be mailed")?
        .iter()
        .map(|row| {
            Ok(CodeMail {
                job: JobId(row.uuid("job_id")?),
                code_id: row.uuid("code_id")?,
                sealed: row.blob("sealed")?,
                until: row.time("until")?,
                attempt: row.int("attempt")?,
            })
        })
        .collect())
}

const CLAIM_ONE: &str = "
    -- code_mails::claim
    UPDATE code_mails SET run_at = $3, attempt = attempt + 1
    WHERE job_id = $1 AND code_id = $2 AND attempt = $4 AND run_at <= $5
";

/// Takes a code for a minute; `false` when another was quicker.
pub async fn claim(tx: &mut Tx, mail: &CodeMail, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let claimed = execute!(
        tx,
        "claim a code",
        CLAIM_ONE,
        mail.job.0,
        mail.code_id,
        micros(now.checked_add_signed(CLAIM)),
        mail.attempt,
        now.timestamp_micros()
    )?;
    Ok(claimed == 1)
}

const AGAIN: &str = "
    -- code_mails::again
    UPDATE code_mails SET run_at = $3 WHERE job_id = $1 AND code_id = $2
";

/// Puts a code off.
pub async fn again(tx: &mut Tx, mail: &CodeMail, at: DateTime<Utc>) -> Result<(), StoreError> {
    let at = at.timestamp_micros();
    execute!(tx, "put a code off", AGAIN, mail.job.0, mail.code_id, at).map(drop)
}

const END: &str = "
    -- code_mails::end
    DELETE FROM code_mails WHERE job_id = $1 AND code_id = $2
";

/// Nothing is left to do for this code; `false` when another took its place.
pub async fn end(tx: &mut Tx, mail: &CodeMail) -> Result<bool, StoreError> {
    Ok(execute!(tx, "end a code's mail", END, mail.job.0, mail.code_id)? == 1)
}

const FORGET: &str = "
    -- code_mails::forget
    DELETE FROM code_mails WHERE job_id = $1
";

/// Forgets the code of a delivery that is purged.
pub(super) async fn forget(tx: &mut Tx, job: JobId) -> Result<(), StoreError> {
    execute!(tx, "forget a code", FORGET, job.0).map(drop)
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    both("code_mails::want", WANT),
    both("code_mails::due", DUE),
    both("code_mails::claim", CLAIM_ONE),
    both("code_mails::again", AGAIN),
    both("code_mails::end", END),
    both("code_mails::forget", FORGET),
];
