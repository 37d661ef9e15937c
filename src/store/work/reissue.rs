//! A link is issued again: the old one is dead at once, a mail with a new one
//! goes to the recorded address.
//!
//! The delivery stays where it stands, and so does its day: what goes out
//! again is a mail, not the document. The work row says that a mail is to be
//! composed; the one that was composed rests sealed in `reissues`, so that
//! every attempt carries the same bytes. Asking while a mail is under way
//! writes nothing.

use chrono::{DateTime, Utc};

use super::{NewLink, Step, moves::record};
use crate::{
    domain::{
        ids::{Epoch, JobId},
        job::Channel,
        stage::Stage,
    },
    store::{
        StoreError, Tx,
        cells::Cells as _,
        error::Doing as _,
        execute,
        ledger::EventRow,
        links, reminders,
        run::Rows as _,
        statements::{Statement, both},
        with_conn,
    },
};

/// What became of a wish to issue a link again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReissueAnswer {
    /// The old link is dead; a mail with a new one is under way.
    Asked,
    /// A mail is under way already; nothing was written.
    UnderWay,
    /// It was never sent, was taken back, or has come to another end.
    Refused(Stage),
    /// It is a letter; there is no link.
    Letter,
    /// The tenant has no such delivery.
    NoSuchJob,
}

/// Whether a delivery at this stage may have its link issued again.
pub(in crate::store) const fn reissues_at(stage: Stage) -> bool {
    match stage {
        Stage::Dispatched | Stage::Opened | Stage::Ambiguous => true,
        Stage::Accepted
        | Stage::Sealed
        | Stage::Parked
        | Stage::Cancelled
        | Stage::Recalled
        | Stage::Undeliverable
        | Stage::Purged => false,
    }
}

const ASK: &str = "
    -- reissue
    INSERT INTO reissues (job_id, asked_at, ttl_seconds, number) VALUES ($1, $2, $3, 2)
    ON CONFLICT (job_id) DO UPDATE
    SET asked_at = EXCLUDED.asked_at, ttl_seconds = EXCLUDED.ttl_seconds,
        number = reissues.number + 1, mail = NULL, mail_hour = NULL
";
const WORK: &str = "
    -- reissue: work
    INSERT INTO work (job_id, tenant, step, run_at, attempt, crashes) VALUES ($1, $2, $3, $4, 0, 0)
";

/// Revokes a delivery's link and asks for a mail with a new one, which ends
/// `ttl_seconds` after it is composed, and not after its document.
pub async fn reissue(
    tx: &mut Tx,
    job: JobId,
    now: DateTime<Utc>,
    ttl_seconds: i64,
    event: EventRow,
) -> Result<ReissueAnswer, StoreError> {
    let Some((row, work)) = super::lock_both(tx, job).await? else {
        return Ok(ReissueAnswer::NoSuchJob);
    };
    if row.tenant != event.tenant {
        return Ok(ReissueAnswer::NoSuchJob);
    }
    if row.channel == Channel::Post {
        return Ok(ReissueAnswer::Letter);
    }
    if !reissues_at(row.stage) || row.purged_at.is_some() {
        return Ok(ReissueAnswer::Refused(row.stage));
    }
    match work {
        // A reminder that has not left brings a link that is dead now.
        Some(work) if work.step == Step::Remind && work.lease.is_none() => {
            super::delete(tx, job).await?;
        }
        Some(_) => return Ok(ReissueAnswer::UnderWay),
        None => {}
    }
    links::revoke_of_job(tx, job, now).await?;
    let (act, at) = ("issue a link again", now.timestamp_micros());
    execute!(tx, act, ASK, job.0, at, ttl_seconds)?;
    execute!(tx, act, WORK, job.0, row.tenant.as_str(), Step::Resend.word(), at)?;
    record(tx, event, &[]).await?;
    Ok(ReissueAnswer::Asked)
}

/// A link that is issued again, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reissue {
    /// How long the new link is to live, in seconds.
    pub ttl_seconds: i64,
    /// Which mail of the delivery it is; 2 is the first that is issued again.
    pub number: i64,
    /// The sealed mail and the hour of its key, once it is composed.
    pub mail: Option<(Vec<u8>, i64)>,
    /// How often the link before opened.
    pub max_opens: i64,
    /// The document's number, if it has one.
    pub document_number: Option<String>,
}

const GET: &str = "
    -- reissue: get
    SELECT r.ttl_seconds, r.number, r.mail, r.mail_hour,
           (SELECT MAX(l.max_opens) FROM links l WHERE l.job_id = r.job_id) AS max_opens,
           (SELECT e.number FROM evidence e WHERE e.job_id = r.job_id) AS document_number
    FROM reissues r WHERE r.job_id = $1
";

/// What is to be sent in the place of a delivery's first mail, if its link was
/// issued again.
pub async fn reissued(tx: &mut Tx, job: JobId) -> Result<Option<Reissue>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(GET)
        .bind(job.0)
        .optional(conn)
        .await
        .doing("read what is issued again")?
        .map(|row| {
            let mail = row.blob_opt("mail")?.zip(row.int_opt("mail_hour")?);
            Ok(Reissue {
                ttl_seconds: row.int("ttl_seconds")?,
                number: row.int("number")?,
                mail,
                max_opens: row.int_opt("max_opens")?.unwrap_or(1),
                document_number: row.text_opt("document_number")?,
            })
        })
        .transpose())
}

const COMPOSED: &str = "
    -- recomposed
    UPDATE reissues SET mail = $1, mail_hour = $2 WHERE job_id = $3 AND mail IS NULL
";
const HOUR: &str = "
    -- recomposed: hour
    UPDATE jobs SET mail_hour = $1 WHERE id = $2
";
const LINK: &str = "
    -- recomposed: link
    INSERT INTO links (day, print, job_id, tenant, expires_at, max_opens, opens)
    VALUES ($1, $2, $3, $4, $5, $6, 0)
";

/// Writes down the mail that was composed for a delivery that `epoch` holds,
/// and its link. False, and nothing is written, when the row is not its own any
/// more, the delivery was taken back meanwhile, or a mail is there already.
pub async fn recomposed(
    tx: &mut Tx,
    epoch: Epoch,
    job: JobId,
    (mail, hour): (&[u8], i64),
    link: &NewLink,
) -> Result<bool, StoreError> {
    let Some((row, Some(work))) = super::lock_both(tx, job).await? else { return Ok(false) };
    let mine = work.lease == Some(epoch) && work.step == Step::Resend;
    if !mine || !reissues_at(row.stage) && row.stage != Stage::Sealed {
        return Ok(false);
    }
    let act = "write down a mail that is issued again";
    if execute!(tx, act, COMPOSED, mail, hour, job.0)? != 1 {
        return Ok(false);
    }
    execute!(tx, act, HOUR, hour, job.0)?;
    execute!(
        tx,
        act,
        LINK,
        link.day,
        link.print.as_slice(),
        job.0,
        row.tenant.as_str(),
        link.expires_at.timestamp_micros(),
        link.max_opens
    )?;
    // Its dates count from this mail, and its link is this one.
    reminders::look_again(tx, job, work.run_at).await?;
    Ok(true)
}

const FORGET: &str = "
    -- reissue: forget
    DELETE FROM reissues WHERE job_id = $1
";

/// Its document is destroyed, and so is the mail.
pub(in crate::store) async fn forget(tx: &mut Tx, job: JobId) -> Result<(), StoreError> {
    execute!(tx, "forget what was issued again", FORGET, job.0).map(drop)
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    both("reissue", ASK),
    both("reissue: work", WORK),
    both("reissue: get", GET),
    both("reissue: forget", FORGET),
    both("recomposed", COMPOSED),
    both("recomposed: hour", HOUR),
    both("recomposed: link", LINK),
];
