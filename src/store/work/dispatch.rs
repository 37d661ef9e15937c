//! The third group commit: the relay's 250 is on record and the work is done.
//!
//! Almost every row is `sealed` and still leased to the caller; those go in
//! one statement. The others (opened before the reply was read, recalled, put
//! on hold, taken over by another worker) are looked at one by one, under
//! their locks, and `Stage::after` says what the late word changes. A reply is
//! a fact: it is written down whoever holds the row by now.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{Epoch, JobId},
        stage::{Event, Stage},
    },
    store::{
        Db, StoreError, Tx,
        error::Doing as _,
        execute,
        jobs::{self, JobRow},
        ledger::{self, BindTold as _, EventColumns, EventRow},
        outbox::{self, OutboxColumns, OutboxRow},
        run::Rows as _,
        statements::{Statement, both, postgres},
    },
};

const ACT: &str = "record what was sent";

/// A mail that the relay took.
#[derive(Clone, Debug)]
pub struct DispatchedJob {
    /// The delivery.
    pub job: JobId,
    /// When the relay answered 250.
    pub dispatched_at: DateTime<Utc>,
    /// When the document is to be destroyed.
    pub purge_at: DateTime<Utc>,
    /// On which day: days since 1970 in the tenant's calendar.
    pub purge_day: i64,
    /// The data key wrapped under that day's key, if it is a later day than
    /// before.
    pub rewrapped: Option<Vec<u8>>,
    /// The event `dispatched`.
    pub event: EventRow,
}

/// Records dispatched mails, commits, and answers where each delivery stands
/// now. On PostgreSQL one statement and one round trip, unless a row needs to
/// be looked at. Unknown deliveries are left out of the answer.
pub async fn dispatched_now(
    db: &Db,
    epoch: Epoch,
    jobs: &[DispatchedJob],
    outbox: &[OutboxRow],
) -> Result<Vec<(JobId, Stage)>, StoreError> {
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let to = Stage::Sealed.after(Event::Dispatch)?;
    let mut answers = Vec::with_capacity(jobs.len());
    let mut done: HashSet<JobId> = HashSet::new();
    if let Db::Postgres(pg) = db {
        db.check("begin")?;
        let mut conn = pg.acquire().await.doing(ACT)?;
        db.check("commit")?;
        let moved = bind_all(epoch, to, jobs, outbox).ids(&mut *conn).await.doing(ACT)?;
        db.check("committed")?;
        done.extend(moved.into_iter().map(JobId));
        answers.extend(done.iter().map(|job| (*job, to)));
    }
    if done.len() < jobs.len() {
        let mut tx = db.begin().await?;
        for job in jobs.iter().filter(|job| !done.contains(&job.job)) {
            if let Some(stage) = dispatch_one(&mut tx, epoch, job, outbox).await? {
                answers.push((job.job, stage));
            }
        }
        tx.commit().await?;
    }
    Ok(answers)
}

// Rows are found by their id, not by their lease: see sealing.
const POSTGRES: &str = "
    -- dispatched_now
    WITH input AS MATERIALIZED (
        SELECT * FROM UNNEST(
            $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bytea[], $9::uuid[],
            $10::text[], $11::bigint[], $12::text[], $13::text[], $14::bytea[], $15::bytea[],
            $16::text[]
        ) AS t (
            job, dispatched_at, purge_at, purge_day, rewrapped, event,
            tenant, at, kind, code, leaf, detail,
            detail_key
        )
    ),
    mine AS MATERIALIZED (
        SELECT w.job_id FROM input i JOIN work w ON w.job_id = i.job
        WHERE w.lease_epoch IS NOT DISTINCT FROM $1
        ORDER BY w.job_id FOR UPDATE OF w
    ),
    moved AS (
        UPDATE jobs j
        SET stage = $2, stage_at = i.dispatched_at, dispatched_at = i.dispatched_at,
            purge_at = i.purge_at, purge_day = i.purge_day,
            wrapped_key = COALESCE(i.rewrapped, j.wrapped_key), payload = NULL
        FROM input i
        WHERE j.id = i.job AND j.stage = $3 AND j.purge_day <= i.purge_day
          AND (i.job IN (SELECT job_id FROM mine)) IS TRUE
        RETURNING j.id
    ),
    ended AS (
        DELETE FROM work w USING moved m
        WHERE w.job_id = m.id AND w.lease_epoch IS NOT DISTINCT FROM $1
    ),
    new_event AS (
        INSERT INTO audit_events (id, tenant, job_id, at, kind, code, leaf, detail, detail_key)
        SELECT event, tenant, job, at, kind, code, leaf, detail, detail_key
        FROM input WHERE (job IN (SELECT id FROM moved)) IS TRUE
    ),
    new_outbox AS (
        INSERT INTO outbox (id, routing_key, sealed)
        SELECT o.id, o.routing_key, o.sealed
        FROM UNNEST($17::uuid[], $18::uuid[], $19::text[], $20::bytea[])
            AS o (id, job_id, routing_key, sealed)
        WHERE (o.job_id IN (SELECT id FROM moved)) IS TRUE
    )
    SELECT id FROM moved
";

type PgQuery<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind_all<'q>(
    epoch: Epoch,
    to: Stage,
    jobs: &'q [DispatchedJob],
    outbox: &'q [OutboxRow],
) -> PgQuery<'q> {
    let events = EventColumns::of(jobs.iter().map(|job| &job.event));
    let outbox = OutboxColumns::of(outbox);
    sqlx::query(POSTGRES)
        .bind(epoch.0)
        .bind(to.word())
        .bind(Stage::Sealed.word())
        .bind(jobs.iter().map(|job| job.job.0).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.dispatched_at.timestamp_micros()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.purge_at.timestamp_micros()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.purge_day).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.rewrapped.as_deref()).collect::<Vec<_>>())
        .bind(events.id)
        .bind(events.tenant)
        .bind_told(events.told)
        .bind(outbox.id)
        .bind(outbox.job)
        .bind(outbox.routing_key)
        .bind(outbox.sealed)
}

/// One row, whatever its stage. The fact is logged in any case; what it
/// changes is for `Stage::after` to say, and a stage that knows no dispatch
/// keeps standing where it is.
async fn dispatch_one(
    tx: &mut Tx,
    epoch: Epoch,
    fact: &DispatchedJob,
    outbox: &[OutboxRow],
) -> Result<Option<Stage>, StoreError> {
    let Some((job, work)) = super::lock_both(tx, fact.job).await? else { return Ok(None) };
    let stage = match job.stage.after(Event::Dispatch) {
        Ok(stage) => {
            jobs::advance(tx, &job, stage, fact.dispatched_at, kept_reason(&job, stage)).await?;
            // A link that is issued again does not give its document more time.
            if job.dispatched_at.is_none() {
                start_clock(tx, &job, &Clock::of(fact)).await?;
            }
            stage
        }
        Err(_) => job.stage,
    };
    let ended = stage != Stage::Accepted;
    if ended && work.is_some_and(|work| work.lease.is_none_or(|lease| lease == epoch)) {
        super::delete(tx, fact.job).await?;
    }
    ledger::append(tx, std::slice::from_ref(&fact.event)).await?;
    outbox::add_of(tx, outbox, fact.job).await?;
    Ok(Some(stage))
}

/// A reason ends with the stage it explained.
pub(in crate::store) fn kept_reason(job: &JobRow, next: Stage) -> Option<&str> {
    if job.stage == next { job.reason.as_deref() } else { None }
}

const START_CLOCK: &str = "
    -- start_clock
    UPDATE jobs
    SET dispatched_at = COALESCE(dispatched_at, $1), purge_at = $2, purge_day = $3,
        wrapped_key = COALESCE($4, wrapped_key), payload = NULL
    WHERE id = $5 AND purged_at IS NULL
";

/// When a document's clock starts, and when it runs out.
pub(in crate::store) struct Clock<'c> {
    pub(in crate::store) dispatched_at: Option<DateTime<Utc>>,
    pub(in crate::store) purge_at: DateTime<Utc>,
    pub(in crate::store) purge_day: i64,
    pub(in crate::store) rewrapped: Option<&'c [u8]>,
}

impl<'c> Clock<'c> {
    fn of(fact: &'c DispatchedJob) -> Self {
        Self {
            dispatched_at: Some(fact.dispatched_at),
            purge_at: fact.purge_at,
            purge_day: fact.purge_day,
            rewrapped: fact.rewrapped.as_deref(),
        }
    }
}

/// Starts the clock of a locked delivery. A purge day only ever moves to a
/// later one, and the wrapped key goes with it; the payload is not needed any
/// more. What was purged stays as it is.
pub(in crate::store) async fn start_clock(
    tx: &mut Tx,
    job: &JobRow,
    clock: &Clock<'_>,
) -> Result<(), StoreError> {
    let later = clock.purge_day >= job.purge_day;
    let purge_at = match job.purge_at {
        Some(known) if !later => known.max(clock.purge_at),
        Some(_) | None => clock.purge_at,
    };
    execute!(
        tx,
        "start a document's clock",
        START_CLOCK,
        clock.dispatched_at.map(|at| at.timestamp_micros()),
        purge_at.timestamp_micros(),
        clock.purge_day.max(job.purge_day),
        clock.rewrapped.filter(|_| later),
        job.id.0
    )?;
    Ok(())
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] =
    &[postgres("dispatched_now", POSTGRES), both("start_clock", START_CLOCK)];
