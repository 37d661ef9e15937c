//! The second group commit: what was sealed is on record, and the marker is
//! set, before a mail may leave.
//!
//! A row counts only while its lease is the caller's and its delivery is still
//! `accepted`; whatever was cancelled or taken over meanwhile is left alone,
//! and its bytes in the segment are nobody's.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{Epoch, JobId, SegmentId},
        stage::{Event, Stage},
    },
    store::{
        Db, StoreError, Tx,
        error::Doing as _,
        execute,
        ledger::{self, BindTold as _, EventColumns},
        outbox::{self, OutboxColumns, OutboxRow},
        run::{Change as _, Rows as _},
        statements::{Statement, both, postgres, sqlite},
    },
};

use super::sealed::{NewLink, SealedJob};

const ACT: &str = "record what was sealed";

/// Records sealed documents of one segment, commits, and answers which held.
/// On PostgreSQL one statement and one round trip. The marker `sending_since`
/// is set for those that are sent now.
pub async fn seal_now(
    db: &Db,
    epoch: Epoch,
    now: DateTime<Utc>,
    segment: SegmentId,
    jobs: &[SealedJob],
    outbox: &[OutboxRow],
) -> Result<Vec<JobId>, StoreError> {
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    if let Db::Postgres(pg) = db {
        db.check("begin")?;
        let mut conn = pg.acquire().await.doing(ACT)?;
        db.check("commit")?;
        let held = bind_all(epoch, now, segment, jobs, outbox)?.ids(&mut *conn).await.doing(ACT)?;
        db.check("committed")?;
        return Ok(held.into_iter().map(JobId).collect());
    }
    let mut tx = db.begin().await?;
    let mut held = vec![];
    for job in jobs {
        if seal_one(&mut tx, epoch, now, segment, job).await? {
            ledger::append(&mut tx, std::slice::from_ref(&job.event)).await?;
            outbox::add_of(&mut tx, outbox, job.job).await?;
            held.push(job.job);
        }
    }
    if !held.is_empty() {
        let live = i64::try_from(held.len()).unwrap_or(i64::MAX);
        execute!(&mut tx, ACT, COUNT_SEGMENT, segment.0, now.timestamp_micros(), epoch.0, live)?;
    }
    tx.commit().await?;
    Ok(held)
}

// `IS NOT DISTINCT FROM` is `=` that no index serves: rows are found by their
// id. The index of leases holds all that its process ever leased until a vacuum.
const POSTGRES: &str = "
    -- seal_now
    WITH input AS MATERIALIZED (
        SELECT * FROM UNNEST(
            $6::uuid[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
            $12::bigint[], $13::bytea[], $14::bigint[], $15::text[], $16::text[], $17::text[],
            $18::bigint[], $19::bigint[], $20::text[], $21::uuid[], $22::text[],
            $23::bigint[], $24::text[], $25::text[], $26::bytea[], $27::bytea[], $28::text[]
        ) AS t (
            job, artifact_offset, artifact_len, mail_offset, mail_len, mail_hour,
            pdf_len, pdf_sha256, pages, template, renderer, step,
            run_at, sends, partner, event, tenant,
            at, kind, code, leaf, detail, detail_key
        )
    ),
    mine AS MATERIALIZED (
        SELECT w.job_id FROM input i JOIN work w ON w.job_id = i.job
        WHERE w.lease_epoch IS NOT DISTINCT FROM $1
        ORDER BY w.job_id FOR UPDATE OF w
    ),
    held AS (
        UPDATE jobs j
        SET stage = $4, stage_at = $2, reason = NULL, segment = $3,
            artifact_offset = i.artifact_offset, artifact_len = i.artifact_len,
            mail_offset = i.mail_offset, mail_len = i.mail_len, mail_hour = i.mail_hour,
            pdf_len = i.pdf_len, pdf_sha256 = i.pdf_sha256, pages = i.pages,
            template = i.template, renderer = i.renderer
        FROM input i
        WHERE j.id = i.job AND j.stage = $5 AND (i.job IN (SELECT job_id FROM mine)) IS TRUE
        RETURNING j.id
    ),
    new_link AS (
        INSERT INTO links (day, print, job_id, tenant, expires_at, max_opens, opens)
        SELECT l.day, l.print, l.job, l.tenant, l.expires_at, l.max_opens, 0
        FROM UNNEST($29::uuid[], $30::text[], $31::bigint[], $32::bytea[], $33::bigint[],
                    $34::bigint[]) AS l (job, tenant, day, print, expires_at, max_opens)
        WHERE (l.job IN (SELECT id FROM held)) IS TRUE
    ),
    new_reminder AS (
        INSERT INTO reminders (job_id, tenant, rule, days, due_at, state)
        SELECT r.job, r.tenant, r.rule, r.days, r.due_at, 'planned'
        FROM UNNEST($39::uuid[], $40::text[], $41::text[], $42::bigint[], $43::bigint[])
            AS r (job, tenant, rule, days, due_at)
        WHERE (r.job IN (SELECT id FROM held)) IS TRUE
        ON CONFLICT (job_id) DO UPDATE SET due_at = EXCLUDED.due_at, state = EXCLUDED.state
    ),
    new_piece AS (
        INSERT INTO pieces (job_id, tenant, partner, state, pages, sha256)
        SELECT job, tenant, partner, 'waiting', pages, pdf_sha256
        FROM input WHERE partner IS NOT NULL AND (job IN (SELECT id FROM held)) IS TRUE
    ),
    next_step AS (
        UPDATE work w
        -- What is sent now keeps its due time, which stands in an index.
        SET step = i.step, run_at = COALESCE(i.run_at, w.run_at), attempt = i.sends,
            first_try_at = CASE i.sends WHEN 1 THEN $2 END,
            lease_epoch = CASE i.sends WHEN 1 THEN $1 END,
            sending_since = CASE i.sends WHEN 1 THEN $2 END
        FROM input i
        WHERE w.job_id = i.job AND w.lease_epoch IS NOT DISTINCT FROM $1
          AND (i.job IN (SELECT id FROM held)) IS TRUE
    ),
    new_event AS (
        INSERT INTO audit_events (id, tenant, job_id, at, kind, code, leaf, detail, detail_key)
        SELECT event, tenant, job, at, kind, code, leaf, detail, detail_key
        FROM input WHERE (job IN (SELECT id FROM held)) IS TRUE
    ),
    new_outbox AS (
        INSERT INTO outbox (id, routing_key, sealed)
        SELECT o.id, o.routing_key, o.sealed
        FROM UNNEST($35::uuid[], $36::uuid[], $37::text[], $38::bytea[])
            AS o (id, job_id, routing_key, sealed)
        WHERE (o.job_id IN (SELECT id FROM held)) IS TRUE
    ),
    counted AS (
        INSERT INTO segments (id, opened_at, epoch, live, sealed_count)
        SELECT $3, $2, $1, COUNT(*), COUNT(*) FROM held HAVING COUNT(*) > 0
        ON CONFLICT (id) DO UPDATE
        SET live = segments.live + EXCLUDED.live,
            sealed_count = segments.sealed_count + EXCLUDED.sealed_count
    )
    SELECT id FROM held
";

type PgQuery<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind_all<'q>(
    epoch: Epoch,
    now: DateTime<Utc>,
    segment: SegmentId,
    jobs: &'q [SealedJob],
    outbox: &'q [OutboxRow],
) -> Result<PgQuery<'q>, StoreError> {
    let events = EventColumns::of(jobs.iter().map(|job| &job.event));
    let outbox = OutboxColumns::of(outbox);
    let links = || jobs.iter().filter_map(|job| Some((job, job.link.as_ref()?)));
    let plans = || links().filter_map(|(job, link)| Some((job, link.plan()?)));
    Ok(sqlx::query(POSTGRES)
        .bind(epoch.0)
        .bind(now.timestamp_micros())
        .bind(segment.0)
        .bind(Stage::Accepted.after(Event::Seal)?.word())
        .bind(Stage::Accepted.word())
        .bind(jobs.iter().map(|job| job.job.0).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.artifact_offset).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.artifact_len).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.mail.map(|mail| mail.offset)).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.mail.map(|mail| mail.len)).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.mail.map(|mail| mail.hour)).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.pdf_len).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.pdf_sha256.as_slice()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.pages).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.template.as_deref()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.renderer.as_deref()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.step().word()).collect::<Vec<_>>())
        .bind(jobs.iter().map(SealedJob::run_at).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| i64::from(job.sends_now())).collect::<Vec<_>>())
        .bind(jobs.iter().map(SealedJob::partner).collect::<Vec<_>>())
        .bind(events.id)
        .bind(events.tenant)
        .bind_told(events.told)
        .bind(links().map(|(job, _)| job.job.0).collect::<Vec<_>>())
        .bind(links().map(|(job, _)| job.event.tenant.as_str()).collect::<Vec<_>>())
        .bind(links().map(|(_, link)| link.day).collect::<Vec<_>>())
        .bind(links().map(|(_, link)| link.print.as_slice()).collect::<Vec<_>>())
        .bind(links().map(|(_, link)| link.expires_at.timestamp_micros()).collect::<Vec<_>>())
        .bind(links().map(|(_, link)| link.max_opens).collect::<Vec<_>>())
        .bind(outbox.id)
        .bind(outbox.job)
        .bind(outbox.routing_key)
        .bind(outbox.sealed)
        .bind(plans().map(|(job, _)| job.job.0).collect::<Vec<_>>())
        .bind(plans().map(|(job, _)| job.event.tenant.as_str()).collect::<Vec<_>>())
        .bind(plans().map(|(_, (rule, _, _))| rule).collect::<Vec<_>>())
        .bind(plans().map(|(_, (_, days, _))| days).collect::<Vec<_>>())
        .bind(plans().map(|(_, (_, _, at))| at).collect::<Vec<_>>()))
}

const SEAL_JOB: &str = "
    -- seal_now: job
    UPDATE jobs
    SET stage = $1, stage_at = $2, reason = NULL, segment = $3, artifact_offset = $4,
        artifact_len = $5, mail_offset = $6, mail_len = $7, mail_hour = $8, pdf_len = $9,
        pdf_sha256 = $10, pages = $11, template = $12, renderer = $13
    WHERE id = $14 AND stage = $15
      AND EXISTS (SELECT 1 FROM work w WHERE w.job_id = $14 AND w.lease_epoch = $16)
";
const INSERT_LINK: &str = "
    -- seal_now: link
    INSERT INTO links (day, print, job_id, tenant, expires_at, max_opens, opens)
    VALUES ($1, $2, $3, $4, $5, $6, 0)
";
const INSERT_REMINDER: &str = "
    -- seal_now: reminder
    INSERT INTO reminders (job_id, tenant, rule, days, due_at, state)
    VALUES ($1, $2, $3, $4, $5, 'planned')
    ON CONFLICT (job_id) DO UPDATE SET due_at = EXCLUDED.due_at, state = EXCLUDED.state
";
const INSERT_PIECE: &str = "
    -- seal_now: piece
    INSERT INTO pieces (job_id, tenant, partner, state, pages, sha256)
    VALUES ($1, $2, $3, 'waiting', $4, $5)
";
const NEXT_STEP: &str = "
    -- seal_now: next step
    UPDATE work
    SET step = $1, run_at = COALESCE($2, run_at), attempt = $3, first_try_at = $4, lease_epoch = $5,
        sending_since = $4
    WHERE job_id = $6 AND lease_epoch = $7
";
const COUNT_SEGMENT: &str = "
    -- seal_now: segment
    INSERT INTO segments (id, opened_at, epoch, live, sealed_count)
    VALUES ($1, $2, $3, $4, $4)
    ON CONFLICT (id) DO UPDATE
    SET live = segments.live + EXCLUDED.live,
        sealed_count = segments.sealed_count + EXCLUDED.sealed_count
";

/// One row on SQLite, where one statement cannot carry many.
async fn seal_one(
    tx: &mut Tx,
    epoch: Epoch,
    now: DateTime<Utc>,
    segment: SegmentId,
    job: &SealedJob,
) -> Result<bool, StoreError> {
    let Tx::Sqlite(tx) = tx else { return Ok(false) };
    let conn = &mut *tx.inner;
    let changed = sqlx::query(SEAL_JOB)
        .bind(Stage::Accepted.after(Event::Seal)?.word())
        .bind(now.timestamp_micros())
        .bind(segment.0)
        .bind(job.artifact_offset)
        .bind(job.artifact_len)
        .bind(job.mail.map(|mail| mail.offset))
        .bind(job.mail.map(|mail| mail.len))
        .bind(job.mail.map(|mail| mail.hour))
        .bind(job.pdf_len)
        .bind(job.pdf_sha256.as_slice())
        .bind(job.pages)
        .bind(job.template.as_deref())
        .bind(job.renderer.as_deref())
        .bind(job.job.0)
        .bind(Stage::Accepted.word())
        .bind(epoch.0)
        .run(&mut *conn)
        .await
        .doing(ACT)?;
    if changed != 1 {
        return Ok(false);
    }
    follow_up(conn, epoch, now, job).await.doing(ACT)?;
    Ok(true)
}

async fn follow_up(
    conn: &mut sqlx::SqliteConnection,
    epoch: Epoch,
    now: DateTime<Utc>,
    job: &SealedJob,
) -> Result<(), sqlx::Error> {
    let tenant = job.event.tenant.as_str();
    if let Some(link) = &job.link {
        sqlx::query(INSERT_LINK)
            .bind(link.day)
            .bind(link.print.as_slice())
            .bind(job.job.0)
            .bind(tenant)
            .bind(link.expires_at.timestamp_micros())
            .bind(link.max_opens)
            .run(&mut *conn)
            .await?;
    }
    if let Some((rule, days, at)) = job.link.as_ref().and_then(NewLink::plan) {
        sqlx::query(INSERT_REMINDER)
            .bind(job.job.0)
            .bind(tenant)
            .bind(rule)
            .bind(days)
            .bind(at)
            .run(&mut *conn)
            .await?;
    }
    if let Some(partner) = job.partner() {
        sqlx::query(INSERT_PIECE)
            .bind(job.job.0)
            .bind(tenant)
            .bind(partner)
            .bind(job.pages)
            .bind(job.pdf_sha256.as_slice())
            .run(&mut *conn)
            .await?;
    }
    sqlx::query(NEXT_STEP)
        .bind(job.step().word())
        .bind(job.run_at())
        .bind(i64::from(job.sends_now()))
        .bind(job.sends_now().then(|| now.timestamp_micros()))
        .bind(job.sends_now().then_some(epoch.0))
        .bind(job.job.0)
        .bind(epoch.0)
        .run(conn)
        .await
        .map(drop)
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    postgres("seal_now", POSTGRES),
    sqlite("seal_now: job", SEAL_JOB),
    both("seal_now: link", INSERT_LINK),
    sqlite("seal_now: reminder", INSERT_REMINDER),
    both("seal_now: piece", INSERT_PIECE),
    sqlite("seal_now: next step", NEXT_STEP),
    both("seal_now: segment", COUNT_SEGMENT),
];
