//! What the partner says is put on the books, and then acknowledged.
//!
//! Each row is a fact from outside: it may come twice, late, or before the one
//! it follows, and it only ever moves a letter forward. "Accepted" dispatches
//! it; "posted" starts its retention clock at the posting date; "returned"
//! makes it undeliverable and starts a clock of its own at the day the partner
//! processed it. A file is acknowledged after all of its rows are on the books,
//! so a crash makes it come again and changes nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{
    AnswerFile, AnswerRow, PieceId, RowFault, Said,
    room::{PostRoom, RoomError, Tick},
};
use crate::{
    domain::{
        calendar::retention::start_of_day,
        event::EventKind,
        ids::BatchId,
        log::{Actor, Fact, Kind},
        reason::Reason,
        stage::Stage,
    },
    store::{
        jobs::{self, JobRow},
        postal::{self, Answer, PieceRow, PieceState},
    },
};

/// A partner's calendar may run this far ahead of ours.
const DAYS_AHEAD: TimeDelta = TimeDelta::days(2);
/// A letter cannot have been posted long before it was handed over.
const DAYS_BEFORE: TimeDelta = TimeDelta::days(1);

/// Puts the partner's answers on the books.
#[derive(Clone, Debug)]
pub struct Answers(pub Arc<PostRoom>);

/// The letters of the batches that a file speaks of.
type Known = HashMap<BatchId, BTreeMap<PieceId, PieceRow>>;

impl Answers {
    /// Reads what has arrived. May run twice, and may die after any await.
    pub async fn tick(&self) -> Result<Tick, RoomError> {
        let inbox = self.0.partner.answers().await?;
        let mut moved = 0_usize;
        for refused in &inbox.refused {
            tracing::warn!(
                code = refused.fault.code(),
                "an answer file of the partner was put aside"
            );
        }
        for file in inbox.files {
            moved = moved.saturating_add(self.take_in(file).await?);
        }
        Ok(Tick::of(moved))
    }

    /// Puts one file on the books, empties what the partner has taken, and
    /// acknowledges the file.
    async fn take_in(&self, mut file: AnswerFile) -> Result<usize, RoomError> {
        let room = &*self.0;
        let now = room.clock.now();
        let mut known = Known::new();
        let mut moved = 0_usize;
        for row in &file.rows {
            match self.take_row(row, &mut known, now).await? {
                Ok(advanced) => moved = moved.saturating_add(usize::from(advanced)),
                Err(code) => file.faults.push(RowFault { number: row.number, code }),
            }
        }
        let batches: HashSet<BatchId> = file.rows.iter().map(|row| row.batch).collect();
        for batch in batches.intersection(&known.keys().copied().collect()) {
            self.empty_if_taken(*batch).await?;
        }
        if let Some(fault) = file.faults.first() {
            let (rows, code) = (file.faults.len(), fault.code);
            tracing::warn!(rows, code, "rows of the partner's answer need a person");
        }
        room.partner.acknowledge(&file).await?;
        Ok(moved)
    }

    /// Puts one row on the books. `Err` holds the code of a row that cannot be
    /// believed.
    async fn take_row(
        &self,
        row: &AnswerRow,
        known: &mut Known,
        now: DateTime<Utc>,
    ) -> Result<Result<bool, &'static str>, RoomError> {
        let room = &*self.0;
        if let Entry::Vacant(place) = known.entry(row.batch) {
            place.insert(self.letters(row.batch).await?);
        }
        let letter = known.get(&row.batch).and_then(|letters| letters.get(&row.piece));
        let Some(letter) = letter else { return Ok(Err("unknown_piece")) };
        if let Said::Posted { on } | Said::Returned { on, .. } = &row.said
            && !plausible(*on, letter, now)
        {
            return Ok(Err("implausible_date"));
        }
        let mut tx = room.db.read().await?;
        let job = jobs::get(&mut tx, Some(&letter.tenant), letter.job).await?;
        drop(tx);
        let Some(job) = job else { return Ok(Err("unknown_piece")) };
        self.advance(&job, row, now).await.map(Ok)
    }

    /// The letters of a batch by the ids printed on them; none if the batch is
    /// not this partner's.
    async fn letters(&self, batch: BatchId) -> Result<BTreeMap<PieceId, PieceRow>, RoomError> {
        let mut tx = self.0.db.read().await?;
        let pieces = postal::pieces_of(&mut tx, batch).await?;
        let name = self.0.partner.name();
        let mine = pieces.into_iter().filter(|piece| piece.partner == name);
        Ok(mine.map(|piece| (PieceId::of(piece.job), piece)).collect())
    }

    /// Moves a letter forward by one answer. False when it said nothing new.
    async fn advance(
        &self,
        job: &JobRow,
        row: &AnswerRow,
        now: DateTime<Utc>,
    ) -> Result<bool, RoomError> {
        let room = &*self.0;
        let mut facts: Vec<(&'static str, Fact)> =
            vec![("batch", row.batch.0.into()), ("piece", row.piece.as_str().into())];
        let (kind, code, answer, day, news) = match &row.said {
            Said::Accepted => {
                (Kind::Dispatched, None, Answer::Accepted { at: now }, None, EventKind::Dispatched)
            }
            Said::Rejected { reason } => {
                facts.push(("said", reason.as_str().into()));
                let code = Reason::PartnerRejected.code();
                let answer = Answer::Rejected { reason: code.to_owned() };
                (Kind::PartnerRejected, Some(code), answer, None, EventKind::Parked)
            }
            Said::Posted { on } => {
                facts.push(("posted_on", on.to_string().into()));
                let answer = Answer::Posted { on: *on };
                (Kind::Posted, None, answer, Some(*on), EventKind::Dispatched)
            }
            Said::Returned { on, reason } => {
                facts.push(("returned_on", on.to_string().into()));
                facts.push(("said", reason.as_str().into()));
                let code = Reason::LetterReturned.code();
                let answer = Answer::Returned { on: *on, reason: code.to_owned() };
                (Kind::Returned, Some(code), answer, Some(*on), EventKind::Undeliverable)
            }
        };
        let clock = match day {
            Some(day) => {
                let zone = (room.settings.zone_of)(&job.tenant);
                // The partner names a day, not an instant: that day, wherever
                // the tenant is.
                let first = start_of_day(zone, day).unwrap_or(now);
                let clock = room.start_clock(job, first).await?;
                facts.push(("purge_at", clock.purge_at.timestamp_micros().into()));
                Some(clock)
            }
            None => None,
        };
        let event = room.event(job, kind, Actor::Partner, code, now, facts)?;
        // A posting is only news where the acceptance has not been heard of.
        let told = match (&row.said, job.stage) {
            (Said::Posted { .. }, stage) if stage != Stage::Sealed => None,
            _ => room.news(job, news, code, now).await?,
        };
        let mut tx = room.db.begin().await?;
        let before = postal::piece(&mut tx, job.id).await?.map(|piece| piece.state);
        postal::piece_answer(&mut tx, job.id, &answer, clock.as_ref(), event, told.as_slice())
            .await?;
        let after = postal::piece(&mut tx, job.id).await?.map(|piece| piece.state);
        tx.commit().await?;
        Ok(after != before)
    }

    /// Destroys what was laid out for a batch, once the partner has said
    /// something about every letter in it.
    async fn empty_if_taken(&self, batch: BatchId) -> Result<(), RoomError> {
        let mut tx = self.0.db.read().await?;
        let pieces = postal::pieces_of(&mut tx, batch).await?;
        drop(tx);
        if !pieces.is_empty() && pieces.iter().all(|piece| piece.state > PieceState::Handed) {
            self.0.partner.empty(&batch).await?;
        }
        Ok(())
    }
}

/// Whether a day can be the day a letter was posted or came back.
fn plausible(on: NaiveDate, letter: &PieceRow, now: DateTime<Utc>) -> bool {
    let latest = now.checked_add_signed(DAYS_AHEAD).map(|at| at.date_naive());
    let earliest = letter.handed_at.and_then(|at| at.checked_sub_signed(DAYS_BEFORE));
    let earliest = earliest.map(|at| at.date_naive());
    latest.is_some_and(|latest| on <= latest) && earliest.is_none_or(|earliest| on >= earliest)
}
