//! What lies under a day's key and is not simply due: few rows, to be judged
//! one by one before the key dies.

use super::{DueJob, due_job};
use crate::{
    domain::ids::JobId,
    store::{
        StoreError, Tx,
        error::Doing as _,
        statements::{Statement, both},
        with_conn,
    },
};
use chrono::{DateTime, Utc};

macro_rules! due_columns {
    () => {
        "j.id, j.tenant, j.channel, j.stage, j.purge_day, j.purge_at, j.send_at, j.segment,
         CAST(CASE WHEN w.job_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_work,
         w.sending_since"
    };
}

const EXCEPTIONS: &str = concat!(
    "-- exceptions_on_day
    SELECT ",
    due_columns!(),
    " FROM jobs j LEFT JOIN work w ON w.job_id = j.id
    WHERE j.purged_at IS NULL AND j.purge_day = $1
      AND (j.purge_at IS NULL OR j.purge_at > $2 OR w.sending_since IS NOT NULL)
    ORDER BY j.id"
);

/// The deliveries of all tenants under one purge day that are not simply due:
/// without a clock, with a later one, or on their way at this moment.
pub async fn exceptions_on_day(
    tx: &mut Tx,
    day: i64,
    now: DateTime<Utc>,
) -> Result<Vec<DueJob>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(EXCEPTIONS)
        .bind(day)
        .bind(now.timestamp_micros())
        .fetch_all(conn)
        .await
        .doing("list what a day's key must not take along")?
        .iter()
        .map(due_job)
        .collect())
}

const ONE: &str = concat!(
    "-- due_one
    SELECT ",
    due_columns!(),
    " FROM jobs j LEFT JOIN work w ON w.job_id = j.id
    WHERE j.id = $1"
);

/// One delivery as retention sees it.
pub async fn due_one(tx: &mut Tx, job: JobId) -> Result<Option<DueJob>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(ONE)
        .bind(job.0)
        .fetch_optional(conn)
        .await
        .doing("read a job's dates")?
        .map(|row| due_job(&row))
        .transpose())
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] =
    &[both("retention::exceptions_on_day", EXCEPTIONS), both("retention::due_one", ONE)];
