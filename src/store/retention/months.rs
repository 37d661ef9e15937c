//! Months whose deliveries are all purged leave the books: on PostgreSQL a
//! partition is dropped, on SQLite its rows are deleted. The log, the evidence
//! and the keys of dedupe stay for their own time.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::{
    StoreError, Tx,
    cells::Cells as _,
    error::Doing as _,
    months::Month,
    run::{Change as _, Rows as _},
    statements::{Statement, both, each, sqlite},
    with_conn,
};

const OLDEST_SQLITE: &str = "
    -- droppable_months
    SELECT j.id AS id FROM jobs j ORDER BY j.id LIMIT 1
";
const SPENT_SQLITE: &str = "
    -- droppable_months: spent
    SELECT EXISTS (SELECT 1 FROM jobs j WHERE j.id >= $1 AND j.id < $2 AND j.purged_at IS NULL)
        OR NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id >= $1 AND j.id < $2) AS kept
";
const SPENT_POSTGRES: &str = "
    -- droppable_months
    SELECT label FROM spent_months($1) AS label ORDER BY label
";

/// The months (`yyyymm`), all of them over, in which every delivery is purged
/// and whose links belong to such deliveries only.
pub async fn droppable_months(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
    let act = "look for spent months";
    let Some(this) = Month::of(now) else { return Ok(vec![]) };
    let tx = match tx {
        Tx::Sqlite(tx) => tx,
        Tx::Postgres(tx) => {
            let rows = sqlx::query(SPENT_POSTGRES).bind(this.label());
            let rows = rows.all(&mut *tx.inner).await.doing(act)?;
            return rows.iter().map(|row| row.text("label")).collect();
        }
    };
    let oldest = sqlx::query(OLDEST_SQLITE).optional(&mut *tx.inner).await.doing(act)?;
    let Some(oldest) = oldest.map(|row| row.uuid("id")).transpose()? else { return Ok(vec![]) };
    let mut month = month_of(oldest);
    let mut spent = vec![];
    while let Some(current) = month.filter(|month| *month < this) {
        let next = current.next();
        let kept = sqlx::query(SPENT_SQLITE)
            .bind(current.first_id())
            .bind(next.map(Month::first_id))
            .one(&mut *tx.inner)
            .await
            .doing(act)?;
        if !kept.flag("kept")? {
            spent.push(current.label());
        }
        month = next;
    }
    Ok(spent)
}

/// The month that an id was drawn in.
fn month_of(id: Uuid) -> Option<Month> {
    let millis = i64::try_from(id.as_u128() >> 80).ok()?;
    DateTime::from_timestamp_millis(millis).and_then(Month::of)
}

const DROP_JOBS_SQLITE: &str = "
    -- drop_month
    DELETE FROM jobs
    WHERE id >= $1 AND id < $2
      AND NOT EXISTS (SELECT 1 FROM jobs j
                      WHERE j.id >= $1 AND j.id < $2 AND j.purged_at IS NULL)
";
const DROP_LINKS_SQLITE: &str = "
    -- drop_month: links
    DELETE FROM links
    WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = links.job_id)
";
const DROP_POSTGRES: &str = "
    -- drop_month
    SELECT CAST(CAST(drop_month($1) AS INTEGER) AS BIGINT)
";

const DROP_HANDOUTS_SQLITE: &str = "
    -- drop_month: handouts
    DELETE FROM handouts
    WHERE job_id >= $1 AND job_id < $2
      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = handouts.job_id)
";

/// Drops a month's deliveries, links and handouts. False, and nothing is dropped, when
/// something in it is not purged. On PostgreSQL it waits at most two seconds
/// for the tables and then is [`StoreError::Busy`].
pub async fn drop_month(tx: &mut Tx, label: &str) -> Result<bool, StoreError> {
    let act = "drop a month";
    match tx {
        Tx::Postgres(tx) => {
            let dropped = sqlx::query(DROP_POSTGRES).bind(label).number(&mut *tx.inner).await;
            Ok(dropped.doing(act)? == 1)
        }
        Tx::Sqlite(tx) => {
            let Some(month) = Month::parse(label) else { return Ok(false) };
            let dropped = sqlx::query(DROP_JOBS_SQLITE)
                .bind(month.first_id())
                .bind(month.next().map(Month::first_id))
                .run(&mut *tx.inner)
                .await
                .doing(act)?;
            sqlx::query(DROP_HANDOUTS_SQLITE)
                .bind(month.first_id())
                .bind(month.next().map(Month::first_id))
                .run(&mut *tx.inner)
                .await
                .doing(act)?;
            sqlx::query(DROP_LINKS_SQLITE).run(&mut *tx.inner).await.doing(act)?;
            Ok(dropped > 0)
        }
    }
}

const FORGET_SQLITE: &str = "
    -- forget_keys
    DELETE FROM dedupe
    WHERE print IN (SELECT d.print FROM dedupe d WHERE d.print > $1 ORDER BY d.print LIMIT $2)
      AND job_id < $3
      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = dedupe.job_id)
";
// The array keeps the planner from reading the whole table for a join.
const FORGET_POSTGRES: &str = "
    -- forget_keys
    DELETE FROM dedupe
    WHERE print = ANY(ARRAY(
            SELECT d.print FROM dedupe d WHERE d.print > $1 ORDER BY d.print LIMIT $2
        ))
      AND job_id < $3
      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = dedupe.job_id)
";
const FORGET_CURSOR: &str = "
    -- forget_keys: cursor
    SELECT d.print AS print FROM dedupe d WHERE d.print > $1 ORDER BY d.print LIMIT 1 OFFSET $2
";

/// Forgets the keys of deliveries accepted before `accepted_before` that have
/// left the books, walking the table in steps of `limit` rows from `cursor`
/// (empty at first). Answers how many went, and leaves the cursor at the next
/// step, or empty at the end. The caller makes `accepted_before` old enough:
/// 13 months after the latest purge it allows.
pub async fn forget_keys(
    tx: &mut Tx,
    accepted_before: DateTime<Utc>,
    cursor: &mut Vec<u8>,
    limit: i64,
) -> Result<u64, StoreError> {
    let act = "forget old keys";
    let millis = u64::try_from(accepted_before.timestamp_millis()).unwrap_or(0);
    let bound = Uuid::from_u128(u128::from(millis) << 80);
    let sql = match tx {
        Tx::Sqlite(_) => FORGET_SQLITE,
        Tx::Postgres(_) => FORGET_POSTGRES,
    };
    with_conn!(tx, |conn| {
        let next = sqlx::query(FORGET_CURSOR)
            .bind(cursor.as_slice())
            .bind(limit.saturating_sub(1).max(0))
            .optional(&mut *conn)
            .await
            .doing(act)?
            .map(|row| row.blob("print"))
            .transpose()?;
        let rows = sqlx::query(sql)
            .bind(cursor.as_slice())
            .bind(limit)
            .bind(bound)
            .run(conn)
            .await
            .doing(act)?;
        *cursor = next.unwrap_or_default();
        Ok(rows)
    })
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    sqlite("retention::droppable_months oldest", OLDEST_SQLITE),
    each("retention::droppable_months", SPENT_SQLITE, SPENT_POSTGRES),
    each("retention::drop_month", DROP_JOBS_SQLITE, DROP_POSTGRES),
    sqlite("retention::drop_month links", DROP_LINKS_SQLITE),
    sqlite("retention::drop_month handouts", DROP_HANDOUTS_SQLITE),
    each("retention::forget_keys", FORGET_SQLITE, FORGET_POSTGRES),
    both("retention::forget_keys cursor", FORGET_CURSOR),
];
