//! Bytes are reserved, and the access is in the log, before they leave.
//!
//! Both databases take the locks of a recall in its order: the work row, the
//! delivery, the link. So one of the two is first. PostgreSQL does it in one
//! statement and one round trip. There a row that was waited for is looked at
//! again as it stands then, and the link is locked as well, so that a statement
//! that began before a recall does not believe what it saw before it. Only the
//! freeze of a whole tenant is seen as it was when the statement began: the
//! stream's first look finds it.

use super::Way;
use crate::{
    domain::ids::{Epoch, JobId},
    store::{
        Db, StoreError,
        error::Doing as _,
        execute,
        ledger::{self, EventRow},
        run::Rows as _,
        work,
    },
};

const ACT: &str = "reserve bytes of a document";

/// Bytes that are about to leave through a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHandout<'h> {
    /// The delivery.
    pub job: JobId,
    /// The link's day of issue: days since 1970-01-01.
    pub day: i64,
    /// The link's print.
    pub print: &'h [u8],
    /// The process that answers for it.
    pub epoch: Epoch,
    /// How it leaves.
    pub way: Way,
    /// The session's label.
    pub session: &'h str,
    /// The first byte.
    pub from_byte: i64,
    /// The byte after the last.
    pub to_byte: i64,
}

pub(super) const SQLITE: &str = "
    -- reserve
    INSERT INTO handouts (job_id, id, tenant, epoch, way, receiver, at, from_byte, to_byte)
    SELECT j.id, $1, j.tenant, $2, $3, $4, $5, $6, $7
    FROM links l JOIN jobs j ON j.id = l.job_id
    WHERE l.day = $8 AND l.print = $9 AND l.job_id = $10 AND l.revoked_at IS NULL
      AND l.expires_at > $5 AND j.purged_at IS NULL AND j.frozen_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM frozen_tenants f WHERE f.tenant = j.tenant)
";
// Each part waits for the one before it: a count is asked for, or rows joined.
pub(super) const POSTGRES: &str = "
    -- reserve
    WITH working AS MATERIALIZED (
        SELECT w.job_id FROM work w WHERE w.job_id = $10 FOR UPDATE
    ),
    held AS MATERIALIZED (
        SELECT j.id, j.tenant FROM jobs j
        WHERE j.id = $10 AND j.purged_at IS NULL AND j.frozen_at IS NULL
          AND (SELECT COUNT(*) FROM working) >= 0
        FOR UPDATE
    ),
    serving AS MATERIALIZED (
        SELECT h.id, h.tenant FROM held h JOIN links l ON l.job_id = h.id
        WHERE l.day = $8 AND l.print = $9 AND l.revoked_at IS NULL AND l.expires_at > $5
        FOR UPDATE OF l
    ),
    reserved AS (
        INSERT INTO handouts (job_id, id, tenant, epoch, way, receiver, at, from_byte, to_byte)
        SELECT s.id, $1, s.tenant, $2, $3, $4, $5, $6, $7 FROM serving s
        WHERE NOT EXISTS (SELECT 1 FROM frozen_tenants f WHERE f.tenant = s.tenant)
        RETURNING job_id
    ),
    logged AS (
        INSERT INTO audit_events (id, tenant, job_id, at, kind, code, leaf, detail, detail_key)
        SELECT $1, $11, $12, $5, $13, $14, $15, $16, $17 FROM reserved
    )
    SELECT COUNT(*) FROM reserved
";

/// Reserves bytes that are about to leave, writes the access into the log and
/// commits; the event's id becomes the row's. False, and nothing is written,
/// when the link does not serve any more at the event's instant. Not a byte may
/// leave before.
pub async fn reserve(db: &Db, new: &NewHandout<'_>, event: EventRow) -> Result<bool, StoreError> {
    let Db::Postgres(pg) = db else { return reserve_on_sqlite(db, new, event).await };
    db.check("begin")?;
    let mut conn = pg.acquire().await.doing(ACT)?;
    db.check("commit")?;
    let reserved = sqlx::query(POSTGRES)
        .bind(event.id.0)
        .bind(new.epoch.0)
        .bind(new.way.word())
        .bind(new.session)
        .bind(event.at.timestamp_micros())
        .bind(new.from_byte)
        .bind(new.to_byte)
        .bind(new.day)
        .bind(new.print)
        .bind(new.job.0)
        .bind(event.tenant.as_str())
        .bind(event.job.map(|job| job.0))
        .bind(event.kind.word())
        .bind(event.code.as_deref())
        .bind(event.leaf.as_slice())
        .bind(event.detail.as_deref())
        .bind(event.detail_key.as_deref())
        .number(&mut *conn)
        .await
        .doing(ACT)?;
    db.check("committed")?;
    Ok(reserved == 1)
}

async fn reserve_on_sqlite(
    db: &Db,
    new: &NewHandout<'_>,
    event: EventRow,
) -> Result<bool, StoreError> {
    let mut tx = db.begin().await?;
    if work::lock_both(&mut tx, new.job).await?.is_none() {
        return Ok(false);
    }
    let reserved = execute!(
        &mut tx,
        ACT,
        SQLITE,
        event.id.0,
        new.epoch.0,
        new.way.word(),
        new.session,
        event.at.timestamp_micros(),
        new.from_byte,
        new.to_byte,
        new.day,
        new.print,
        new.job.0
    )?;
    if reserved != 1 {
        return Ok(false);
    }
    ledger::append(&mut tx, &[event]).await?;
    tx.commit().await?;
    Ok(true)
}
