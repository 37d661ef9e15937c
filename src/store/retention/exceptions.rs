//! What lies under a day's key and is not simply due: few rows, to be judged
//! one by one before the key dies.

use chrono::{DateTime, Utc};

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

const TOO_OLD: &str = concat!(
    "-- too_old
    SELECT * FROM (
        SELECT ",
    due_columns!(),
    " FROM work w JOIN jobs j ON j.id = w.job_id
        WHERE w.sending_since IS NULL AND j.purged_at IS NULL AND j.purge_at IS NULL
          AND j.dispatched_at IS NULL AND j.send_at <= $1
          AND j.stage IN ('accepted', 'sealed')
        UNION ALL
        SELECT ",
    due_columns!(),
    " FROM jobs j LEFT JOIN work w ON w.job_id = j.id
        WHERE j.reason IS NOT NULL AND j.purged_at IS NULL AND j.purge_at IS NULL
          AND j.dispatched_at IS NULL AND j.send_at <= $1 AND j.stage = 'parked'
        UNION ALL
        SELECT ",
    due_columns!(),
    " FROM pieces p JOIN jobs j ON j.id = p.job_id LEFT JOIN work w ON w.job_id = p.job_id
        WHERE w.job_id IS NULL AND j.purged_at IS NULL AND j.purge_at IS NULL
          AND j.dispatched_at IS NULL AND j.send_at <= $1 AND j.stage = 'sealed'
    ) t
    LIMIT $2"
);

/// Deliveries that were to leave at `send_at_until` or before, never did, have
/// no clock and are not leaving at this moment: waiting, with a person, or
/// lying at a partner. What is looked for here lies in small tables and
/// indexes, however many deliveries there are.
pub async fn too_old(
    tx: &mut Tx,
    send_at_until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueJob>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(TOO_OLD)
        .bind(send_at_until.timestamp_micros())
        .bind(limit)
        .fetch_all(conn)
        .await
        .doing("look for what waited too long")?
        .iter()
        .map(due_job)
        .collect())
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    both("retention::exceptions_on_day", EXCEPTIONS),
    both("retention::due_one", ONE),
    both("retention::too_old", TOO_OLD),
];
