//! A reminder on its way: work is made of it, its mail is written down, it
//! leaves, and what became of it is on record.
//!
//! Whether the link is still unopened is asked by the statement that sets the
//! marker, and by no other that counts: a person who opens it a moment before
//! is not reminded. The marker, the lease and the journal are those of every
//! mail, and so a reminder is sent once, or nobody knows and it is not sent
//! again.

use chrono::{DateTime, Utc};

use super::State;
use crate::{
    domain::{
        ids::{Epoch, JobId},
        stage::Stage,
    },
    store::{
        Db, StoreError, Tx,
        cells::Cells as _,
        error::Doing as _,
        execute,
        ledger::EventRow,
        outbox::OutboxRow,
        run::Rows as _,
        statements::{Statement, both},
        with_conn,
        work::{self, Step},
    },
};

/// Dispatched, unopened, open to be opened. The instant is `$2`.
macro_rules! unopened {
    () => {
        "j.stage = 'dispatched' AND j.purged_at IS NULL AND j.frozen_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM frozen_tenants f WHERE f.tenant = j.tenant)
         AND EXISTS (SELECT 1 FROM links l WHERE l.job_id = j.id AND l.revoked_at IS NULL
                     AND l.opens = 0 AND l.expires_at > $2)"
    };
}

const WORK: &str = concat!(
    "-- reminders::start: work
    INSERT INTO work (job_id, tenant, step, run_at, attempt, crashes)
    SELECT j.id, j.tenant, 'remind', CAST($2 AS BIGINT), 0, 0 FROM jobs j
    WHERE j.id = $1 AND ",
    unopened!(),
    " ON CONFLICT (job_id) DO NOTHING"
);
const UNDER_WAY: &str = "
    -- reminders::start
    UPDATE reminders SET due_at = $3, mail = NULL, mail_hour = NULL
    WHERE job_id = $1 AND due_at = $2 AND state = 'planned'
";

const UNDO: &str = "
    -- reminders::start: undo
    DELETE FROM work WHERE job_id = $1 AND step = 'remind' AND lease_epoch IS NULL
";

/// Makes work of a reminder that was due at `due_at`; it is looked at again at
/// `again`, should its work come to nothing. `false`, and nothing is written,
/// when there is nothing to remind of or somebody else was first.
pub async fn start(
    tx: &mut Tx,
    job: JobId,
    due_at: DateTime<Utc>,
    now: DateTime<Utc>,
    again: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let act = "begin with a reminder";
    // Whoever recalls the delivery at this moment holds it until that is
    // committed; the row of work would outlive it.
    work::lock_both(tx, job).await?;
    // The work row before the reminder's, as everywhere.
    if execute!(tx, act, WORK, job.0, now.timestamp_micros())? != 1 {
        return Ok(false);
    }
    let (due_at, again) = (due_at.timestamp_micros(), again.timestamp_micros());
    if execute!(tx, act, UNDER_WAY, job.0, due_at, again)? == 1 {
        return Ok(true);
    }
    // Nobody else has seen the row that was written just now.
    execute!(tx, act, UNDO, job.0)?;
    Ok(false)
}

/// What a reminder's mail is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The sealed mail and the hour of its key, once it is composed.
    pub sealed: Option<(Vec<u8>, i64)>,
    /// The link that it leads to: day of issue and print.
    pub link: (i64, Vec<u8>),
    /// Until when that opens.
    pub expires_at: DateTime<Utc>,
    /// Which mail of the delivery brought it: 1, or more where it was issued
    /// again.
    pub number: i64,
    /// When that mail left.
    pub sent_at: DateTime<Utc>,
    /// The document's number, if it has one.
    pub document_number: Option<String>,
}

const MAIL: &str = "
    -- reminders::mail_of
    SELECT r.mail, r.mail_hour, l.day, l.print, l.expires_at,
           COALESCE(i.number, 1) AS number,
           COALESCE(i.asked_at, j.dispatched_at) AS sent_at,
           (SELECT e.number FROM evidence e WHERE e.job_id = r.job_id) AS document_number
    FROM reminders r JOIN jobs j ON j.id = r.job_id
    JOIN links l ON l.job_id = r.job_id AND l.revoked_at IS NULL
    LEFT JOIN reissues i ON i.job_id = r.job_id
    WHERE r.job_id = $1 AND j.dispatched_at IS NOT NULL
    ORDER BY l.expires_at DESC, l.day DESC LIMIT 1
";

/// What a reminder's mail is made of; nothing when no link is left that is
/// alive.
pub async fn mail_of(tx: &mut Tx, job: JobId) -> Result<Option<Mail>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(MAIL)
        .bind(job.0)
        .optional(conn)
        .await
        .doing("read a reminder's mail")?
        .map(|row| {
            Ok(Mail {
                sealed: row.blob_opt("mail")?.zip(row.int_opt("mail_hour")?),
                link: (row.int("day")?, row.blob("print")?),
                expires_at: row.time("expires_at")?,
                number: row.int("number")?,
                sent_at: row.time("sent_at")?,
                document_number: row.text_opt("document_number")?,
            })
        })
        .transpose())
}

/// A reminder that was composed, around a second token of its link.
#[derive(Clone, Copy, Debug)]
pub struct Composed<'m> {
    /// The sealed mail.
    pub mail: &'m [u8],
    /// The hour of its key.
    pub hour: i64,
    /// The day of issue and the print of the token in it.
    pub twin: (i64, &'m [u8]),
    /// The link that it leads to.
    pub link: (i64, &'m [u8]),
}

const COMPOSED: &str = "
    -- reminders::composed
    UPDATE reminders SET mail = $2, mail_hour = $3 WHERE job_id = $1
";
const HOUR: &str = "
    -- reminders::composed: hour
    UPDATE jobs SET mail_hour = $1 WHERE id = $2
";
const TWIN: &str = "
    -- reminders::composed: twin
    INSERT INTO twins (day, print, job_id, link_day, link_print)
    SELECT $1, $2, l.job_id, l.day, l.print FROM links l
    WHERE l.day = $3 AND l.print = $4 AND l.job_id = $5 AND l.revoked_at IS NULL
";

/// Writes down the mail that was composed for a delivery that `epoch` holds,
/// and its token. `false`, and nothing is written, when the row is not its own
/// any more or the link is dead.
pub async fn composed(
    tx: &mut Tx,
    epoch: Epoch,
    job: JobId,
    new: &Composed<'_>,
) -> Result<bool, StoreError> {
    let Some((row, Some(work))) = work::lock_both(tx, job).await? else { return Ok(false) };
    let mine = work.lease == Some(epoch) && work.step == Step::Remind;
    if !mine || row.stage != Stage::Dispatched {
        return Ok(false);
    }
    let act = "write down a reminder's mail";
    let ((day, print), (link_day, link_print)) = (new.twin, new.link);
    if execute!(tx, act, TWIN, day, print, link_day, link_print, job.0)? != 1 {
        return Ok(false);
    }
    execute!(tx, act, COMPOSED, job.0, new.mail, new.hour)?;
    execute!(tx, act, HOUR, new.hour, job.0)?;
    Ok(true)
}

const LEAVE: &str = concat!(
    "-- reminders::leave_now
    UPDATE work SET sending_since = $2
    WHERE job_id = $1 AND lease_epoch = $3 AND step = 'remind'
      AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = $1 AND ",
    unopened!(),
    ")"
);
const STALE: &str = "
    -- reminders::leave_now: stale
    DELETE FROM work WHERE job_id = $1 AND lease_epoch = $2 AND step = 'remind'
";

/// Lets go of a reminder that has nothing to bring: its link died meanwhile.
pub async fn let_go(tx: &mut Tx, epoch: Epoch, job: JobId) -> Result<(), StoreError> {
    execute!(tx, "let go of a reminder", STALE, job.0, epoch.0).map(drop)
}

/// Sets the marker on reminders of mine whose link is still unopened, commits,
/// and answers which. The others just end; what is to become of them the next
/// look tells.
pub async fn leave_now(
    db: &Db,
    epoch: Epoch,
    now: DateTime<Utc>,
    jobs: &[JobId],
) -> Result<Vec<JobId>, StoreError> {
    let act = "let reminders leave";
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let mut jobs = jobs.to_vec();
    jobs.sort_unstable();
    let mut leaving = vec![];
    let mut tx = db.begin().await?;
    for job in jobs {
        // Whoever opens the link, recalls or purges it takes the same locks;
        // what decides is the one statement below.
        work::lock_both(&mut tx, job).await?;
        let goes = execute!(&mut tx, act, LEAVE, job.0, now.timestamp_micros(), epoch.0)?;
        if goes == 1 {
            leaving.push(job);
        } else {
            execute!(&mut tx, act, STALE, job.0, epoch.0)?;
        }
    }
    tx.commit().await?;
    Ok(leaving)
}

/// What became of a reminder that may have left, or was tried in vain.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The delivery.
    pub job: JobId,
    /// What.
    pub state: State,
    /// When.
    pub at: DateTime<Utc>,
    /// The event that says so.
    pub event: EventRow,
    /// What is published about it.
    pub news: Option<OutboxRow>,
}

const SETTLE: &str = "
    -- reminders::settle
    UPDATE reminders SET due_at = NULL, state = $2, settled_at = $3, mail = NULL, mail_hour = NULL
    WHERE job_id = $1 AND (state = 'planned' OR (state = 'unknown' AND $2 = 'sent'))
";
const DONE: &str = "
    -- reminders::settle: work
    DELETE FROM work WHERE job_id = $1 AND lease_epoch = $2 AND step = 'remind'
";

/// Writes down what became of a reminder, once: who comes second changes
/// nothing, but for a late word of the relay about one that nobody knew of.
/// The delivery stays where it stands.
pub async fn settle(tx: &mut Tx, epoch: Epoch, settled: Settled) -> Result<bool, StoreError> {
    let (job, act) = (settled.job, "record what became of a reminder");
    work::lock_both(tx, job).await?;
    execute!(tx, act, DONE, job.0, epoch.0)?;
    let (word, at) = (settled.state.word(), settled.at.timestamp_micros());
    if execute!(tx, act, SETTLE, job.0, word, at)? != 1 {
        return Ok(false);
    }
    let outbox: Vec<_> = settled.news.into_iter().collect();
    work::moves::record(tx, settled.event, &outbox).await?;
    Ok(true)
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    both("reminders::start: work", WORK),
    both("reminders::start", UNDER_WAY),
    both("reminders::start: undo", UNDO),
    both("reminders::mail_of", MAIL),
    both("reminders::composed", COMPOSED),
    both("reminders::composed: hour", HOUR),
    both("reminders::composed: twin", TWIN),
    both("reminders::leave_now", LEAVE),
    both("reminders::leave_now: stale", STALE),
    both("reminders::settle", SETTLE),
    both("reminders::settle: work", DONE),
];
