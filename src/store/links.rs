//! Links, as far as we know them: a print, a deadline, a count.
//!
//! Whether a link opens is decided in one conditional update that counts the
//! open at the same time, so that a limit of five is five under any
//! concurrency. A purged delivery's link is gone, whatever its deadline says.

use chrono::{DateTime, Utc};

use super::{
    Db, StoreError, Tx,
    cells::Cells,
    error::Doing as _,
    execute,
    jobs::{self, JobRow, job_columns},
    ledger::EventRow,
    outbox::OutboxRow,
    run::Rows as _,
    statements::{Statement, both, postgres},
    with_conn, work,
};
use crate::{
    crypto::Lookup,
    domain::{
        ids::{JobId, TenantId},
        stage::{Event, Stage},
    },
};

const LOOK: &str = "look for a link";

/// A link, and how its delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Its day of issue and print: those of the token in the first mail,
    /// whichever of its tokens was asked for.
    pub at: Lookup,
    /// The delivery that it opens.
    pub job: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Until when it opens.
    pub expires_at: DateTime<Utc>,
    /// How often it opens.
    pub max_opens: i64,
    /// How often it was opened.
    pub opens: i64,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Where its delivery stands.
    pub job_stage: Stage,
    /// Whether its document is gone.
    pub purged: bool,
    /// Whether the delivery, or everything of its tenant, is frozen.
    pub frozen: bool,
}

impl LinkRow {
    /// Whether the document can be looked at by somebody who has opened it.
    pub fn is_readable(&self, now: DateTime<Utc>) -> bool {
        !self.purged && !self.frozen && self.revoked_at.is_none() && self.expires_at > now
    }

    /// Whether the link can still be opened. The answer that counts is given
    /// by the statement that counts the open.
    pub fn is_alive(&self, now: DateTime<Utc>) -> bool {
        self.is_readable(now) && self.opens < self.max_opens
    }
}

/// A link and its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The link.
    pub link: LinkRow,
    /// The delivery that it opens.
    pub job: JobRow,
}

macro_rules! find_sql {
    ($name:literal, $from:literal, $of:literal) => {
        concat!(
            "-- ",
            $name,
            "
    SELECT ",
            job_columns!(),
            ", l.day, l.print, l.expires_at, l.max_opens, l.opens, l.revoked_at,
       CAST(CASE WHEN j.frozen_at IS NULL AND f.tenant IS NULL THEN 0 ELSE 1 END AS BIGINT)
           AS frozen
    FROM ",
            $from,
            " JOIN jobs j ON j.id = l.job_id AND j.tenant = l.tenant
    LEFT JOIN frozen_tenants f ON f.tenant = j.tenant
    WHERE ",
            $of
        )
    };
}
const FIND: &str = find_sql!("find", "links l", "l.day = $1 AND l.print = $2");
const FIND_TWIN: &str = find_sql!(
    "find: twin",
    "twins t JOIN links l ON l.day = t.link_day AND l.print = t.link_print",
    "t.day = $1 AND t.print = $2"
);

const FIND_MANY: &str = concat!(
    find_sql!(
        "find: many",
        "UNNEST($1::bigint[], $2::bytea[]) WITH ORDINALITY AS i (day, print, place)
    JOIN links l ON l.day = i.day AND l.print = i.print",
        "TRUE"
    ),
    "
    ORDER BY i.place"
);

/// The links of first tokens, each as [`look`] finds it, in one round trip; none
/// where there is no such first token.
pub async fn look_many(db: &Db, asked: &[Lookup]) -> Result<Vec<Option<Found>>, StoreError> {
    let Db::Postgres(pg) = db else {
        let tx = &mut db.read().await?;
        let mut all = Vec::with_capacity(asked.len());
        for link in asked {
            all.push(find(tx, link.day, &link.print).await?);
        }
        return Ok(all);
    };
    db.check("read")?;
    let mut conn = pg.acquire().await.doing(LOOK)?;
    let rows = sqlx::query(FIND_MANY)
        .bind(asked.iter().map(|link| link.day).collect::<Vec<_>>())
        .bind(asked.iter().map(|link| link.print.as_slice()).collect::<Vec<_>>())
        .all(&mut *conn)
        .await
        .doing(LOOK)?;
    // A row for each question that has one, in their order.
    let mut rows = rows.iter().map(found).peekable();
    let mut all = Vec::with_capacity(asked.len());
    for link in asked {
        let is_it =
            |row: &Result<Found, StoreError>| !matches!(row, Ok(row) if row.link.at != *link);
        all.push(rows.next_if(is_it).transpose()?);
    }
    Ok(all)
}

/// The link with this day of issue (days since 1970-01-01) and this print, or
/// the one whose second token has them, and its delivery, as they stand at this
/// moment. On PostgreSQL one statement and one round trip, two for a second
/// token.
pub async fn look(db: &Db, day: i64, print: &[u8]) -> Result<Option<Found>, StoreError> {
    let Db::Postgres(pg) = db else { return find(&mut db.read().await?, day, print).await };
    db.check("read")?;
    let mut conn = pg.acquire().await.doing(LOOK)?;
    for sql in [FIND, FIND_TWIN] {
        let row = sqlx::query(sql).bind(day).bind(print).optional(&mut *conn).await.doing(LOOK)?;
        if let Some(row) = row {
            return found(&row).map(Some);
        }
    }
    Ok(None)
}

/// The same inside a transaction.
pub async fn find(tx: &mut Tx, day: i64, print: &[u8]) -> Result<Option<Found>, StoreError> {
    for sql in [FIND, FIND_TWIN] {
        let link = with_conn!(&mut *tx, |conn| sqlx::query(sql)
            .bind(day)
            .bind(print)
            .optional(conn)
            .await
            .doing(LOOK)?
            .map(|row| found(&row))
            .transpose()?);
        if link.is_some() {
            return Ok(link);
        }
    }
    Ok(None)
}

fn found(row: &impl Cells) -> Result<Found, StoreError> {
    let job = jobs::job_row(row)?;
    let link = LinkRow {
        at: Lookup { day: row.int("day")?, print: row.array("print")? },
        job: job.id,
        tenant: job.tenant.clone(),
        expires_at: row.time("expires_at")?,
        max_opens: row.int("max_opens")?,
        opens: row.int("opens")?,
        revoked_at: row.time_opt("revoked_at")?,
        job_stage: job.stage,
        purged: job.purged_at.is_some(),
        frozen: row.flag("frozen")?,
    };
    Ok(Found { link, job })
}

const COUNT_OPEN: &str = "
    -- count_open
    UPDATE links SET opens = opens + 1
    WHERE day = $1 AND print = $2 AND opens < max_opens AND expires_at > $3
      AND revoked_at IS NULL
      AND EXISTS (SELECT 1 FROM jobs j
                  WHERE j.id = links.job_id AND j.purged_at IS NULL AND j.frozen_at IS NULL)
      AND NOT EXISTS (SELECT 1 FROM frozen_tenants f WHERE f.tenant = links.tenant)
";

const JOB_OF: &str = "
    -- count_open: job
    SELECT l.job_id FROM links l WHERE l.day = $1 AND l.print = $2
";

/// Counts one open, if the link still opens at `now`: not used up, not
/// expired, not revoked, its document neither purged nor frozen. Nothing may be served before
/// the transaction that counted has committed.
pub async fn count_open(
    tx: &mut Tx,
    day: i64,
    print: &[u8],
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    // The agreed order of locks, so that an open and a recall never wait for
    // each other; what decides is the one statement below.
    let jobs =
        with_conn!(&mut *tx, |conn| sqlx::query(JOB_OF).bind(day).bind(print).ids(conn).await)
            .doing(LOOK)?;
    let Some(job) = jobs.first().copied() else { return Ok(false) };
    work::lock_both(tx, JobId(job)).await?;
    let counted = execute!(tx, "count an open", COUNT_OPEN, day, print, now.timestamp_micros())?;
    Ok(counted == 1)
}

/// Writes down that a person opened the document, and answers where the
/// delivery stands now. A mail that is due to be sent again is not: its link
/// evidently arrived.
pub async fn opened(
    tx: &mut Tx,
    job: JobId,
    now: DateTime<Utc>,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<Option<Stage>, StoreError> {
    let Some((row, work)) = work::lock_both(tx, job).await? else { return Ok(None) };
    let stage = row.stage.after(Event::Open)?;
    jobs::advance(tx, &row, stage, now, work::dispatch::kept_reason(&row, stage)).await?;
    // A row that a worker holds is that worker's to end.
    if work.is_some_and(|work| work.lease.is_none()) {
        work::delete(tx, job).await?;
    }
    work::moves::record(tx, event, outbox).await?;
    Ok(Some(stage))
}

const REVOKE: &str = "
    -- revoke_of_job
    UPDATE links SET revoked_at = $1 WHERE job_id = $2 AND revoked_at IS NULL
";

/// Revokes every link of a delivery; answers how many were alive.
pub async fn revoke_of_job(tx: &mut Tx, job: JobId, now: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(execute!(tx, "revoke links", REVOKE, now.timestamp_micros(), job.0)?)
}

/// The link stops opening for good, and the delivery counts as not delivered:
/// whoever has it says that it is not theirs, or it was tried too often. What
/// was opened before keeps its stage. `false`, and nothing is written, when no
/// link of the delivery was alive.
pub async fn turn_away(
    tx: &mut Tx,
    job: JobId,
    now: DateTime<Utc>,
    reason: &str,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<bool, StoreError> {
    let Some((row, work)) = work::lock_both(tx, job).await? else { return Ok(false) };
    if revoke_of_job(tx, job, now).await? == 0 {
        return Ok(false);
    }
    // A fact from outside: where the stages know no such move, it moves nothing.
    let stage = row.stage.after(Event::Return).unwrap_or(row.stage);
    let reason = if stage == row.stage { row.reason.as_deref() } else { Some(reason) };
    jobs::advance(tx, &row, stage, now, reason).await?;
    if work.is_some_and(|work| work.lease.is_none()) {
        work::delete(tx, job).await?;
    }
    work::moves::record(tx, event, outbox).await?;
    Ok(true)
}

const OF_JOB: &str = "
    -- of_job
    SELECT l.day, l.print FROM links l WHERE l.job_id = $1
    ORDER BY CASE WHEN l.revoked_at IS NULL THEN 1 ELSE 0 END, l.revoked_at, l.day
";

/// The links of a delivery as (day of issue, print): the living one last.
pub async fn of_job(tx: &mut Tx, job: JobId) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(OF_JOB)
        .bind(job.0)
        .all(conn)
        .await
        .doing("list a job's links")?
        .iter()
        .map(|row| Ok((row.int("day")?, row.blob("print")?)))
        .collect())
}

const ANY_ALIVE: &str = "
    -- any_alive
    SELECT COUNT(*) AS found FROM (
        SELECT 1 FROM links l
        WHERE l.day <= $1 AND l.expires_at > $2
        LIMIT 1
    ) alive
";

/// Whether any link issued on `day` (days since 1970) or before has not
/// expired yet.
pub async fn any_alive(tx: &mut Tx, day: i64, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let found = with_conn!(tx, |conn| sqlx::query(ANY_ALIVE)
        .bind(day)
        .bind(now.timestamp_micros())
        .one(conn)
        .await
        .doing("look for live links")?
        .int("found"))?;
    Ok(found > 0)
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    both("links::find", FIND),
    both("links::find twin", FIND_TWIN),
    postgres("links::find many", FIND_MANY),
    both("links::count_open", COUNT_OPEN),
    both("links::count_open job", JOB_OF),
    both("links::revoke_of_job", REVOKE),
    both("links::of_job", OF_JOB),
    both("links::any_alive", ANY_ALIVE),
];
