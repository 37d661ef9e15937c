//! At the cut-off, everything that is ready goes to the partner.
//!
//! First the batch is written down with the letters in it; then their
//! documents are opened, one by one into memory, and handed over; then the
//! partner's receipt is written down. A tick that dies in between finds the
//! batch again and hands it over under the same id, which is one hand-over.
//!
//! A letter that cannot go (its document does not open, its address does not
//! fit the partner's character set) is parked with the reason and holds up no
//! other. Letters are not merged, nor resent by themselves.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::{
    Batch, Piece, PieceFault, PieceId,
    room::{OpenFault, PostRoom, RoomError, Tick, lines_of},
};
use crate::{
    domain::{
        event::EventKind,
        ids::{BatchId, JobId},
        log::{Actor, Kind},
        reason::Reason,
    },
    store::{
        jobs::{self, JobRow},
        ledger,
        postal::{self, BatchRow},
        work,
    },
};

/// A cut-off is inclusive to its last second (15:00:00.9 is 15:00:00), so the
/// batch is made when that second is over.
const CUT_OFF_SECOND: TimeDelta = TimeDelta::seconds(1);

/// Makes batches and hands them over.
#[derive(Clone, Debug)]
pub struct HandOver(pub Arc<PostRoom>);

impl HandOver {
    /// Finishes what was begun, then hands over one batch of what is due. May
    /// run twice, and may die after any await.
    pub async fn tick(&self) -> Result<Tick, RoomError> {
        let room = &*self.0;
        let now = room.clock.now();
        room.partner.tidy().await?;
        let mut moved = 0_usize;
        let mut tx = room.db.read().await?;
        let begun = postal::unfinished_batches(&mut tx, room.partner.name()).await?;
        drop(tx);
        for batch in begun {
            let mut tx = room.db.begin().await?;
            let mine = postal::adopt_batch(&mut tx, room.epoch, batch.id, now).await?;
            tx.commit().await?;
            if mine {
                moved = moved.saturating_add(self.finish(&batch, now).await?);
            }
        }
        if let Some(batch) = self.make(now).await? {
            moved = moved.saturating_add(self.finish(&batch, now).await?);
        }
        Ok(Tick::of(moved))
    }

    /// Writes down the next batch: the letters of the earliest cut-off that is
    /// over, as many as fit. The others are given back in the same breath.
    async fn make(&self, now: DateTime<Utc>) -> Result<Option<BatchRow>, RoomError> {
        let room = &*self.0;
        let closed = now.checked_sub_signed(CUT_OFF_SECOND).unwrap_or(now);
        let (name, limit) = (room.partner.name(), room.settings.batch_pieces_max);
        let mut tx = room.db.begin().await?;
        let ready = postal::ready_pieces(&mut tx, room.epoch, name, closed, limit).await?;
        let mut letters = Vec::with_capacity(ready.len());
        for leased in ready {
            if let Some(row) = work::lock(&mut tx, leased.job.id).await? {
                letters.push((row.run_at, leased.job));
            }
        }
        let Some(cutoff_at) = letters.iter().map(|(run_at, _)| *run_at).min() else {
            return Ok(None);
        };
        let (jobs, rest) = self.portion(&letters, cutoff_at);
        let batch = BatchRow {
            id: BatchId(room.entropy.id(now)?),
            partner: name.to_owned(),
            cutoff_at,
            made_at: now,
            handed_at: None,
            piece_count: i64::try_from(jobs.len()).unwrap_or(i64::MAX),
        };
        work::give_back(&mut tx, room.epoch, &rest, None).await?;
        let taken = postal::make_batch(&mut tx, room.epoch, &batch, &jobs).await?;
        if taken.is_empty() {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(batch))
    }

    /// Which letters go into the batch of this cut-off, and which do not.
    fn portion(
        &self,
        letters: &[(DateTime<Utc>, JobRow)],
        cutoff_at: DateTime<Utc>,
    ) -> (Vec<JobId>, Vec<JobId>) {
        let (mut jobs, mut rest, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
        for (run_at, job) in letters {
            let pdf = job.pdf_len.and_then(|len| u64::try_from(len).ok()).unwrap_or(0);
            let with = bytes.saturating_add(pdf);
            let fits = jobs.is_empty() || with <= self.0.settings.batch_bytes_max;
            if *run_at == cutoff_at && fits {
                bytes = with;
                jobs.push(job.id);
            } else {
                rest.push(job.id);
            }
        }
        (jobs, rest)
    }

    /// Hands a written-down batch over and writes down the receipt. Answers
    /// how many letters went.
    async fn finish(&self, row: &BatchRow, now: DateTime<Utc>) -> Result<usize, RoomError> {
        let room = &*self.0;
        let batch = Batch {
            id: row.id,
            partner: row.partner.clone(),
            cutoff_at: row.cutoff_at,
            made_at: row.made_at,
        };
        if !room.partner.knows(&batch).await? {
            let mut pieces = Vec::new();
            for job in self.jobs_of(row.id).await? {
                pieces.extend(self.open(&job, now).await?);
            }
            // A batch from which all were withdrawn is only closed.
            if !pieces.is_empty() {
                room.partner.hand_over(&batch, pieces.into()).await?;
            }
        }
        self.write_receipt(row, now).await
    }

    async fn write_receipt(&self, row: &BatchRow, now: DateTime<Utc>) -> Result<usize, RoomError> {
        let room = &*self.0;
        let jobs = self.jobs_of(row.id).await?;
        let silent_after = now.checked_add_signed(room.settings.silent_after).unwrap_or(now);
        let mut tx = room.db.begin().await?;
        let handed = postal::batch_handed(&mut tx, row.id, now, silent_after).await?;
        let mut events = Vec::with_capacity(handed.len());
        for job in jobs.iter().filter(|job| handed.contains(&job.id)) {
            let facts = vec![
                ("batch", row.id.0.into()),
                ("partner", row.partner.as_str().into()),
                ("piece", PieceId::of(job.id).as_str().into()),
            ];
            events.push(room.event(job, Kind::HandedOver, Actor::Worker, None, now, facts)?);
        }
        ledger::append(&mut tx, &events).await?;
        tx.commit().await?;
        Ok(handed.len())
    }

    /// The deliveries of a batch that are still in it.
    async fn jobs_of(&self, batch: BatchId) -> Result<Vec<JobRow>, RoomError> {
        let mut tx = self.0.db.read().await?;
        let pieces = postal::pieces_of(&mut tx, batch).await?;
        let mut jobs = Vec::with_capacity(pieces.len());
        for piece in pieces {
            jobs.extend(jobs::get(&mut tx, Some(&piece.tenant), piece.job).await?);
        }
        Ok(jobs)
    }

    /// Opens a letter, or parks it.
    async fn open(&self, job: &JobRow, now: DateTime<Utc>) -> Result<Option<Piece>, RoomError> {
        let room = &*self.0;
        let opened = match room.opener.open(job).await {
            Ok(opened) => opened,
            Err(OpenFault::Unreadable) => {
                return self.park(job, Reason::PayloadUnreadable, now).await;
            }
            Err(later @ OpenFault::Later(_)) => return Err(later.into()),
        };
        let pages = job.pages.and_then(|pages| u32::try_from(pages).ok());
        let sha256: [u8; 32] = Sha256::digest(&opened.pdf).into();
        let (Some(address), Some(pages)) = (lines_of(&opened.personal), pages) else {
            return self.park(job, Reason::PayloadUnreadable, now).await;
        };
        // What is handed over is what was sealed, or nothing.
        if job.pdf_sha256 != Some(sha256) {
            return self.park(job, Reason::PayloadUnreadable, now).await;
        }
        match room.partner.check(&address) {
            Ok(()) => {}
            Err(PieceFault::Unmappable(_)) => {
                return self.park(job, Reason::Cp932Unmappable, now).await;
            }
            Err(PieceFault::TooManyLines) => {
                return self.park(job, Reason::PayloadUnreadable, now).await;
            }
        }
        Ok(Some(Piece {
            id: PieceId::of(job.id),
            job: job.id,
            pdf: opened.pdf,
            pages,
            sha256,
            address,
            options: room.settings.options,
        }))
    }

    async fn park(
        &self,
        job: &JobRow,
        reason: Reason,
        now: DateTime<Utc>,
    ) -> Result<Option<Piece>, RoomError> {
        let room = &*self.0;
        let code = reason.code();
        let event = room.event(job, Kind::Parked, Actor::Worker, Some(code), now, Vec::new())?;
        let news = room.news(job, EventKind::Parked, Some(code), now).await?;
        let mut tx = room.db.begin().await?;
        postal::withdraw(&mut tx, room.epoch, job.id, code, event, news.as_slice()).await?;
        tx.commit().await?;
        tracing::warn!(job.id = %job.id, code, "a letter cannot be handed over");
        Ok(None)
    }
}
