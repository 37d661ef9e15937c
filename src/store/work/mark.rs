//! The marker that says: from here on, the mail may have left.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{Epoch, JobId},
        stage::Stage,
    },
    store::{
        Db, StoreError, Tx,
        error::Doing as _,
        run::{Change as _, Rows as _},
        statements::{Statement, each, sqlite},
    },
};

const MARK_POSTGRES: &str = "
    -- mark_sending_now
    WITH mine AS MATERIALIZED (
        SELECT w.job_id,
               (j.stage = $4 OR w.step = 'resend'
                AND j.stage IN ('dispatched', 'opened', 'ambiguous')) AS goes
        FROM UNNEST($1::uuid[]) AS i (job) JOIN work w ON w.job_id = i.job
        JOIN jobs j ON j.id = i.job
        WHERE w.lease_epoch = $2 AND w.step IN ('send', 'resend')
        ORDER BY w.job_id FOR UPDATE OF w
    ),
    stale AS (
        DELETE FROM work w USING mine m WHERE w.job_id = m.job_id AND NOT m.goes
    )
    UPDATE work w SET sending_since = $3
    FROM mine m WHERE w.job_id = m.job_id AND m.goes
    RETURNING w.job_id
";
const MARK_SQLITE: &str = "
    -- mark_sending_now
    UPDATE work SET sending_since = $3
    WHERE job_id = $1 AND lease_epoch = $2 AND step IN ('send', 'resend')
      AND EXISTS (SELECT 1 FROM jobs j
                  WHERE j.id = $1
                    AND (j.stage = $4 OR step = 'resend'
                         AND j.stage IN ('dispatched', 'opened', 'ambiguous')))
    RETURNING job_id
";
const DROP_STALE: &str = "
    -- mark_sending_now: stale
    DELETE FROM work
    WHERE job_id = $1 AND lease_epoch = $2 AND step IN ('send', 'resend')
      AND EXISTS (SELECT 1 FROM jobs j
                  WHERE j.id = $1 AND j.stage <> $3
                    AND (step = 'send' OR j.stage NOT IN ('dispatched', 'opened', 'ambiguous')))
";

/// Sets the marker before a mail is tried again, commits, and answers which
/// rows are still mine and still to be sent. A row of mine whose delivery came
/// to rest meanwhile (opened, recalled) just ends.
pub async fn mark_sending_now(
    db: &Db,
    epoch: Epoch,
    now: DateTime<Utc>,
    jobs: &[JobId],
) -> Result<Vec<JobId>, StoreError> {
    let act = "mark mails as leaving";
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let sealed = Stage::Sealed.word();
    if let Db::Postgres(pg) = db {
        db.check("begin")?;
        let mut conn = pg.acquire().await.doing(act)?;
        db.check("commit")?;
        let held = sqlx::query(MARK_POSTGRES)
            .bind(jobs.iter().map(|job| job.0).collect::<Vec<_>>())
            .bind(epoch.0)
            .bind(now.timestamp_micros())
            .bind(sealed)
            .ids(&mut *conn)
            .await
            .doing(act)?;
        db.check("committed")?;
        return Ok(held.into_iter().map(JobId).collect());
    }
    let mut tx = db.begin().await?;
    let mut held = vec![];
    for job in jobs {
        let Tx::Sqlite(sqlite) = &mut tx else { break };
        let conn = &mut *sqlite.inner;
        let row = sqlx::query(MARK_SQLITE)
            .bind(job.0)
            .bind(epoch.0)
            .bind(now.timestamp_micros())
            .bind(sealed)
            .optional(&mut *conn)
            .await
            .doing(act)?;
        if row.is_some() {
            held.push(*job);
            continue;
        }
        let stale = sqlx::query(DROP_STALE).bind(job.0).bind(epoch.0).bind(sealed);
        stale.run(conn).await.doing(act)?;
    }
    tx.commit().await?;
    Ok(held)
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    each("mark_sending_now", MARK_SQLITE, MARK_POSTGRES),
    sqlite("mark_sending_now: stale", DROP_STALE),
];
