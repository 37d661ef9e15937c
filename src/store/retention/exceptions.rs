//! What lies under a day's key and is not simply due: few rows, to be judged
//! one by one before the key dies.

use chrono::{DateTime, Utc};

use super::{DueJob, due_job};
use crate::{
    domain::ids::JobId,
    store::{
        StoreError, Tx,
        error::Doing as _,
        run::Rows as _,
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

const RIPE: &str = concat!(
    "-- ripe
    SELECT ",
    due_columns!(),
    " FROM jobs j LEFT JOIN work w ON w.job_id = j.id
    WHERE j.purged_at IS NULL AND j.purge_day <= $1 AND w.sending_since IS NULL
      AND (j.purge_at <= $2
           OR (j.purge_at IS NULL AND j.stage IN ('cancelled', 'undeliverable', 'recalled')))
    ORDER BY j.purge_day LIMIT $3"
);

/// Deliveries that can be purged as they are: their hour has come by `now`, or
/// they were ended before they left; none of them is leaving at this moment.
/// Whatever has to wait does not stand in their way.
pub async fn ripe(
    tx: &mut Tx,
    before_day: i64,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueJob>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(RIPE)
        .bind(before_day)
        .bind(now.timestamp_micros())
        .bind(limit)
        .fetch_all(conn)
        .await
        .doing("look for what can be purged")?
        .iter()
        .map(due_job)
        .collect())
}

const NEEDED_HOURS: &str = "
    -- needed_mail_hours
    SELECT j.mail_hour FROM work w JOIN jobs j ON j.id = w.job_id WHERE j.mail_hour IS NOT NULL
    UNION
    SELECT j.mail_hour FROM jobs j
    WHERE j.reason IS NOT NULL AND j.purged_at IS NULL AND j.mail_hour IS NOT NULL
      AND j.stage IN ('parked', 'ambiguous')
";

/// The hours whose mails may still be sent: with work to do, or waiting for a
/// person. One look at the small table of work, however many hours there are.
pub async fn needed_mail_hours(tx: &mut Tx) -> Result<Vec<i64>, StoreError> {
    with_conn!(tx, |conn| sqlx::query_scalar(NEEDED_HOURS).fetch_all(conn).await)
        .doing("list hours with unsettled mails")
}

const OLD_UNDISPATCHED: &str = "
    -- old_undispatched
    SELECT j.id FROM work w JOIN jobs j ON j.id = w.job_id
    WHERE j.purge_at IS NULL AND j.purged_at IS NULL AND j.dispatched_at IS NULL
      AND j.send_at < $1
    UNION
    SELECT j.id FROM jobs j
    WHERE j.reason IS NOT NULL AND j.purged_at IS NULL AND j.purge_at IS NULL
      AND j.dispatched_at IS NULL AND j.send_at < $1
    UNION
    SELECT j.id FROM pieces p JOIN jobs j ON j.id = p.job_id
    WHERE j.purge_at IS NULL AND j.purged_at IS NULL AND j.dispatched_at IS NULL
      AND j.send_at < $1
    ORDER BY id LIMIT $2
";

/// Deliveries that were to leave before `send_at_before`, never did, and have
/// no clock: in flight, waiting for a person, or lying at a partner. The oldest
/// first.
pub async fn old_undispatched(
    tx: &mut Tx,
    send_at_before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<JobId>, StoreError> {
    let ids = with_conn!(tx, |conn| sqlx::query(OLD_UNDISPATCHED)
        .bind(send_at_before.timestamp_micros())
        .bind(limit)
        .ids(conn)
        .await)
    .doing("look for jobs too old to send")?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    both("retention::exceptions_on_day", EXCEPTIONS),
    both("retention::due_one", ONE),
    both("retention::too_old", TOO_OLD),
    both("retention::ripe", RIPE),
    both("retention::needed_mail_hours", NEEDED_HOURS),
    both("retention::old_undispatched", OLD_UNDISPATCHED),
];
