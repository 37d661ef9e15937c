//! Letters: waiting, batched, handed over, and what the partner says of them.
//!
//! A piece's state only moves forward: a callback that comes twice, late or
//! out of order finds the state it speaks of passed and changes nothing. The
//! state of the letter is not the stage of the delivery; `Stage::after` is
//! asked for that.

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    StoreError, Tx,
    cells::Cells,
    error::Doing as _,
    execute,
    jobs::{self, JobRow},
    ledger::EventRow,
    outbox::OutboxRow,
    run::Rows as _,
    statements::{Statement, both},
    with_conn,
    work::{
        self,
        dispatch::{Clock, kept_reason, start_clock},
        moves::record,
    },
};
use crate::domain::{
    ids::{BatchId, JobId, TenantId},
    stage::{Event, Stage},
};

pub mod batches;
pub mod withdraw;

pub use withdraw::withdraw;
pub use batches::{
    BatchRow, adopt_batch, batch_handed, make_batch, pieces_of, ready_pieces, unfinished_batches,
};

/// How far a letter has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PieceState {
    /// Not in a batch yet.
    Waiting,
    /// In a batch that may be on its way to the partner.
    Batched,
    /// Handed over; the partner has given a receipt for the batch.
    Handed,
    /// On the partner's books.
    Accepted,
    /// In the post.
    Posted,
    /// Refused by the partner.
    Rejected,
    /// Came back.
    Returned,
}

impl PieceState {
    /// Every state, in the order in which it may move.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Batched,
        Self::Handed,
        Self::Accepted,
        Self::Posted,
        Self::Rejected,
        Self::Returned,
    ];

    /// The word stored in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Batched => "batched",
            Self::Handed => "handed",
            Self::Accepted => "accepted",
            Self::Posted => "posted",
            Self::Rejected => "rejected",
            Self::Returned => "returned",
        }
    }

    /// The state with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// A letter on the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceRow {
    /// The delivery.
    pub job: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The partner that prints it.
    pub partner: String,
    /// How far it has come.
    pub state: PieceState,
    /// The batch it went in.
    pub batch: Option<BatchId>,
    /// How many pages it has.
    pub pages: i64,
    /// SHA-256 of the plain PDF.
    pub sha256: Option<[u8; 32]>,
    /// When the partner gave its receipt.
    pub handed_at: Option<DateTime<Utc>>,
    /// When the partner took it on its books.
    pub accepted_at: Option<DateTime<Utc>>,
    /// The day it was posted, as the partner says.
    pub posted_on: Option<NaiveDate>,
    /// The day it came back.
    pub returned_on: Option<NaiveDate>,
    /// Why it was refused or came back, as a code.
    pub reason: Option<String>,
    /// When the partner's silence becomes somebody's business.
    pub silent_after: Option<DateTime<Utc>>,
}

macro_rules! piece_columns {
    () => {
        "p.job_id, p.tenant, p.partner, p.state, p.batch, p.pages, p.sha256, p.handed_at, \
         p.accepted_at, p.posted_on, p.returned_on, p.reason, p.silent_after"
    };
}
pub(crate) use piece_columns;

pub(super) fn piece_row(row: &impl Cells) -> Result<PieceRow, StoreError> {
    let day = |column: &'static str| -> Result<Option<NaiveDate>, StoreError> {
        row.text_opt(column)?
            .map(|text| NaiveDate::parse_from_str(&text, "%Y-%m-%d"))
            .transpose()
            .map_err(|_| StoreError::Corrupt { column, expected: "a date" })
    };
    let digest = row.blob_opt("sha256")?.map(<[u8; 32]>::try_from).transpose();
    Ok(PieceRow {
        job: JobId(row.uuid("job_id")?),
        tenant: row.tenant("tenant")?,
        partner: row.text("partner")?,
        state: row.word("state", "the word of a letter's state", PieceState::parse)?,
        batch: row.uuid_opt("batch")?.map(BatchId),
        pages: row.int("pages")?,
        sha256: digest
            .map_err(|_| StoreError::Corrupt { column: "sha256", expected: "32 bytes" })?,
        handed_at: row.time_opt("handed_at")?,
        accepted_at: row.time_opt("accepted_at")?,
        posted_on: day("posted_on")?,
        returned_on: day("returned_on")?,
        reason: row.text_opt("reason")?,
        silent_after: row.time_opt("silent_after")?,
    })
}

const GET: &str =
    concat!("-- piece\nSELECT ", piece_columns!(), " FROM pieces p WHERE p.job_id = $1");

/// The letter of a delivery.
pub async fn piece(tx: &mut Tx, job: JobId) -> Result<Option<PieceRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(GET)
        .bind(job.0)
        .optional(conn)
        .await
        .doing("read a letter")?
        .map(|row| piece_row(&row))
        .transpose())
}

/// What the partner says of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is on the partner's books.
    Accepted {
        /// When the partner took it.
        at: DateTime<Utc>,
    },
    /// It will not be printed.
    Rejected {
        /// Why, as a code.
        reason: String,
    },
    /// It is in the post.
    Posted {
        /// The day.
        on: NaiveDate,
    },
    /// It came back.
    Returned {
        /// The day.
        on: NaiveDate,
        /// Why, as a code.
        reason: String,
    },
}

/// When a letter's document is to be destroyed, if the answer starts its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceClock {
    /// When it is to be destroyed.
    pub purge_at: DateTime<Utc>,
    /// On which day: days since 1970 in the tenant's calendar.
    pub purge_day: i64,
    /// The data key wrapped under that day's key, if it is a later day.
    pub rewrapped: Option<Vec<u8>>,
}

impl PieceClock {
    fn clock(&self, dispatched_at: Option<DateTime<Utc>>) -> Clock<'_> {
        Clock {
            dispatched_at,
            purge_at: self.purge_at,
            purge_day: self.purge_day,
            rewrapped: self.rewrapped.as_deref(),
        }
    }
}

impl Answer {
    fn state(&self) -> PieceState {
        match self {
            Self::Accepted { .. } => PieceState::Accepted,
            Self::Rejected { .. } => PieceState::Rejected,
            Self::Posted { .. } => PieceState::Posted,
            Self::Returned { .. } => PieceState::Returned,
        }
    }

    fn event(&self) -> Event {
        match self {
            // Posted before accepted: then the letter was accepted, too.
            Self::Accepted { .. } | Self::Posted { .. } => Event::Dispatch,
            Self::Rejected { .. } => Event::Park,
            Self::Returned { .. } => Event::Return,
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Rejected { reason } | Self::Returned { reason, .. } => Some(reason),
            Self::Accepted { .. } | Self::Posted { .. } => None,
        }
    }
}

const MOVE: &str = "
    -- piece_answer
    UPDATE pieces
    SET state = $1, accepted_at = COALESCE(accepted_at, $2), posted_on = COALESCE($3, posted_on),
        returned_on = COALESCE($4, returned_on), reason = COALESCE($5, reason), silent_after = $6
    WHERE job_id = $7 AND state = $8
";
const DISPATCHED_AT: &str = "
    -- piece_answer: dispatched
    UPDATE jobs SET dispatched_at = $1 WHERE id = $2 AND dispatched_at IS NULL
";

/// Records a partner's answer and says where the delivery stands now. An
/// answer that the letter has passed already, or that comes twice, is a no-op:
/// nothing is written. `None` when there is no such letter.
pub async fn piece_answer(
    tx: &mut Tx,
    job: JobId,
    answer: &Answer,
    clock: Option<&PieceClock>,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<Option<Stage>, StoreError> {
    let Some((row, _)) = work::lock_both(tx, job).await? else { return Ok(None) };
    let Some(piece) = piece(tx, job).await? else { return Ok(None) };
    let passed = piece.state >= answer.state()
        || (answer.state() == PieceState::Rejected && piece.state >= PieceState::Accepted);
    if passed || piece.state == PieceState::Waiting {
        return Ok(Some(row.stage));
    }
    move_piece(tx, &piece, answer).await?;
    let stage = move_job(tx, &row, answer, event.at).await?;
    if let Some(clock) = clock {
        start_clock(tx, &row, &clock.clock(None)).await?;
    }
    if stage != Stage::Accepted {
        work::delete(tx, job).await?;
    }
    record(tx, event, outbox).await?;
    Ok(Some(stage))
}

async fn move_piece(tx: &mut Tx, piece: &PieceRow, answer: &Answer) -> Result<(), StoreError> {
    let (accepted_at, posted_on, returned_on) = match answer {
        Answer::Accepted { at } => (Some(at.timestamp_micros()), None, None),
        Answer::Posted { on } => (None, Some(on.to_string()), None),
        Answer::Returned { on, .. } => (None, None, Some(on.to_string())),
        Answer::Rejected { .. } => (None, None, None),
    };
    // A letter that is only on the partner's books may still fall silent.
    let silent_after = piece.silent_after.filter(|_| matches!(answer, Answer::Accepted { .. }));
    execute!(
        tx,
        "move a letter on",
        MOVE,
        answer.state().word(),
        accepted_at,
        posted_on,
        returned_on,
        answer.reason(),
        super::cells::micros(silent_after),
        piece.job.0,
        piece.state.word()
    )
    .map(drop)
}

async fn move_job(
    tx: &mut Tx,
    row: &JobRow,
    answer: &Answer,
    at: DateTime<Utc>,
) -> Result<Stage, StoreError> {
    // A fact about a delivery that was ended otherwise moves nothing.
    let Ok(stage) = row.stage.after(answer.event()) else { return Ok(row.stage) };
    let reason = if stage == row.stage {
        kept_reason(row, stage)
    } else {
        match answer {
            Answer::Accepted { .. } | Answer::Posted { .. } => None,
            Answer::Rejected { .. } => Some("partner_rejected"),
            Answer::Returned { .. } => Some("letter_returned"),
        }
    };
    jobs::advance(tx, row, stage, at, reason).await?;
    if stage == Stage::Dispatched {
        let dispatched_at = match answer {
            Answer::Accepted { at } => *at,
            Answer::Posted { .. } | Answer::Rejected { .. } | Answer::Returned { .. } => at,
        };
        execute!(tx, "date a dispatch", DISPATCHED_AT, dispatched_at.timestamp_micros(), row.id.0)
            .map(drop)?;
    }
    Ok(stage)
}

const SILENT: &str = concat!(
    "-- silent\nSELECT ",
    piece_columns!(),
    " FROM pieces p WHERE p.silent_after IS NOT NULL AND p.silent_after <= $1
    ORDER BY p.silent_after LIMIT $2"
);

/// Letters that were handed over, and of which the partner has said neither
/// that they were posted nor that they were not.
pub async fn silent(
    tx: &mut Tx,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<PieceRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(SILENT)
        .bind(now.timestamp_micros())
        .bind(limit)
        .all(conn)
        .await
        .doing("look for silent partners")?
        .iter()
        .map(piece_row)
        .collect())
}

const HEARD: &str = "
    -- fell_silent
    UPDATE pieces SET silent_after = NULL WHERE job_id = $1 AND silent_after <= $2
";

/// Takes note of a partner's silence: the clock starts at the hand-over, and a
/// letter that was never accepted is parked. False when the partner has spoken
/// meanwhile, or somebody took note already.
pub async fn fell_silent(
    tx: &mut Tx,
    job: JobId,
    reason: &str,
    clock: &PieceClock,
    event: EventRow,
    outbox: &[OutboxRow],
) -> Result<bool, StoreError> {
    let Some((row, _)) = work::lock_both(tx, job).await? else { return Ok(false) };
    let noted =
        execute!(tx, "note a partner's silence", HEARD, job.0, event.at.timestamp_micros())?;
    if noted != 1 {
        return Ok(false);
    }
    if let Ok(stage) = row.stage.after(Event::Park) {
        jobs::advance(tx, &row, stage, event.at, Some(reason)).await?;
    }
    start_clock(tx, &row, &clock.clock(None)).await?;
    record(tx, event, outbox).await?;
    Ok(true)
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    both("postal::piece", GET),
    both("postal::piece_answer", MOVE),
    both("postal::piece_answer dispatched", DISPATCHED_AT),
    both("postal::silent", SILENT),
    both("postal::fell_silent", HEARD),
];
