//! The account of a delivery: what of its document left this service, to whom,
//! and since when nothing more can.
//!
//! It speaks for this service and for its print partners' folders; copies that
//! a reader made are beyond it. Nothing in it is personal: who opened a session
//! stands, sealed, in the log.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    StoreError, Tx,
    cells::Cells as _,
    error::Doing as _,
    handouts::{self, Handout},
    ledger,
    run::Rows as _,
    statements::{Statement, both},
    with_conn,
};
use crate::domain::{crockford::session_label, ids::JobId, log::Kind};

/// What left, and since when nothing more can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Since when every link of the delivery is revoked; nothing while one is
    /// not, or where there is none.
    pub dead_since: Option<DateTime<Utc>>,
    /// What left or may have left, oldest first. Nothing in it is empty.
    pub left: Vec<Left>,
}

/// A part of a document that left or may have left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The reservation, and what became of it.
    pub handout: Handout,
    /// When the session that it went to was opened.
    pub opened_at: Option<DateTime<Utc>>,
}

impl Account {
    /// Bytes that left, at the most; repeats count each time.
    pub fn bytes_max(&self) -> i64 {
        let each = self.left.iter().map(|left| left.handout.bytes_max());
        each.fold(0, i64::saturating_add)
    }

    /// Whether not one byte left.
    pub const fn is_zero(&self) -> bool {
        self.left.is_empty()
    }

    /// Whether every number in it is exact, and not an upper bound.
    pub fn is_exact(&self) -> bool {
        self.left.iter().all(|left| left.handout.taken.is_some())
    }

    /// Whether a stream may still run: a moment later more is known.
    pub fn runs(&self) -> bool {
        self.left.iter().any(|left| left.handout.runs())
    }
}

const DEAD_SINCE: &str = "
    -- account: links
    SELECT COUNT(*) AS links, COUNT(l.revoked_at) AS revoked, MAX(l.revoked_at) AS since
    FROM links l WHERE l.job_id = $1
";

/// The account of a delivery. Read after its recall has committed it is final
/// but for streams that still run, whose numbers can only become smaller.
pub async fn of_job(tx: &mut Tx, job: JobId) -> Result<Account, StoreError> {
    let dead_since = with_conn!(&mut *tx, |conn| {
        let row =
            sqlx::query(DEAD_SINCE).bind(job.0).one(conn).await.doing("ask for dead links")?;
        let all = row.int("links")? == row.int("revoked")?;
        row.time_opt("since").map(|since| since.filter(|_| all))
    })?;
    let opened = opened(tx, job).await?;
    let handouts = handouts::of_job(tx, job).await?;
    let left = handouts.into_iter().filter(|handout| handout.bytes_max() > 0).map(|handout| {
        let opened_at = opened.get(&handout.receiver).copied();
        Left { handout, opened_at }
    });
    Ok(Account { dead_since, left: left.collect() })
}

/// When each session was opened, by its label.
async fn opened(tx: &mut Tx, job: JobId) -> Result<HashMap<String, DateTime<Utc>>, StoreError> {
    let events = ledger::of_job(tx, None, job).await?;
    let opens = events.iter().filter(|event| event.row.kind == Kind::Opened);
    Ok(opens.map(|event| (session_label(event.row.id), event.row.at)).collect())
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[both("account::of_job links", DEAD_SINCE)];
