//! How uploads end: what is spent, what a day's key still opens, and the end
//! itself, which waits for whoever is just claiming.

use chrono::{DateTime, Utc};

use super::{CLAIM_GRACE, UploadRow, upload, upload_columns};
use crate::{
    domain::ids::{TenantId, UploadId},
    store::{
        StoreError, Tx,
        error::Doing as _,
        execute,
        ledger::{self, EventRow},
        run::Rows as _,
        statements::{Statement, both, each},
        with_conn,
    },
};

/// Whether a job waits for the upload `u`; `$grace` is the instant before which
/// a claim without a job does not count.
macro_rules! is_claimed {
    ($grace:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM upload_claims c LEFT JOIN jobs j ON j.id = c.job_id
            WHERE c.upload_id = u.id
              AND CASE WHEN j.id IS NULL THEN c.claimed_at > ",
            $grace,
            " ELSE j.purged_at IS NULL AND j.segment IS NULL
                       AND j.stage IN ('accepted', 'parked') END)"
        )
    };
}

const SPENT: &str = concat!(
    "
    -- uploads::spent
    SELECT ",
    upload_columns!(),
    "
    FROM uploads u
    WHERE u.expires_at <= $1 AND NOT ",
    is_claimed!("$2"),
    "
    ORDER BY u.expires_at LIMIT $3
"
);

/// Uploads that have expired and for which no job waits, the oldest first.
pub async fn spent(
    tx: &mut Tx,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<UploadRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(SPENT)
        .bind(now.timestamp_micros())
        .bind(grace(now))
        .bind(limit)
        .all(conn)
        .await
        .doing("look for spent uploads")?
        .iter()
        .map(upload)
        .collect())
}

const ON_DAY: &str = concat!(
    "
    -- uploads::on_day
    SELECT ",
    upload_columns!(),
    "
    FROM uploads u WHERE u.purge_day = $1
    ORDER BY u.id LIMIT $2
"
);

/// Uploads that a day's key still opens.
pub async fn on_day(tx: &mut Tx, day: i64, limit: i64) -> Result<Vec<UploadRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(ON_DAY)
        .bind(day)
        .bind(limit)
        .all(conn)
        .await
        .doing("list a day's uploads")?
        .iter()
        .map(upload)
        .collect())
}

const REWRAP: &str = "
    -- uploads::rewrap
    UPDATE uploads SET wrapped_key = $1, purge_day = $2
    WHERE id = $3 AND purge_day = $4 AND purge_day < $2
";

/// Puts an upload's key, wrapped anew by the caller, under a later day. False,
/// and nothing is written, when the row is gone or lies under another day.
pub async fn rewrap(
    tx: &mut Tx,
    id: UploadId,
    from_day: i64,
    to_day: i64,
    wrapped_key: &[u8],
) -> Result<bool, StoreError> {
    let rows = execute!(tx, "re-wrap an upload", REWRAP, wrapped_key, to_day, id.0, from_day)?;
    Ok(rows == 1)
}

/// What became of an upload that was to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is off the books.
    Ended,
    /// It was gone already, or never there.
    Gone,
    /// A job that is not sealed yet needs it.
    Claimed,
}

const LOCK: &str = "
    -- uploads::end: lock
    SELECT u.id FROM uploads u WHERE u.id = $1 AND u.tenant = $2 FOR UPDATE
";
const FIND: &str = "
    -- uploads::end: find
    SELECT u.id FROM uploads u WHERE u.id = $1 AND u.tenant = $2
";
const LEAVE_SEGMENT: &str = "
    -- uploads::end: segment
    UPDATE segments SET live = live - 1
    WHERE id = (SELECT u.segment FROM uploads u WHERE u.id = $1)
";
// The lock stands in a statement of its own: this one sees every claim that
// was made before the lock was had.
const CLAIMED: &str = concat!(
    "
    -- uploads::end: claimed
    SELECT u.id FROM uploads u WHERE u.id = $1 AND ",
    is_claimed!("$2")
);
const DELETE: &str = "
    -- uploads::end: upload
    DELETE FROM uploads WHERE id = $1
";
const DELETE_CLAIMS: &str = "
    -- uploads::end: claims
    DELETE FROM upload_claims WHERE upload_id = $1
";

/// Takes an upload off the books, its key's wrap with it, and appends `event`,
/// unless a job waits for it. Twice is once.
pub async fn end(
    tx: &mut Tx,
    tenant: &TenantId,
    id: UploadId,
    now: DateTime<Utc>,
    event: &EventRow,
) -> Result<Ended, StoreError> {
    let act = "end an upload";
    let lock = if matches!(tx, Tx::Sqlite(_)) { FIND } else { LOCK };
    let found = with_conn!(&mut *tx, |conn| {
        sqlx::query(lock).bind(id.0).bind(tenant.as_str()).ids(conn).await.doing(act)?
    });
    if found.is_empty() {
        return Ok(Ended::Gone);
    }
    let claimed = with_conn!(&mut *tx, |conn| {
        sqlx::query(CLAIMED).bind(id.0).bind(grace(now)).ids(conn).await.doing(act)?
    });
    if !claimed.is_empty() {
        return Ok(Ended::Claimed);
    }
    execute!(tx, act, LEAVE_SEGMENT, id.0)?;
    execute!(tx, act, DELETE, id.0)?;
    execute!(tx, act, DELETE_CLAIMS, id.0)?;
    ledger::append(tx, std::slice::from_ref(event)).await?;
    Ok(Ended::Ended)
}

fn grace(now: DateTime<Utc>) -> i64 {
    now.checked_sub_signed(CLAIM_GRACE).unwrap_or(DateTime::UNIX_EPOCH).timestamp_micros()
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    both("uploads::spent", SPENT),
    both("uploads::on_day", ON_DAY),
    both("uploads::rewrap", REWRAP),
    each("uploads::end: lock", FIND, LOCK),
    both("uploads::end: claimed", CLAIMED),
    both("uploads::end: segment", LEAVE_SEGMENT),
    both("uploads::end: upload", DELETE),
    both("uploads::end: claims", DELETE_CLAIMS),
];
