//! Reminders of links that nobody has opened: what was asked for, when it is
//! to be looked at next, what became of it.
//!
//! A row is written with the sealed document and goes when that is purged. Its
//! date is only when to look: the rule in
//! [`reminder`](crate::domain::reminder) decides from what the books say then,
//! so that nothing else has to keep the date right. Sending is in [`send`].

use chrono::{DateTime, Utc};

use super::{
    StoreError, Tx,
    cells::Cells,
    error::Doing as _,
    execute, jobs,
    run::Rows as _,
    statements::{Statement, both, each},
    with_conn, work,
};
use crate::domain::{
    ids::JobId,
    reminder::{Reminder, Seen},
};

pub mod send;

pub use send::{Composed, Mail, Settled, composed, leave_now, let_go, mail_of, settle, start};

/// What became of a reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It is looked at when its time comes.
    Planned,
    /// The relay took it.
    Sent,
    /// The relay's answer was lost; nobody knows. It is not sent again.
    Unknown,
    /// It was refused, or tried in vain.
    Failed,
    /// It would have come too late to be of use.
    TooLate,
    /// The link was opened, or opened no more.
    NotNeeded,
}

impl State {
    const ALL: [Self; 6] =
        [Self::Planned, Self::Sent, Self::Unknown, Self::Failed, Self::TooLate, Self::NotNeeded];

    /// The word stored in the database and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::TooLate => "too_late",
            Self::NotNeeded => "not_needed",
        }
    }

    fn of(row: &impl Cells) -> Result<Self, StoreError> {
        row.word("state", "what becomes of a reminder", |word| {
            Self::ALL.into_iter().find(|state| state.word() == word)
        })
    }
}

fn rule_of(row: &impl Cells) -> Result<Reminder, StoreError> {
    let expected = "the rule of a reminder";
    Reminder::of_parts(&row.text("rule")?, row.int("days")?)
        .ok_or(StoreError::Corrupt { column: "rule", expected })
}

/// A reminder that is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose link.
    pub job: jobs::JobRow,
    /// What was asked for.
    pub reminder: Reminder,
    /// The date that brought it here; whoever acts on it names it.
    pub due_at: DateTime<Utc>,
    /// What the books say.
    pub seen: Seen,
}

macro_rules! seen_columns {
    () => {
        "r.rule, r.days, r.due_at, r.state, r.settled_at,
         CAST(CASE WHEN j.frozen_at IS NULL AND f.tenant IS NULL THEN 0 ELSE 1 END AS BIGINT)
             AS frozen,
         (SELECT MAX(l.expires_at) FROM links l
          WHERE l.job_id = r.job_id AND l.revoked_at IS NULL) AS link_until,
         (SELECT MAX(l.opens) FROM links l
          WHERE l.job_id = r.job_id AND l.revoked_at IS NULL) AS link_opens,
         (SELECT i.asked_at FROM reissues i WHERE i.job_id = r.job_id) AS reissued_at,
         (SELECT COUNT(*) FROM work w WHERE w.job_id = r.job_id) AS busy
         FROM reminders r JOIN jobs j ON j.id = r.job_id
         LEFT JOIN frozen_tenants f ON f.tenant = j.tenant "
    };
}

fn seen(row: &impl Cells, job: &jobs::JobRow) -> Result<Seen, StoreError> {
    Ok(Seen {
        stage: job.stage,
        sent_at: job.dispatched_at.max(row.time_opt("reissued_at")?),
        expires_at: row.time_opt("link_until")?.filter(|_| job.purged_at.is_none()),
        opens: row.int_opt("link_opens")?.unwrap_or(0),
        frozen: row.flag("frozen")?,
        busy: row.flag("busy")?,
    })
}

macro_rules! due_sql {
    ($which:literal) => {
        concat!(
            "-- reminders::due
            SELECT ",
            jobs::job_columns!(),
            ", ",
            seen_columns!(),
            "WHERE r.job_id ",
            $which,
            " ORDER BY r.due_at, r.job_id"
        )
    };
}
const DUE_SQLITE: &str = due_sql!(
    "IN (SELECT d.job_id FROM reminders d WHERE d.due_at <= $1
         ORDER BY d.due_at, d.job_id LIMIT $2)"
);
// An array, of which the planner expects ten: see `claim`.
const DUE_POSTGRES: &str = due_sql!(
    "= ANY(ARRAY(SELECT d.job_id FROM reminders d WHERE d.due_at <= $1
                 ORDER BY d.due_at, d.job_id LIMIT $2))"
);

/// Reminders whose time to be looked at has come, the oldest first.
pub async fn due(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<Due>, StoreError> {
    let sql = match tx {
        Tx::Sqlite(_) => DUE_SQLITE,
        Tx::Postgres(_) => DUE_POSTGRES,
    };
    with_conn!(tx, |conn| sqlx::query(sql)
        .bind(now.timestamp_micros())
        .bind(limit)
        .all(conn)
        .await
        .doing("look for reminders")?
        .iter()
        .map(|row| {
            let job = jobs::job_row(row)?;
            Ok(Due {
                reminder: rule_of(row)?,
                due_at: row.time("due_at")?,
                seen: seen(row, &job)?,
                job,
            })
        })
        .collect())
}

const WAIT: &str = "
    -- reminders::wait
    UPDATE reminders SET due_at = $3 WHERE job_id = $1 AND due_at = $2
";
const FORGET_MAIL: &str = "
    -- reminders::forget_mail
    UPDATE reminders SET mail = NULL, mail_hour = NULL
    WHERE job_id = $1 AND mail IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM work w WHERE w.job_id = reminders.job_id)
";

/// Puts the next look off; `false` when somebody else did something about it.
/// A mail that was composed and did not leave is forgotten: what leaves later
/// says what holds then.
pub async fn wait(tx: &mut Tx, due: &Due, until: DateTime<Utc>) -> Result<bool, StoreError> {
    work::lock_both(tx, due.job.id).await?;
    let (job, act) = (due.job.id.0, "put a reminder off");
    let (seen, until) = (due.due_at.timestamp_micros(), until.timestamp_micros());
    let moved = execute!(tx, act, WAIT, job, seen, until)?;
    execute!(tx, act, FORGET_MAIL, job)?;
    Ok(moved == 1)
}

const END: &str = "
    -- reminders::end
    UPDATE reminders SET due_at = NULL, state = $3, settled_at = $4, mail = NULL, mail_hour = NULL
    WHERE job_id = $1 AND due_at = $2
";

/// It will not be sent; `false` when somebody else did something about it.
pub async fn end(
    tx: &mut Tx,
    due: &Due,
    state: State,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    work::lock_both(tx, due.job.id).await?;
    let (seen, now) = (due.due_at.timestamp_micros(), now.timestamp_micros());
    let ended = execute!(tx, "end a reminder", END, due.job.id.0, seen, state.word(), now)?;
    Ok(ended == 1)
}

/// It will not be sent, and that is on record; `false`, and nothing is written,
/// when somebody else did something about it.
pub async fn end_told(tx: &mut Tx, due: &Due, settled: Settled) -> Result<bool, StoreError> {
    if !end(tx, due, settled.state, settled.at).await? {
        return Ok(false);
    }
    let outbox: Vec<_> = settled.news.into_iter().collect();
    work::moves::record(tx, settled.event, &outbox).await?;
    Ok(true)
}

const SOONER: &str = "
    -- reminders::look_again
    UPDATE reminders SET due_at = $2, mail = NULL, mail_hour = NULL
    WHERE job_id = $1 AND due_at IS NOT NULL
";

/// A delivery's link was issued again: its dates are others now.
pub(super) async fn look_again(
    tx: &mut Tx,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(tx, "look at a reminder again", SOONER, job.0, now.timestamp_micros()).map(drop)
}

/// A delivery's reminder, for those who ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What was asked for.
    pub reminder: Reminder,
    /// What became of it.
    pub state: State,
    /// When that was settled.
    pub settled_at: Option<DateTime<Utc>>,
    /// What the books say; the rule tells from it when one is to be expected.
    pub seen: Seen,
}

const OF_JOB: &str = concat!(
    "-- reminders::of_job
    SELECT ",
    jobs::job_columns!(),
    ", ",
    seen_columns!(),
    "WHERE r.job_id = $1"
);

/// The reminder that a delivery has, or had.
pub async fn of_job(tx: &mut Tx, job: JobId) -> Result<Option<Shown>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(OF_JOB)
        .bind(job.0)
        .optional(conn)
        .await
        .doing("read a reminder")?
        .map(|row| {
            let job = jobs::job_row(&row)?;
            Ok(Shown {
                reminder: rule_of(&row)?,
                state: State::of(&row)?,
                settled_at: row.time_opt("settled_at")?,
                seen: seen(&row, &job)?,
            })
        })
        .transpose())
}

const FORGET: &str = "
    -- reminders::forget
    DELETE FROM reminders WHERE job_id = $1
";
const FORGET_TWINS: &str = "
    -- reminders::forget twins
    DELETE FROM twins WHERE job_id = $1
";

/// Its document is destroyed: nothing is left to remind of.
pub(super) async fn forget(tx: &mut Tx, job: JobId) -> Result<(), StoreError> {
    execute!(tx, "forget a reminder", FORGET, job.0)?;
    execute!(tx, "forget a reminder", FORGET_TWINS, job.0).map(drop)
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    each("reminders::due", DUE_SQLITE, DUE_POSTGRES),
    both("reminders::wait", WAIT),
    both("reminders::forget_mail", FORGET_MAIL),
    both("reminders::end", END),
    both("reminders::look_again", SOONER),
    both("reminders::of_job", OF_JOB),
    both("reminders::forget", FORGET),
    both("reminders::forget twins", FORGET_TWINS),
];
