//! Claiming work fairly: one tenant's ten thousand rows do not keep another's
//! single one waiting.
//!
//! A round goes from tenant to tenant by a loose index scan over
//! `(tenant, run_at)`, takes at most so many of each, and remembers where it
//! stopped; the next round starts there. Most work never comes here: what
//! intake accepts is leased at once.

use chrono::{DateTime, Utc};

use super::{Step, WorkRow, work_columns, work_row};
use crate::{
    domain::ids::Epoch,
    store::{
        StoreError, Tx,
        cells::Cells as _,
        error::Doing as _,
        jobs::{self, JobRow, job_columns, job_row},
        run::Rows as _,
        statements::{Statement, postgres, sqlite},
    },
};

const ACT: &str = "claim work";

/// A delivery that this process may work on until it is declared dead.
#[derive(Clone, Debug)]
pub struct Leased {
    /// The delivery.
    pub job: JobRow,
    /// What has to be done.
    pub step: Step,
    /// How often the step was begun, this time included.
    pub attempt: i64,
    /// How many workers died holding it.
    pub crashes: i64,
    /// When the step was first begun.
    pub first_try_at: Option<DateTime<Utc>>,
    /// Since when its mail may have left.
    pub sending_since: Option<DateTime<Utc>>,
}

impl Leased {
    pub(in crate::store) fn of(job: JobRow, work: &WorkRow) -> Self {
        Self {
            job,
            step: work.step,
            attempt: work.attempt,
            crashes: work.crashes,
            first_try_at: work.first_try_at,
            sending_since: work.sending_since,
        }
    }
}

// The recursion is lazy: it goes no further than the limit needs. What is due is
// given as an array, of which the planner expects ten: of a limit that it does
// not know it expects a tenth of the table, and reads all months for that.
const POSTGRES: &str = concat!(
    "-- claim
    WITH RECURSIVE heads (tenant) AS (
        (SELECT w.tenant FROM work w
         WHERE w.lease_epoch IS NULL AND w.tenant > $4 ORDER BY w.tenant LIMIT 1)
        UNION ALL
        SELECT (SELECT w.tenant FROM work w
                WHERE w.lease_epoch IS NULL AND w.tenant > h.tenant ORDER BY w.tenant LIMIT 1)
        FROM heads h WHERE h.tenant IS NOT NULL
    ),
    due AS MATERIALIZED (
        SELECT d.job_id FROM heads h CROSS JOIN LATERAL (
            SELECT w.job_id FROM work w
            WHERE w.lease_epoch IS NULL AND w.tenant = h.tenant AND w.run_at <= $2
              AND w.step = ANY($3::text[])
            ORDER BY w.run_at LIMIT $6 FOR UPDATE SKIP LOCKED
        ) d
        WHERE $5::text IS NULL OR h.tenant <= $5
        LIMIT $7
    )
    UPDATE work w
    SET lease_epoch = $1, attempt = w.attempt + 1, first_try_at = COALESCE(w.first_try_at, $2)
    FROM jobs j
    WHERE w.job_id = ANY(ARRAY(SELECT due.job_id FROM due)) AND w.lease_epoch IS NULL
      AND j.id = w.job_id
    RETURNING ",
    work_columns!(),
    ", ",
    job_columns!()
);

/// Leases due rows of these steps to `epoch`: at most `per_tenant` of each
/// tenant in a round and `limit` in all, in rounds that start after the tenant
/// in `cursor` and leave there where they stopped. Each counts as an attempt.
pub async fn claim(
    tx: &mut Tx,
    epoch: Epoch,
    now: DateTime<Utc>,
    steps: &[Step],
    per_tenant: i64,
    limit: i64,
    cursor: &mut String,
) -> Result<Vec<Leased>, StoreError> {
    let round = Round { epoch, now, steps, per_tenant };
    let start = cursor.clone();
    let mut leased = round.go(tx, &start, None, limit).await?;
    let taken = i64::try_from(leased.len()).unwrap_or(i64::MAX);
    if !start.is_empty() && taken < limit {
        let rest = round.go(tx, "", Some(&start), limit.saturating_sub(taken)).await?;
        leased.extend(rest);
    }
    // The tenants of a round come in order; the last one was served last.
    match leased.last() {
        Some(last) => last.job.tenant.as_str().clone_into(cursor),
        None => cursor.clear(),
    }
    Ok(leased)
}

struct Round<'r> {
    epoch: Epoch,
    now: DateTime<Utc>,
    steps: &'r [Step],
    per_tenant: i64,
}

impl Round<'_> {
    /// One pass over the tenants after `from` and up to `to`.
    async fn go(
        &self,
        tx: &mut Tx,
        from: &str,
        to: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Leased>, StoreError> {
        let mut leased = if let Tx::Postgres(tx) = tx {
            let steps: Vec<&str> = self.steps.iter().map(|step| step.word()).collect();
            let rows = sqlx::query(POSTGRES)
                .bind(self.epoch.0)
                .bind(self.now.timestamp_micros())
                .bind(steps)
                .bind(from)
                .bind(to)
                .bind(self.per_tenant)
                .bind(limit)
                .all(&mut *tx.inner)
                .await
                .doing(ACT)?;
            rows.iter()
                .map(|row| Ok(Leased::of(job_row(row)?, &work_row(row)?)))
                .collect::<Result<Vec<_>, StoreError>>()?
        } else {
            self.on_sqlite(tx, from, to, limit).await?
        };
        leased.sort_by(|a, b| (&a.job.tenant, a.job.id).cmp(&(&b.job.tenant, b.job.id)));
        Ok(leased)
    }

    async fn on_sqlite(
        &self,
        tx: &mut Tx,
        from: &str,
        to: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Leased>, StoreError> {
        let mut leased = vec![];
        let mut tenant = from.to_owned();
        let mut left = limit;
        while left > 0 {
            let Some(next) = next_tenant(tx, &tenant).await? else { break };
            tenant = next;
            if to.is_some_and(|to| tenant.as_str() > to) {
                break;
            }
            for work in self.lease_of(tx, &tenant, left.min(self.per_tenant)).await? {
                left = left.saturating_sub(1);
                // A row of work without its delivery cannot be; if it is, a
                // person finds it in `inspect`, and others' work goes on.
                if let Some(job) = jobs::get(tx, None, work.job).await? {
                    leased.push(Leased::of(job, &work));
                }
            }
        }
        Ok(leased)
    }

    async fn lease_of(
        &self,
        tx: &mut Tx,
        tenant: &str,
        limit: i64,
    ) -> Result<Vec<WorkRow>, StoreError> {
        let Tx::Sqlite(tx) = tx else { return Ok(vec![]) };
        let wanted = |step: Step| self.steps.contains(&step).then_some(step.word());
        let rows = sqlx::query(LEASE_SQLITE)
            .bind(self.epoch.0)
            .bind(self.now.timestamp_micros())
            .bind(tenant)
            .bind(wanted(Step::Seal))
            .bind(wanted(Step::Send))
            .bind(wanted(Step::HandOver))
            .bind(limit)
            .bind(wanted(Step::Resend))
            .bind(wanted(Step::Remind))
            .all(&mut *tx.inner)
            .await
            .doing(ACT)?;
        let mut rows = rows.iter().map(work_row).collect::<Result<Vec<_>, StoreError>>()?;
        rows.sort_by_key(|row| row.run_at);
        Ok(rows)
    }
}

const NEXT_TENANT_SQLITE: &str = "
    -- claim: next tenant
    SELECT w.tenant AS tenant FROM work w
    WHERE w.lease_epoch IS NULL AND w.tenant > $1 ORDER BY w.tenant LIMIT 1
";

async fn next_tenant(tx: &mut Tx, after: &str) -> Result<Option<String>, StoreError> {
    let Tx::Sqlite(tx) = tx else { return Ok(None) };
    sqlx::query(NEXT_TENANT_SQLITE)
        .bind(after)
        .optional(&mut *tx.inner)
        .await
        .doing(ACT)?
        .map(|row| row.text("tenant"))
        .transpose()
}

const LEASE_SQLITE: &str = "
    -- claim: lease
    UPDATE work
    SET lease_epoch = $1, attempt = attempt + 1, first_try_at = COALESCE(first_try_at, $2)
    WHERE lease_epoch IS NULL AND job_id IN (
        SELECT w.job_id FROM work w
        WHERE w.lease_epoch IS NULL AND w.tenant = $3 AND w.run_at <= $2
          AND w.step IN ($4, $5, $6, $8, $9)
        ORDER BY w.run_at LIMIT $7
    )
    RETURNING job_id, tenant AS work_tenant, step, run_at, attempt, crashes, first_try_at,
              lease_epoch, sending_since
";

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    postgres("claim", POSTGRES),
    sqlite("claim: next tenant", NEXT_TENANT_SQLITE),
    sqlite("claim: lease", LEASE_SQLITE),
];
