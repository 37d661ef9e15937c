//! The rows of the log: written with what they tell of, never changed.
//!
//! Besides appending and reading there is nothing here, and the database
//! itself refuses to update or delete a row: only its place in the tree is
//! given to it, once, later.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;

use super::{
    StoreError, Tx,
    cells::Cells,
    error::Doing as _,
    run::{Change as _, Rows as _},
    statements::{Statement, both, each},
    with_conn,
};
use crate::domain::{
    ids::{EventId, JobId, TenantId},
    log::Kind,
};

pub mod scribe;
pub mod search;

pub use scribe::{DetailKey, EventDraft, Scribe, ScribeError};
pub use search::{EvidenceRow, FoundEvent, Search, search};

/// A row to be appended to the log; [`Scribe::event`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// The event's id; carries its time.
    pub id: EventId,
    /// Whose log it goes into.
    pub tenant: TenantId,
    /// The delivery it is about, if it is about one.
    pub job: Option<JobId>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub kind: Kind,
    /// Why, as a code of docs/ERRORS.md.
    pub code: Option<String>,
    /// The leaf, as it will stand in the tree.
    pub leaf: Vec<u8>,
    /// The sealed detail, if there is one.
    pub detail: Option<Vec<u8>>,
    /// Under which key the detail is sealed: `delivery`, or `access/yyyymm`.
    pub detail_key: Option<String>,
}

/// A row of the log as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// What was appended.
    pub row: EventRow,
    /// Its place in the tenant's tree, once it has one.
    pub leaf_index: Option<i64>,
}

macro_rules! event_columns {
    () => {
        "e.id, e.tenant, e.job_id, e.at, e.kind, e.code, e.leaf, e.detail, e.detail_key, \
         e.leaf_index"
    };
}
pub(crate) use event_columns;

pub(super) const APPEND_ONE: &str = "
    -- append
    INSERT INTO audit_events (id, tenant, job_id, at, kind, code, leaf, detail, detail_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
";
const APPEND_MANY: &str = "
    -- append
    INSERT INTO audit_events (id, tenant, job_id, at, kind, code, leaf, detail, detail_key)
    SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::text[],
                         $6::text[], $7::bytea[], $8::bytea[], $9::text[])
";

/// Appends rows to the log, in the transaction that makes them true.
pub async fn append(tx: &mut Tx, rows: &[EventRow]) -> Result<(), StoreError> {
    let act = "append to the log";
    if rows.is_empty() {
        return Ok(());
    }
    match tx {
        Tx::Sqlite(tx) => {
            for row in rows {
                append_one(&mut tx.inner, row).await.doing(act)?;
            }
        }
        Tx::Postgres(tx) => {
            let columns = EventColumns::of(rows.iter());
            sqlx::query(APPEND_MANY)
                .bind(columns.id)
                .bind(columns.tenant)
                .bind(columns.job)
                .bind_told(columns.told)
                .run(&mut *tx.inner)
                .await
                .doing(act)?;
        }
    }
    Ok(())
}

/// Appends one row on SQLite.
pub(super) async fn append_one(
    conn: &mut sqlx::SqliteConnection,
    row: &EventRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(APPEND_ONE)
        .bind(row.id.0)
        .bind(row.tenant.as_str())
        .bind(row.job.map(|job| job.0))
        .bind(row.at.timestamp_micros())
        .bind(row.kind.word())
        .bind(row.code.as_deref())
        .bind(row.leaf.as_slice())
        .bind(row.detail.as_deref())
        .bind(row.detail_key.as_deref())
        .run(conn)
        .await
        .map(drop)
}

/// Rows of the log as the arrays of a batch statement.
#[derive(Default)]
pub(super) struct EventColumns<'r> {
    pub(super) id: Vec<Uuid>,
    pub(super) tenant: Vec<&'r str>,
    pub(super) job: Vec<Option<Uuid>>,
    pub(super) told: Told<'r>,
}

/// What rows of the log say: instant, kind, code, leaf, detail and its key.
#[derive(Default)]
pub(super) struct Told<'r> {
    at: Vec<i64>,
    kind: Vec<&'static str>,
    code: Vec<Option<&'r str>>,
    leaf: Vec<&'r [u8]>,
    detail: Vec<Option<&'r [u8]>>,
    detail_key: Vec<Option<&'r str>>,
}

/// Binds what rows of the log say as the next six parameters.
pub(super) trait BindTold<'q> {
    /// The query with them.
    fn bind_told(self, told: Told<'q>) -> Self;
}

impl<'q> BindTold<'q> for Query<'q, Postgres, PgArguments> {
    fn bind_told(self, told: Told<'q>) -> Self {
        self.bind(told.at)
            .bind(told.kind)
            .bind(told.code)
            .bind(told.leaf)
            .bind(told.detail)
            .bind(told.detail_key)
    }
}

impl<'r> EventColumns<'r> {
    pub(super) fn of(rows: impl Iterator<Item = &'r EventRow>) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.id.push(row.id.0);
            columns.tenant.push(row.tenant.as_str());
            columns.job.push(row.job.map(|job| job.0));
            columns.told.at.push(row.at.timestamp_micros());
            columns.told.kind.push(row.kind.word());
            columns.told.code.push(row.code.as_deref());
            columns.told.leaf.push(row.leaf.as_slice());
            columns.told.detail.push(row.detail.as_deref());
            columns.told.detail_key.push(row.detail_key.as_deref());
        }
        columns
    }
}

const OF_JOB: &str = concat!(
    "-- of_job
    SELECT ",
    event_columns!(),
    " FROM audit_events e
    WHERE e.job_id = $1 AND (CAST($2 AS TEXT) IS NULL OR e.tenant = $2)
    ORDER BY e.id"
);

/// Everything the log says about a delivery, oldest first.
pub async fn of_job(
    tx: &mut Tx,
    tenant: Option<&TenantId>,
    job: JobId,
) -> Result<Vec<StoredEvent>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(OF_JOB)
        .bind(job.0)
        .bind(tenant.map(TenantId::as_str))
        .all(conn)
        .await
        .doing("read a job's log")?
        .iter()
        .map(stored_event)
        .collect())
}

const OPENS_OF_JOB: &str = concat!(
    "-- opens_of_job
    SELECT ",
    event_columns!(),
    " FROM audit_events e
    WHERE e.job_id = $1 AND e.tenant = $2 AND e.kind IN ('opened', 'opened_verified')
    ORDER BY e.id DESC LIMIT $3"
);

/// The last `limit` times that a delivery was opened, newest first.
pub async fn opens_of_job(
    tx: &mut Tx,
    tenant: &TenantId,
    job: JobId,
    limit: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(OPENS_OF_JOB)
        .bind(job.0)
        .bind(tenant.as_str())
        .bind(limit)
        .all(conn)
        .await
        .doing("read a job's opens")?
        .iter()
        .map(stored_event)
        .collect())
}

/// Reads the columns of `event_columns!`.
pub(super) fn stored_event(row: &impl Cells) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        row: EventRow {
            id: EventId(row.uuid("id")?),
            tenant: row.tenant("tenant")?,
            job: row.uuid_opt("job_id")?.map(JobId),
            at: row.time("at")?,
            kind: row.word("kind", "the word of a kind", Kind::parse)?,
            code: row.text_opt("code")?,
            leaf: row.blob("leaf")?,
            detail: row.blob_opt("detail")?,
            detail_key: row.text_opt("detail_key")?,
        },
        leaf_index: row.int_opt("leaf_index")?,
    })
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    each("ledger::append", APPEND_ONE, APPEND_MANY),
    both("ledger::of_job", OF_JOB),
    both("ledger::opens_of_job", OPENS_OF_JOB),
];
