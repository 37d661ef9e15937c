//! Finished PDFs that senders upload before the job that names them.
//!
//! An upload is on the books as long as its row is there; when it ends, the
//! row goes with the wrap of its key, and what is left in the segment is noise.
//!
//! A job that names an upload claims it first, in a transaction of its own: a
//! claim without a job does no harm, a job without its claim could lose its
//! document. A claim counts while its job waits to be sealed, and, where the job
//! is not on the books (yet), for [`CLAIM_GRACE`]. Nothing ever takes a claim
//! back; it stops counting by itself.
//!
//! Ending and claiming wait for each other at the upload's row, so that an
//! upload is never ended under a job.

pub(super) mod end;

use chrono::{DateTime, TimeDelta, Utc};

pub use end::{Ended, end, on_day, rewrap, spent};

use super::{
    StoreError, Tx,
    cells::Cells,
    error::Doing as _,
    execute,
    ledger::{self, EventRow},
    run::Rows as _,
    statements::{Statement, both, each, postgres},
    with_conn,
};
use crate::domain::{
    ids::{Epoch, JobId, SegmentId, TenantId, UploadId},
    pdf::PdfFacts,
};

/// How long a claim counts whose job is not on the books: longer than any
/// intake takes from the claim to its commit.
pub const CLAIM_GRACE: TimeDelta = TimeDelta::hours(1);

/// An upload on the books.
#[derive(Clone, PartialEq, Eq)]
pub struct UploadRow {
    /// Its id.
    pub id: UploadId,
    /// Whose it is.
    pub tenant: TenantId,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// From this instant on no job may name it any more.
    pub expires_at: DateTime<Utc>,
    /// The day under whose key it lies: days since 1970.
    pub purge_day: i64,
    /// Its key, wrapped under that day's key.
    pub wrapped_key: Vec<u8>,
    /// The segment that holds it.
    pub segment: SegmentId,
    /// Where it begins in the segment, in bytes.
    pub sealed_offset: i64,
    /// How long it is in the segment, in bytes.
    pub sealed_len: i64,
    /// How long the plain PDF is, in bytes.
    pub pdf_len: i64,
    /// SHA-256 of the plain PDF.
    pub pdf_sha256: [u8; 32],
    /// What the check found.
    pub facts: PdfFacts,
}

impl std::fmt::Debug for UploadRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadRow").field("id", &self.id).finish_non_exhaustive()
    }
}

const COUNT: &str = "
    -- uploads::count
    SELECT COUNT(*) FROM uploads u WHERE u.tenant = $1
";

/// How many uploads a tenant has.
pub async fn count(tx: &mut Tx, tenant: &TenantId) -> Result<i64, StoreError> {
    with_conn!(tx, |conn| sqlx::query(COUNT).bind(tenant.as_str()).number(conn).await)
        .doing("count uploads")
}

// One tenant's uploads are counted one after the other.
const TURN: &str = "
    -- uploads::add: turn
    SELECT pg_advisory_xact_lock(5460952, hashtext($1))
";
const ADD: &str = "
    -- uploads::add
    INSERT INTO uploads (id, tenant, received_at, expires_at, purge_day, wrapped_key, segment,
                         sealed_offset, sealed_len, pdf_len, pdf_sha256, pages, a4)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
";
const COUNT_SEGMENT: &str = "
    -- uploads::add: segment
    INSERT INTO segments (id, opened_at, epoch, live, sealed_count)
    VALUES ($1, $2, $3, 1, 1)
    ON CONFLICT (id) DO UPDATE
    SET live = segments.live + 1, sealed_count = segments.sealed_count + 1
";

/// Takes an upload on the books, with its event. False, and nothing is written,
/// when the tenant has `most` already.
pub async fn add(
    tx: &mut Tx,
    epoch: Epoch,
    row: &UploadRow,
    most: i64,
    event: &EventRow,
) -> Result<bool, StoreError> {
    let act = "take an upload";
    if let Tx::Postgres(tx) = tx {
        let turn = sqlx::query(TURN).bind(row.tenant.as_str());
        turn.all(&mut *tx.inner).await.doing(act)?;
    }
    if count(tx, &row.tenant).await? >= most {
        return Ok(false);
    }
    execute!(
        tx,
        act,
        ADD,
        row.id.0,
        row.tenant.as_str(),
        row.received_at.timestamp_micros(),
        row.expires_at.timestamp_micros(),
        row.purge_day,
        row.wrapped_key.as_slice(),
        row.segment.0,
        row.sealed_offset,
        row.sealed_len,
        row.pdf_len,
        row.pdf_sha256.as_slice(),
        i64::from(row.facts.pages),
        i64::from(row.facts.a4),
    )?;
    let now = row.received_at.timestamp_micros();
    execute!(tx, act, COUNT_SEGMENT, row.segment.0, now, epoch.0)?;
    ledger::append(tx, std::slice::from_ref(event)).await?;
    Ok(true)
}

/// Every column of an upload, of a table called `u`.
macro_rules! upload_columns {
    () => {
        "u.id, u.tenant, u.received_at, u.expires_at, u.purge_day, u.wrapped_key, u.segment, \
         u.sealed_offset, u.sealed_len, u.pdf_len, u.pdf_sha256, u.pages, u.a4"
    };
}

use upload_columns;

const GET: &str = concat!(
    "
    -- uploads::get
    SELECT ",
    upload_columns!(),
    "
    FROM uploads u WHERE u.id = $1 AND u.tenant = $2
"
);

/// An upload of this tenant's.
pub async fn get(
    tx: &mut Tx,
    tenant: &TenantId,
    id: UploadId,
) -> Result<Option<UploadRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(GET)
        .bind(id.0)
        .bind(tenant.as_str())
        .optional(conn)
        .await
        .doing("look for an upload")?
        .map(|row| upload(&row))
        .transpose())
}

fn upload(row: &impl Cells) -> Result<UploadRow, StoreError> {
    let pages = u32::try_from(row.int("pages")?)
        .map_err(|_| StoreError::Corrupt { column: "pages", expected: "a number of pages" })?;
    Ok(UploadRow {
        id: UploadId(row.uuid("id")?),
        tenant: row.tenant("tenant")?,
        received_at: row.time("received_at")?,
        expires_at: row.time("expires_at")?,
        purge_day: row.int("purge_day")?,
        wrapped_key: row.blob("wrapped_key")?,
        segment: SegmentId(row.uuid("segment")?),
        sealed_offset: row.int("sealed_offset")?,
        sealed_len: row.int("sealed_len")?,
        pdf_len: row.int("pdf_len")?,
        pdf_sha256: row.array("pdf_sha256")?,
        facts: PdfFacts { pages, a4: row.flag("a4")? },
    })
}

const CLAIM_SQLITE: &str = "
    -- uploads::claim
    INSERT INTO upload_claims (upload_id, job_id, claimed_at)
    SELECT u.id, $1, $2 FROM uploads u
    WHERE u.id = $3 AND u.tenant = $4 AND u.expires_at > $2
";
const CLAIM_POSTGRES: &str = "
    -- uploads::claim
    INSERT INTO upload_claims (upload_id, job_id, claimed_at)
    SELECT u.id, $1::uuid, $2::bigint FROM uploads u
    WHERE u.id = $3 AND u.tenant = $4 AND u.expires_at > $2
    FOR SHARE
";

/// Claims an upload for a job that is about to come on the books. False when
/// the tenant has no such upload, or it has expired.
pub async fn claim(
    tx: &mut Tx,
    tenant: &TenantId,
    id: UploadId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let act = "claim an upload";
    let at = now.timestamp_micros();
    let sql = if matches!(tx, Tx::Sqlite(_)) { CLAIM_SQLITE } else { CLAIM_POSTGRES };
    let rows = execute!(tx, act, sql, job.0, at, id.0, tenant.as_str())?;
    Ok(rows == 1)
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    postgres("uploads::add: turn", TURN),
    both("uploads::count", COUNT),
    both("uploads::add", ADD),
    both("uploads::add: segment", COUNT_SEGMENT),
    both("uploads::get", GET),
    each("uploads::claim", CLAIM_SQLITE, CLAIM_POSTGRES),
];
