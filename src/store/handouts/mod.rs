//! What of a document left this service: reserved before, counted after.
//!
//! A row is reserved in the transaction that writes the access into the log,
//! under the locks that a recall takes, and only while the link still serves.
//! So whoever recalls finds every row that will ever be there: without a row
//! not one byte has left or will leave, and a row is the upper bound of what
//! did. How much it really was is written when the stream has ended; a row
//! that nobody can complete any more stays at its upper bound.
//!
//! A letter is reserved with its batch, before the partner sees it.

mod reserve;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Db, StoreError, Tx,
    cells::{Cells, instant},
    error::Doing as _,
    execute,
    run::Rows as _,
    statements::{Statement, both, each, postgres},
    with_conn,
};
use crate::domain::ids::{BatchId, Epoch, EventId, JobId, TenantId};

pub use reserve::{Held, NewHandout, reserve};

/// How a document leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To be looked at in a browser.
    View,
    /// To be saved.
    Save,
    /// As a letter, to the print partner.
    Partner,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::View, Self::Save, Self::Partner];

    /// The word that is stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Save => "save",
            Self::Partner => "partner",
        }
    }

    /// The way with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.word() == word)
    }
}

const SERVES: &str = "
    -- serves
    SELECT COUNT(*) FROM links l JOIN jobs j ON j.id = l.job_id
    WHERE l.day = $1 AND l.print = $2 AND l.revoked_at IS NULL AND l.expires_at > $3
      AND j.purged_at IS NULL AND j.frozen_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM frozen_tenants f WHERE f.tenant = j.tenant)
";

/// Whether the document behind a link may still flow at `now`: not revoked,
/// not recalled, not frozen, not expired, not purged. Streams that run ask it
/// again and again, and are dropped while they wait: so it is a statement of its
/// own, of which nothing stays open.
pub async fn serves(
    db: &Db,
    day: i64,
    print: &[u8],
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let (act, now) = ("ask whether a link still serves", now.timestamp_micros());
    let found = if let Db::Postgres(pg) = db {
        db.check("read")?;
        let mut conn = pg.acquire().await.doing(act)?;
        sqlx::query(SERVES).bind(day).bind(print).bind(now).number(&mut *conn).await
    } else {
        let tx = &mut db.read().await?;
        with_conn!(tx, |conn| sqlx::query(SERVES)
            .bind(day)
            .bind(print)
            .bind(now)
            .number(conn)
            .await)
    };
    Ok(found.doing(act)? > 0)
}

/// How a download ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its row.
    pub id: EventId,
    /// The delivery.
    pub job: JobId,
    /// Bytes that were handed over.
    pub taken: i64,
    /// When.
    pub at: DateTime<Utc>,
}

const ENDED: &str = "
    -- ended
    UPDATE handouts SET taken = $1, ended_at = $2
    WHERE job_id = $3 AND id = $4 AND taken IS NULL
";
const ENDED_MANY: &str = "
    -- ended
    UPDATE handouts h SET taken = i.taken, ended_at = i.at
    FROM UNNEST($1::bigint[], $2::bigint[], $3::uuid[], $4::uuid[]) AS i (taken, at, job, id)
    WHERE h.job_id = i.job AND h.id = i.id AND h.taken IS NULL
    RETURNING h.id
";

/// Writes down how many bytes were handed over until streams ended. Gives the
/// rows that it completed: not those on record already, nor those whose
/// reservation never committed or whose month has left the books.
pub async fn ended(tx: &mut Tx, ends: &[Ended]) -> Result<HashSet<EventId>, StoreError> {
    let act = "write down the ends of downloads";
    if let Tx::Postgres(tx) = tx {
        let rows = sqlx::query(ENDED_MANY)
            .bind(ends.iter().map(|end| end.taken).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.at.timestamp_micros()).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.job.0).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.id.0).collect::<Vec<_>>());
        let completed = rows.ids(&mut *tx.inner).await.doing(act)?;
        return Ok(completed.into_iter().map(EventId).collect());
    }
    let mut completed = HashSet::new();
    for Ended { id, job, taken, at } in ends {
        if execute!(tx, act, ENDED, taken, at.timestamp_micros(), job.0, id.0)? == 1 {
            completed.insert(*id);
        }
    }
    Ok(completed)
}

/// A row whose process died before its stream had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The row.
    pub id: EventId,
    /// The delivery.
    pub job: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Bytes that were reserved.
    pub reserved: i64,
}

const ORPHANS: &str = "
    -- orphans
    SELECT h.job_id, h.id, h.tenant, h.from_byte, h.to_byte FROM handouts h
    WHERE h.ended_at IS NULL AND h.way <> 'partner' AND h.epoch <> $1
      AND NOT EXISTS (SELECT 1 FROM workers k WHERE k.epoch = h.epoch AND k.stopped_at IS NULL)
    LIMIT $2
";

/// Rows that processes other than `mine` left open when they died.
pub async fn orphans(tx: &mut Tx, mine: Epoch, limit: i64) -> Result<Vec<Orphan>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(ORPHANS)
        .bind(mine.0)
        .bind(limit)
        .all(conn)
        .await
        .doing("look for downloads that nobody will end")?
        .iter()
        .map(|row| {
            Ok(Orphan {
                id: EventId(row.uuid("id")?),
                job: JobId(row.uuid("job_id")?),
                tenant: row.tenant("tenant")?,
                reserved: row.int("to_byte")?.saturating_sub(row.int("from_byte")?),
            })
        })
        .collect())
}

const GIVE_UP: &str = "
    -- give_up
    UPDATE handouts SET ended_at = $1 WHERE job_id = $2 AND id = $3 AND ended_at IS NULL
";

/// Nobody will ever know how much of a row was handed over: its upper bound
/// stands. False when somebody else was first.
pub async fn give_up(
    tx: &mut Tx,
    job: JobId,
    id: EventId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let act = "give a download up";
    Ok(execute!(tx, act, GIVE_UP, now.timestamp_micros(), job.0, id.0)? == 1)
}

const LETTER: &str = "
    -- letter_leaves
    INSERT INTO handouts (job_id, id, tenant, epoch, way, receiver, at, from_byte, to_byte)
    SELECT j.id, $1, j.tenant, $2, 'partner', $3, $4, 0, COALESCE(j.pdf_len, 0)
    FROM jobs j WHERE j.id = $5
    ON CONFLICT (job_id, id) DO NOTHING
";

/// Reserves a letter that is about to be handed to a partner with its batch.
pub(super) async fn letter_leaves(
    tx: &mut Tx,
    job: JobId,
    batch: BatchId,
    epoch: Epoch,
    partner: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let act = "reserve a letter";
    execute!(tx, act, LETTER, batch.0, epoch.0, partner, at.timestamp_micros(), job.0).map(drop)
}

const LETTER_WENT: &str = "
    -- letter_went
    UPDATE handouts SET taken = to_byte - from_byte, ended_at = $1
    WHERE job_id = $2 AND id = $3 AND taken IS NULL
";

/// The partner gave its receipt for a letter.
pub(super) async fn letter_went(
    tx: &mut Tx,
    job: JobId,
    batch: BatchId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let act = "write down that a letter was handed over";
    execute!(tx, act, LETTER_WENT, at.timestamp_micros(), job.0, batch.0).map(drop)
}

/// A row as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handout {
    /// The access in the log, or the letter's batch.
    pub id: Uuid,
    /// When the bytes were reserved.
    pub at: DateTime<Utc>,
    /// How they leave.
    pub way: Way,
    /// The session's label, or the partner's name.
    pub receiver: String,
    /// The first byte.
    pub from_byte: i64,
    /// The byte after the last one reserved.
    pub to_byte: i64,
    /// Bytes that were handed over, once that is known.
    pub taken: Option<i64>,
    /// When it ended or was given up.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Handout {
    /// Bytes that left, at the most: exact when [`taken`](Self::taken) is known.
    pub fn bytes_max(&self) -> i64 {
        self.taken.unwrap_or_else(|| self.to_byte.saturating_sub(self.from_byte))
    }

    /// Whether its stream may still run.
    pub const fn runs(&self) -> bool {
        self.ended_at.is_none()
    }
}

const OF_JOB: &str = "
    -- of_job
    SELECT h.id, h.at, h.way, h.receiver, h.from_byte, h.to_byte, h.taken, h.ended_at
    FROM handouts h WHERE h.job_id = $1 ORDER BY h.at, h.id
";

/// Everything of a document that left or may have left, oldest first.
pub async fn of_job(tx: &mut Tx, job: JobId) -> Result<Vec<Handout>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(OF_JOB)
        .bind(job.0)
        .all(conn)
        .await
        .doing("list what left of a document")?
        .iter()
        .map(handout)
        .collect())
}

fn handout(row: &impl Cells) -> Result<Handout, StoreError> {
    Ok(Handout {
        id: row.uuid("id")?,
        at: instant("at", row.int("at")?)?,
        way: row.word("way", "the word of a way out", Way::parse)?,
        receiver: row.text("receiver")?,
        from_byte: row.int("from_byte")?,
        to_byte: row.int("to_byte")?,
        taken: row.int_opt("taken")?,
        ended_at: row.time_opt("ended_at")?,
    })
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    each("handouts::reserve", reserve::SQLITE, reserve::POSTGRES),
    postgres("handouts::reserve what is free", reserve::POSTGRES_FREE),
    both("handouts::serves", SERVES),
    each("handouts::ended", ENDED, ENDED_MANY),
    both("handouts::orphans", ORPHANS),
    both("handouts::give_up", GIVE_UP),
    both("handouts::letter_leaves", LETTER),
    both("handouts::letter_went", LETTER_WENT),
    both("handouts::of_job", OF_JOB),
];
