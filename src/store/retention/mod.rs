//! What is due, and the statements that make it gone.
//!
//! Purging clears every sealed column of a delivery, revokes its links, ends
//! its work and takes it off its segment, in one transaction with its event.
//! The key is destroyed elsewhere, before; the bytes elsewhere, after. A purge
//! day moves to a later day only, never to an earlier one.
//!
//! Refuses to guess: a delivery whose clock never started is listed with what
//! is known of it, and what happens to it is the retention room's decision.

use chrono::{DateTime, Utc};

use super::{
    StoreError, Tx,
    cells::Cells,
    error::Doing as _,
    execute, factors, jobs,
    ledger::{self, BindTold as _, EventColumns, EventRow},
    links,
    outbox::{self, OutboxColumns, OutboxRow},
    reminders,
    run::{Change as _, Rows as _},
    statements::{Statement, both, postgres, sqlite},
    with_conn, work,
};
use crate::domain::{
    ids::{JobId, SegmentId, TenantId},
    job::Channel,
    stage::{Event, Stage},
};

pub mod exceptions;
pub mod months;
pub mod segments;

pub use exceptions::{
    due_one, exceptions_on_day, needed_mail_hours, old_undispatched, ripe, too_old,
};
pub use months::{drop_month, droppable_months, forget_keys};
pub use segments::{SegmentRow, close_segments, empty_segments, known_segments, segment_destroyed};

/// A delivery whose day has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueJob {
    /// The delivery.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How it travelled.
    pub channel: Channel,
    /// Where it stands.
    pub stage: Stage,
    /// The day under whose key it lies.
    pub purge_day: i64,
    /// When it is to be destroyed; nothing, if its clock never started.
    pub purge_at: Option<DateTime<Utc>>,
    /// Before this instant nothing left.
    pub send_at: DateTime<Utc>,
    /// The segment that holds its bytes.
    pub segment: Option<SegmentId>,
    /// Whether something is still to be done for it.
    pub has_work: bool,
    /// Whether its mail may be leaving.
    pub sending: bool,
}

const DUE: &str = "
    -- due
    SELECT j.id, j.tenant, j.channel, j.stage, j.purge_day, j.purge_at, j.send_at, j.segment,
           CAST(CASE WHEN w.job_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_work,
           w.sending_since
    FROM jobs j LEFT JOIN work w ON w.job_id = j.id
    WHERE j.purged_at IS NULL AND j.purge_day <= $1
      AND (j.purge_at IS NULL OR j.purge_at <= $2)
    ORDER BY j.purge_day LIMIT $3
";

/// Deliveries whose purge day is `before_day` or earlier (days since 1970) and
/// whose hour, if they have one, has come by `now`. The earliest day first.
pub async fn due(
    tx: &mut Tx,
    before_day: i64,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueJob>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(DUE)
        .bind(before_day)
        .bind(now.timestamp_micros())
        .bind(limit)
        .all(conn)
        .await
        .doing("look for what is due")?
        .iter()
        .map(due_job)
        .collect())
}

fn due_job(row: &impl Cells) -> Result<DueJob, StoreError> {
    Ok(DueJob {
        id: JobId(row.uuid("id")?),
        tenant: row.tenant("tenant")?,
        channel: row.word("channel", "the word of a channel", Channel::parse)?,
        stage: jobs::stage_of(row)?,
        purge_day: row.int("purge_day")?,
        purge_at: row.time_opt("purge_at")?,
        send_at: row.time("send_at")?,
        segment: row.uuid_opt("segment")?.map(SegmentId),
        has_work: row.flag("has_work")?,
        sending: row.int_opt("sending_since")?.is_some(),
    })
}

/// A delivery to be purged.
#[derive(Clone, Debug)]
pub struct PurgeJob {
    /// The delivery.
    pub id: JobId,
    /// Why, if not because its time was over: `never_dispatched`.
    pub reason: Option<String>,
    /// The event `purged` or `never_dispatched`.
    pub event: EventRow,
}

const PURGE_POSTGRES: &str = "
    -- purge
    WITH input AS MATERIALIZED (
        SELECT * FROM UNNEST(
            $3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::bigint[], $8::text[], $9::text[],
            $10::bytea[], $11::bytea[], $12::text[]
        ) AS t (job, reason, event, tenant, at, kind, code, leaf, detail, detail_key)
    ),
    idle AS MATERIALIZED (
        SELECT w.job_id FROM work w WHERE w.job_id = ANY($3::uuid[])
        ORDER BY w.job_id FOR UPDATE
    ),
    mine AS MATERIALIZED (
        SELECT j.id, j.segment FROM jobs j
        WHERE j.id = ANY($3::uuid[]) AND j.purged_at IS NULL
          AND (SELECT COUNT(*) FROM idle) >= 0
        ORDER BY j.id FOR UPDATE OF j
    ),
    cleared AS (
        UPDATE jobs j
        SET stage = $2, stage_at = $1, purged_at = $1, reason = COALESCE(i.reason, j.reason),
            wrapped_key = NULL, personal = NULL, payload = NULL, segment = NULL,
            artifact_offset = NULL, artifact_len = NULL, mail_offset = NULL, mail_len = NULL,
            mail_hour = NULL, trace = NULL
        FROM input i
        WHERE j.id = i.job AND j.purged_at IS NULL AND (i.job IN (SELECT id FROM mine)) IS TRUE
        RETURNING j.id
    ),
    revoked AS (
        UPDATE links l SET revoked_at = $1 WHERE l.job_id = ANY($3::uuid[]) AND l.revoked_at IS NULL
          AND (l.job_id IN (SELECT id FROM cleared)) IS TRUE
    ),
    ended AS (
        DELETE FROM work w WHERE w.job_id = ANY($3::uuid[]) AND (w.job_id IN (SELECT id FROM cleared)) IS TRUE
    ),
    unposted AS (
        DELETE FROM pieces p WHERE p.job_id = ANY($3::uuid[]) AND (p.job_id IN (SELECT id FROM cleared)) IS TRUE
    ),
    untried AS (
        DELETE FROM factors f WHERE f.job_id = ANY($3::uuid[]) AND (f.job_id IN (SELECT id FROM cleared)) IS TRUE
    ),
    unmailed AS (
        DELETE FROM code_mails c WHERE c.job_id = ANY($3::uuid[]) AND (c.job_id IN (SELECT id FROM cleared)) IS TRUE
    ),
    unissued AS (
        DELETE FROM reissues r WHERE r.job_id = ANY($3::uuid[]) AND (r.job_id IN (SELECT id FROM cleared)) IS TRUE
    ),
    unplanned AS (
        DELETE FROM reminders r WHERE r.job_id = ANY($3::uuid[]) AND (r.job_id IN (SELECT id FROM cleared)) IS TRUE
    ),
    untwinned AS (
        DELETE FROM twins t WHERE t.job_id = ANY($3::uuid[]) AND (t.job_id IN (SELECT id FROM cleared)) IS TRUE
    ),
    emptied AS (
        UPDATE segments s SET live = s.live - g.count
        FROM (
            SELECT m.segment, COUNT(*) AS count FROM mine m
            WHERE m.segment IS NOT NULL AND (m.id IN (SELECT id FROM cleared)) IS TRUE
            GROUP BY m.segment
        ) g
        WHERE s.id = g.segment
    ),
    new_event AS (
        INSERT INTO audit_events (id, tenant, job_id, at, kind, code, leaf, detail, detail_key)
        SELECT event, tenant, job, at, kind, code, leaf, detail, detail_key FROM input
        WHERE (job IN (SELECT id FROM cleared)) IS TRUE
    ),
    new_outbox AS (
        INSERT INTO outbox (id, routing_key, sealed)
        SELECT o.id, o.routing_key, o.sealed
        FROM UNNEST($13::uuid[], $14::uuid[], $15::text[], $16::bytea[]) AS o (id, job_id, routing_key, sealed)
        WHERE (o.job_id IN (SELECT id FROM cleared)) IS TRUE
    ) SELECT id FROM cleared
";

/// Purges deliveries and answers which; those that were purged before are left
/// alone and nothing is written for them.
pub async fn purge(
    tx: &mut Tx,
    now: DateTime<Utc>,
    items: &[PurgeJob],
    outbox: &[OutboxRow],
) -> Result<Vec<JobId>, StoreError> {
    if items.is_empty() {
        return Ok(vec![]);
    }
    if let Tx::Postgres(tx) = tx {
        let events = EventColumns::of(items.iter().map(|item| &item.event));
        let outbox = OutboxColumns::of(outbox);
        let ids = sqlx::query(PURGE_POSTGRES)
            .bind(now.timestamp_micros())
            .bind(Stage::Dispatched.after(Event::Expire)?.word())
            .bind(items.iter().map(|item| item.id.0).collect::<Vec<_>>())
            .bind(items.iter().map(|item| item.reason.as_deref()).collect::<Vec<_>>())
            .bind(events.id)
            .bind(events.tenant)
            .bind_told(events.told)
            .bind(outbox.id)
            .bind(outbox.job)
            .bind(outbox.routing_key)
            .bind(outbox.sealed)
            .ids(&mut *tx.inner)
            .await
            .doing("purge")?;
        return Ok(ids.into_iter().map(JobId).collect());
    }
    let mut purged = vec![];
    for item in items {
        if purge_one(tx, now, item).await? {
            outbox::add_of(tx, outbox, item.id).await?;
            purged.push(item.id);
        }
    }
    Ok(purged)
}

const CLEAR: &str = "
    -- purge: clear
    UPDATE jobs
    SET stage = $1, stage_at = $2, purged_at = $2, reason = COALESCE($3, reason),
        wrapped_key = NULL, personal = NULL, payload = NULL, segment = NULL,
        artifact_offset = NULL, artifact_len = NULL, mail_offset = NULL, mail_len = NULL,
        mail_hour = NULL, trace = NULL
    WHERE id = $4 AND purged_at IS NULL
";
const DELETE_PIECE: &str = "
    -- purge: piece
    DELETE FROM pieces WHERE job_id = $1
";
const LEAVE_SEGMENT: &str = "
    -- purge: segment
    UPDATE segments SET live = live - 1 WHERE id = $1
";

async fn purge_one(tx: &mut Tx, now: DateTime<Utc>, item: &PurgeJob) -> Result<bool, StoreError> {
    let act = "purge";
    let Some((row, _)) = work::lock_both(tx, item.id).await? else { return Ok(false) };
    let Ok(stage) = row.stage.after(Event::Expire) else { return Ok(false) };
    let cleared = execute!(
        tx,
        act,
        CLEAR,
        stage.word(),
        now.timestamp_micros(),
        item.reason.as_deref(),
        item.id.0
    )?;
    if cleared != 1 {
        return Ok(false);
    }
    work::delete(tx, item.id).await?;
    work::reissue::forget(tx, item.id).await?;
    links::revoke_of_job(tx, item.id, now).await?;
    factors::forget(tx, item.id).await?;
    reminders::forget(tx, item.id).await?;
    with_conn!(&mut *tx, |conn| {
        sqlx::query(DELETE_PIECE).bind(item.id.0).run(&mut *conn).await.doing(act)?;
        if let Some(segment) = row.segment {
            sqlx::query(LEAVE_SEGMENT).bind(segment.0).run(conn).await.doing(act)?;
        }
    });
    ledger::append(tx, std::slice::from_ref(&item.event)).await?;
    Ok(true)
}

const REWRAP: &str = "
    -- rewrap
    UPDATE jobs SET wrapped_key = $1, purge_day = $2
    WHERE id = $3 AND purge_day = $4 AND purge_day < $2 AND purged_at IS NULL
";

/// Puts a data key, wrapped anew by the caller, under a later day. False, and
/// nothing is written, when the day is not later, when the row lies under
/// another day than `from_day` by now, or when it is purged.
pub async fn rewrap(
    tx: &mut Tx,
    job: JobId,
    from_day: i64,
    to_day: i64,
    wrapped_key: &[u8],
) -> Result<bool, StoreError> {
    let rows = execute!(tx, "re-wrap a key", REWRAP, wrapped_key, to_day, job.0, from_day)?;
    Ok(rows == 1)
}

const UNSETTLED_ON_HOUR: &str = "
    -- unsettled_on_mail_hour
    SELECT (SELECT COUNT(*) FROM work w JOIN jobs j ON j.id = w.job_id WHERE j.mail_hour = $1)
         + (SELECT COUNT(*) FROM jobs j
            WHERE j.reason IS NOT NULL AND j.purged_at IS NULL AND j.mail_hour = $1
              AND j.stage IN ('parked', 'ambiguous'))
";

/// How many mails under this hour's key may still be sent: those with work to
/// do, and those that wait for a person.
pub async fn unsettled_on_mail_hour(tx: &mut Tx, hour: i64) -> Result<i64, StoreError> {
    with_conn!(tx, |conn| sqlx::query(UNSETTLED_ON_HOUR).bind(hour).number(conn).await)
        .doing("count unsettled mails")
}

const UNSETTLED_ON_DAY: &str = "
    -- unsettled_on_day
    SELECT j.id FROM jobs j
    WHERE j.purged_at IS NULL AND j.purge_day = $1 AND j.tenant = $2
    ORDER BY j.id
";

/// The deliveries that a day's key still opens: they are to be purged, ended
/// or re-wrapped before it is destroyed.
pub async fn unsettled_on_day(
    tx: &mut Tx,
    tenant: &TenantId,
    day: i64,
) -> Result<Vec<JobId>, StoreError> {
    let ids = with_conn!(tx, |conn| sqlx::query(UNSETTLED_ON_DAY)
        .bind(day)
        .bind(tenant.as_str())
        .ids(conn)
        .await)
    .doing("list what a day's key opens")?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    both("retention::due", DUE),
    postgres("retention::purge", PURGE_POSTGRES),
    sqlite("retention::purge: clear", CLEAR),
    both("retention::purge: piece", DELETE_PIECE),
    both("retention::purge: segment", LEAVE_SEGMENT),
    both("retention::rewrap", REWRAP),
    both("retention::unsettled_on_mail_hour", UNSETTLED_ON_HOUR),
    both("retention::unsettled_on_day", UNSETTLED_ON_DAY),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_purged_expires_to_purged() {
        // The batch statement relies on it.
        for stage in Stage::ALL.into_iter().filter(|stage| *stage != Stage::Purged) {
            assert_eq!(stage.after(Event::Expire), Ok(Stage::Purged), "{stage:?}");
        }
        assert!(Stage::Purged.after(Event::Expire).is_err(), "purged is left alone");
    }
}
