//! Deliveries: taking them on the books, and reading them back.
//!
//! What moves them is in [`work`](super::work), [`links`](super::links),
//! [`postal`](super::postal) and [`retention`](super::retention); all of it
//! goes through [`advance`] or a batch statement with the same guard.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use super::{
    StoreError, Tx,
    cells::Cells,
    error::Doing as _,
    execute,
    run::Rows as _,
    statements::{Statement, both, each},
    with_conn,
};
use crate::domain::{
    crockford::LinkNumber,
    ids::{JobId, SegmentId, TenantId},
    job::Channel,
    stage::Stage,
};

pub mod accept;
pub(super) mod one_by_one;

pub use accept::{NewEvidence, NewJob, Taken, accept, accept_now};

/// A delivery as it stands. What is sealed is ciphertext here too.
#[derive(Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The delivery.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How it travels.
    pub channel: Channel,
    /// Where it stands.
    pub stage: Stage,
    /// Why it needs a person or never arrived, as a code.
    pub reason: Option<String>,
    /// Whether nothing may really leave.
    pub test_mode: bool,
    /// When we took it on our books.
    pub accepted_at: DateTime<Utc>,
    /// Before this instant nothing leaves.
    pub send_at: DateTime<Utc>,
    /// When it came to its stage.
    pub stage_at: DateTime<Utc>,
    /// When the relay or the partner took it.
    pub dispatched_at: Option<DateTime<Utc>>,
    /// When it is to be destroyed, once the clock has started.
    pub purge_at: Option<DateTime<Utc>>,
    /// The day under whose key its data key is wrapped: days since 1970 in the
    /// tenant's calendar.
    pub purge_day: i64,
    /// When it was destroyed.
    pub purged_at: Option<DateTime<Utc>>,
    /// The data key, wrapped.
    pub wrapped_key: Option<Vec<u8>>,
    /// Names and addresses, sealed.
    pub personal: Option<Vec<u8>>,
    /// What is to be rendered, sealed; gone after dispatch.
    pub payload: Option<Vec<u8>>,
    /// The segment that holds artifact and mail.
    pub segment: Option<SegmentId>,
    /// Where the artifact begins in the segment, in bytes.
    pub artifact_offset: Option<i64>,
    /// How long the artifact is in the segment, in bytes.
    pub artifact_len: Option<i64>,
    /// Where the sealed mail begins in the segment, in bytes.
    pub mail_offset: Option<i64>,
    /// How long the sealed mail is, in bytes.
    pub mail_len: Option<i64>,
    /// The hour of the mail's key: hours since 1970.
    pub mail_hour: Option<i64>,
    /// How long the plain PDF is, in bytes.
    pub pdf_len: Option<i64>,
    /// SHA-256 of the plain PDF.
    pub pdf_sha256: Option<[u8; 32]>,
    /// How many pages it has.
    pub pages: Option<i64>,
    /// Template and version that it was rendered from.
    pub template: Option<String>,
    /// The renderer's version.
    pub renderer: Option<String>,
    /// The sender's trace context.
    pub trace: Option<String>,
}

impl std::fmt::Debug for JobRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobRow")
            .field("id", &self.id)
            .field("tenant", &self.tenant)
            .field("stage", &self.stage)
            .field("purge_day", &self.purge_day)
            .finish_non_exhaustive()
    }
}

/// Every column of a job, of a table called `j`.
macro_rules! job_columns {
    () => {
        "j.id, j.tenant, j.channel, j.stage, j.reason, j.test_mode, j.accepted_at, j.send_at, \
         j.stage_at, j.dispatched_at, j.purge_at, j.purge_day, j.purged_at, j.wrapped_key, \
         j.personal, j.payload, j.segment, j.artifact_offset, j.artifact_len, j.mail_offset, \
         j.mail_len, j.mail_hour, j.pdf_len, j.pdf_sha256, j.pages, j.template, j.renderer, \
         j.trace"
    };
}
pub(crate) use job_columns;

/// Reads the columns of `job_columns!`.
pub(super) fn job_row(row: &impl Cells) -> Result<JobRow, StoreError> {
    let digest = row.blob_opt("pdf_sha256")?.map(<[u8; 32]>::try_from).transpose();
    Ok(JobRow {
        id: JobId(row.uuid("id")?),
        tenant: row.tenant("tenant")?,
        channel: row.word("channel", "the word of a channel", Channel::parse)?,
        stage: stage_of(row)?,
        reason: row.text_opt("reason")?,
        test_mode: row.flag("test_mode")?,
        accepted_at: row.time("accepted_at")?,
        send_at: row.time("send_at")?,
        stage_at: row.time("stage_at")?,
        dispatched_at: row.time_opt("dispatched_at")?,
        purge_at: row.time_opt("purge_at")?,
        purge_day: row.int("purge_day")?,
        purged_at: row.time_opt("purged_at")?,
        wrapped_key: row.blob_opt("wrapped_key")?,
        personal: row.blob_opt("personal")?,
        payload: row.blob_opt("payload")?,
        segment: row.uuid_opt("segment")?.map(SegmentId),
        artifact_offset: row.int_opt("artifact_offset")?,
        artifact_len: row.int_opt("artifact_len")?,
        mail_offset: row.int_opt("mail_offset")?,
        mail_len: row.int_opt("mail_len")?,
        mail_hour: row.int_opt("mail_hour")?,
        pdf_len: row.int_opt("pdf_len")?,
        pdf_sha256: digest
            .map_err(|_| StoreError::Corrupt { column: "pdf_sha256", expected: "32 bytes" })?,
        pages: row.int_opt("pages")?,
        template: row.text_opt("template")?,
        renderer: row.text_opt("renderer")?,
        trace: row.text_opt("trace")?,
    })
}

/// Reads the column `stage`.
pub(super) fn stage_of(row: &impl Cells) -> Result<Stage, StoreError> {
    row.word("stage", "the word of a stage", |word| Stage::parse(word).ok())
}

macro_rules! get_sql {
    ($name:literal, $lock:literal) => {
        concat!(
            "-- ",
            $name,
            "
            SELECT ",
            job_columns!(),
            " FROM jobs j
            WHERE j.id = $1 AND (CAST($2 AS TEXT) IS NULL OR j.tenant = $2) ",
            $lock
        )
    };
}
const GET: &str = get_sql!("get", "");
const LOCK_SQLITE: &str = get_sql!("lock", "");
const LOCK_POSTGRES: &str = get_sql!("lock", "FOR UPDATE");

/// A delivery, if it exists and is `tenant`'s (or anybody's, for `None`).
pub async fn get(
    tx: &mut Tx,
    tenant: Option<&TenantId>,
    id: JobId,
) -> Result<Option<JobRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(GET)
        .bind(id.0)
        .bind(tenant.map(TenantId::as_str))
        .optional(conn)
        .await
        .doing("read a job")?
        .map(|row| job_row(&row))
        .transpose())
}

/// A delivery that stays as it is until the transaction ends. Lock its work
/// row first, if that is wanted too.
pub(super) async fn lock(tx: &mut Tx, id: JobId) -> Result<Option<JobRow>, StoreError> {
    let sql = match tx {
        Tx::Sqlite(_) => LOCK_SQLITE,
        Tx::Postgres(_) => LOCK_POSTGRES,
    };
    with_conn!(tx, |conn| sqlx::query(sql)
        .bind(id.0)
        .bind(None::<String>)
        .optional(conn)
        .await
        .doing("lock a job")?
        .map(|row| job_row(&row))
        .transpose())
}

const BY_PRINT: &str = "
    -- by_print
    SELECT d.job_id FROM dedupe d WHERE d.print = $1
";

/// The delivery that took this (tenant, job key) first.
pub async fn by_print(tx: &mut Tx, print: &[u8; 16]) -> Result<Option<JobId>, StoreError> {
    let ids = with_conn!(tx, |conn| sqlx::query(BY_PRINT).bind(print.as_slice()).ids(conn).await)
        .doing("look for a job's key")?;
    Ok(ids.first().copied().map(JobId))
}

const BETWEEN: &str = "
    -- between
    SELECT j.id FROM jobs j WHERE j.id >= $1 AND j.id < $2 ORDER BY j.id
";

/// The deliveries with this link number: nearly always one, or none.
pub async fn numbered(tx: &mut Tx, number: LinkNumber) -> Result<Vec<JobId>, StoreError> {
    let (low, high) = number.ids();
    let ids = with_conn!(tx, |conn| sqlx::query(BETWEEN).bind(low.0).bind(high.0).ids(conn).await)
        .doing("look for a link number")?;
    Ok(ids.into_iter().map(JobId).filter(|job| number.names(*job)).collect())
}

const ADVANCE: &str = "
    -- advance
    UPDATE jobs SET stage = $1, stage_at = $2, reason = $3
    WHERE id = $4 AND stage = $5
";

/// Moves a locked job to the stage that `Stage::after` gave. A move from a
/// stage to itself keeps the instant it was reached.
pub(super) async fn advance(
    tx: &mut Tx,
    job: &JobRow,
    to: Stage,
    at: DateTime<Utc>,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let act = "advance a job";
    let at = if to == job.stage { job.stage_at } else { at };
    let changed = execute!(
        tx,
        act,
        ADVANCE,
        to.word(),
        at.timestamp_micros(),
        reason,
        job.id.0,
        job.stage.word()
    )?;
    // The row is locked, so somebody else cannot have been first.
    if changed == 1 { Ok(()) } else { Err(StoreError::Busy { act, source: None }) }
}

/// Which deliveries to list: all that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only those at this stage.
    pub stage: Option<Stage>,
    /// Only those that travel this way.
    pub channel: Option<Channel>,
    /// Only those with this code.
    pub reason: Option<String>,
    /// Only those older than this one: the last of the page before.
    pub after: Option<JobId>,
    /// How many at most; never more than 1,000.
    pub limit: i64,
}

macro_rules! list_body {
    ($db:ty, $conn:expr, $filter:expr) => {{
        let filter: &JobFilter = $filter;
        let mut sql = QueryBuilder::<$db>::new(concat!("-- list\nSELECT ", job_columns!()));
        // What is in flight is found through the small table of work; what
        // needs a person, through the index of reasons.
        match filter.stage {
            Some(Stage::Accepted) => {
                sql.push(" FROM jobs j JOIN work w ON w.job_id = j.id WHERE j.stage = 'accepted'")
            }
            Some(stage @ (Stage::Parked | Stage::Ambiguous)) => sql
                .push(" FROM jobs j WHERE j.reason IS NOT NULL AND j.purged_at IS NULL")
                .push(" AND j.stage = ")
                .push_bind(stage.word()),
            Some(
                stage @ (Stage::Sealed
                | Stage::Dispatched
                | Stage::Opened
                | Stage::Cancelled
                | Stage::Recalled
                | Stage::Undeliverable
                | Stage::Purged),
            ) => sql.push(" FROM jobs j WHERE j.stage = ").push_bind(stage.word()),
            None => sql.push(" FROM jobs j WHERE 1 = 1"),
        };
        if let Some(tenant) = &filter.tenant {
            sql.push(" AND j.tenant = ").push_bind(tenant.as_str().to_owned());
        }
        if let Some(channel) = filter.channel {
            sql.push(" AND j.channel = ").push_bind(channel.word());
        }
        if let Some(reason) = &filter.reason {
            sql.push(" AND j.purged_at IS NULL AND j.reason = ").push_bind(reason.clone());
        }
        if let Some(after) = filter.after {
            sql.push(" AND j.id < ").push_bind(after.0);
        }
        sql.push(" ORDER BY j.id DESC LIMIT ").push_bind(filter.limit.clamp(0, 1_000));
        sql.build().all($conn).await.doing("list jobs")?.iter().map(job_row).collect()
    }};
}

/// Deliveries, newest first, in pages.
pub async fn list(tx: &mut Tx, filter: &JobFilter) -> Result<Vec<JobRow>, StoreError> {
    match tx {
        Tx::Sqlite(tx) => list_body!(sqlx::Sqlite, &mut *tx.inner, filter),
        Tx::Postgres(tx) => list_body!(sqlx::Postgres, &mut *tx.inner, filter),
    }
}

const COUNT_WORK: &str = "
    -- stage_counts
    SELECT w.step AS step, COUNT(*) AS count, MIN(w.run_at) AS oldest
    FROM work w GROUP BY w.step
";
const COUNT_PIECES: &str = "
    -- stage_counts
    SELECT COUNT(*) AS count, MIN(p.handed_at) AS oldest
    FROM pieces p WHERE p.state = 'handed'
";
const COUNT_TROUBLE: &str = "
    -- stage_counts
    SELECT j.stage AS stage, COUNT(*) AS count, MIN(j.stage_at) AS oldest
    FROM jobs j WHERE j.reason IS NOT NULL AND j.purged_at IS NULL GROUP BY j.stage
";

/// How many deliveries stand where, as far as it is cheap to say: `accepted`
/// and `sealed` from the small tables of work and of letters on their way
/// (oldest: the earliest due time, or hand-over), the rest only where a reason
/// is noted, through the index of reasons. Deliveries at rest are not counted;
/// counters of events are for that.
pub async fn stage_counts(
    tx: &mut Tx,
) -> Result<Vec<(Stage, i64, Option<DateTime<Utc>>)>, StoreError> {
    let act = "count jobs by stage";
    let mut counts: Vec<(Stage, i64, Option<DateTime<Utc>>)> = vec![];
    let mut add = |stage: Stage, count: i64, oldest: Option<DateTime<Utc>>| {
        if count == 0 {
            return;
        }
        if let Some(known) = counts.iter_mut().find(|known| known.0 == stage) {
            known.1 = known.1.saturating_add(count);
            known.2 = [known.2, oldest].into_iter().flatten().min();
        } else {
            counts.push((stage, count, oldest));
        }
    };
    with_conn!(tx, |conn| {
        for row in &sqlx::query(COUNT_WORK).all(&mut *conn).await.doing(act)? {
            let stage = if row.text("step")? == "seal" { Stage::Accepted } else { Stage::Sealed };
            add(stage, row.int("count")?, row.time_opt("oldest")?);
        }
        for row in &sqlx::query(COUNT_PIECES).all(&mut *conn).await.doing(act)? {
            add(Stage::Sealed, row.int("count")?, row.time_opt("oldest")?);
        }
        for row in &sqlx::query(COUNT_TROUBLE).all(&mut *conn).await.doing(act)? {
            add(stage_of(row)?, row.int("count")?, row.time_opt("oldest")?);
        }
    });
    Ok(counts)
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    both("jobs::get", GET),
    each("jobs::lock", LOCK_SQLITE, LOCK_POSTGRES),
    both("jobs::by_print", BY_PRINT),
    both("jobs::numbered", BETWEEN),
    both("jobs::advance", ADVANCE),
    both("jobs::stage_counts work", COUNT_WORK),
    both("jobs::stage_counts pieces", COUNT_PIECES),
    both("jobs::stage_counts trouble", COUNT_TROUBLE),
];
