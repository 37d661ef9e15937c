//! What the partner does not say.
//!
//! A letter without a posting date a week after its hand-over gets its
//! retention clock from the hand-over, so that no document is kept because
//! somebody forgot to write a file, and a person is told. Whatever still lies
//! in the hand-over folder for it is destroyed: a partner that has not taken a
//! batch in a week must not find it later.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};

use super::room::{PostRoom, RoomError, Tick};
use crate::{
    domain::{
        event::EventKind,
        ids::BatchId,
        log::{Actor, Kind},
        reason::Reason,
    },
    store::{
        jobs,
        postal::{self, PieceRow},
    },
};

/// Letters of one tick.
const PORTION: i64 = 500;

/// Notices letters of which the partner says nothing.
#[derive(Clone, Debug)]
pub struct Silent(pub Arc<PostRoom>);

impl Silent {
    /// Settles letters whose partner is silent. May run twice, and may die
    /// after any await.
    pub async fn tick(&self) -> Result<Tick, RoomError> {
        let room = &*self.0;
        let now = room.clock.now();
        let mut tx = room.db.read().await?;
        let silent = postal::silent(&mut tx, now, PORTION).await?;
        drop(tx);
        let mine: Vec<PieceRow> =
            silent.into_iter().filter(|piece| piece.partner == room.partner.name()).collect();
        // The folder first: if we die in between, the letters are still listed.
        let batches: HashSet<BatchId> = mine.iter().filter_map(|piece| piece.batch).collect();
        for batch in &batches {
            room.partner.empty(batch).await?;
        }
        for piece in &mine {
            self.settle(piece, now).await?;
        }
        Ok(Tick::of(mine.len()))
    }

    async fn settle(&self, piece: &PieceRow, now: DateTime<Utc>) -> Result<(), RoomError> {
        let room = &*self.0;
        let mut tx = room.db.read().await?;
        let job = jobs::get(&mut tx, Some(&piece.tenant), piece.job).await?;
        drop(tx);
        let Some(job) = job else { return Ok(()) };
        let clock = room.start_clock(&job, piece.handed_at.unwrap_or(now)).await?;
        let code = Reason::PartnerSilent.code();
        let facts = vec![("purge_at", clock.purge_at.timestamp_micros().into())];
        let event = room.event(&job, Kind::Parked, Actor::Worker, Some(code), now, facts)?;
        let news = room.news(&job, EventKind::Parked, Some(code), now).await?;
        let mut tx = room.db.begin().await?;
        postal::fell_silent(&mut tx, job.id, code, &clock, event, news.as_slice()).await?;
        tx.commit().await?;
        tracing::warn!(job.id = %job.id, "the print partner gave no posting date");
        Ok(())
    }
}
