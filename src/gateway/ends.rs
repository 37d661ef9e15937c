//! The ends of downloads, written beside their reservations.
//!
//! A row that says how much was handed over commits with its event. Rows whose
//! process died are given up: nobody will ever know more of them than what was
//! reserved, and the log says so.

use super::{
    Inner,
    record::{Fault, FlushError},
    running::End,
};
use crate::{
    domain::log::{Actor, Fact, Kind},
    store::{
        handouts::{self, Ended},
        ledger::{self, EventDraft},
    },
};

/// Rows of dead processes that are given up at a time.
const ORPHANS_MAX: i64 = 200;

impl Inner {
    /// Writes down the downloads that have ended. Gives the number of rows.
    pub(super) async fn write_ends(&self) -> Result<usize, FlushError> {
        let ends = self.running.take_ends();
        if ends.is_empty() {
            return Ok(0);
        }
        match self.write_ended(&ends).await {
            Ok(rows) => Ok(rows),
            Err(fault) => {
                self.running.put_back(ends);
                Err(FlushError(fault))
            }
        }
    }

    async fn write_ended(&self, ends: &[End]) -> Result<usize, Fault> {
        let rows: Vec<Ended> = ends.iter().map(End::row).collect();
        let mut events = Vec::with_capacity(ends.len());
        let mut tx = self.parts.db.begin().await?;
        let completed = handouts::ended(&mut tx, &rows).await?;
        for (end, row) in ends.iter().zip(&rows) {
            // A reservation that never committed has no row and no end.
            if completed.contains(&row.id) {
                let facts = vec![("access", Fact::from(row.id.0)), ("bytes", Fact::Int(row.taken))];
                let (kind, job) = (Kind::DownloadEnded, Some(row.job));
                events.push(self.event(kind, &end.tenant, job, row.at, facts, None).await?);
            }
        }
        ledger::append(&mut tx, &events).await?;
        tx.commit().await?;
        Ok(events.len())
    }

    /// See [`Gateway::settle`](super::Gateway::settle).
    pub(super) async fn settle(&self) -> Result<usize, FlushError> {
        self.give_up().await.map_err(FlushError)
    }

    async fn give_up(&self) -> Result<usize, Fault> {
        let (now, mine) = (self.parts.clock.now(), self.parts.epoch);
        let mut tx = self.parts.db.read().await?;
        let orphans = handouts::orphans(&mut tx, mine, ORPHANS_MAX).await?;
        drop(tx);
        if orphans.is_empty() {
            return Ok(0);
        }
        let mut events = Vec::with_capacity(orphans.len());
        let mut tx = self.parts.db.begin().await?;
        for orphan in &orphans {
            if handouts::give_up(&mut tx, orphan.job, orphan.id, now).await? {
                let facts = vec![
                    ("access", Fact::from(orphan.id.0)),
                    ("bytes_max", Fact::Int(orphan.reserved)),
                ];
                let (tenant, job) = (&orphan.tenant, orphan.job);
                let kind = Kind::OutcomeUnknown;
                let draft = EventDraft::of_job(tenant, job, now, kind, Actor::Worker);
                events.push(self.parts.scribe.event(EventDraft { facts, ..draft })?);
            }
        }
        ledger::append(&mut tx, &events).await?;
        tx.commit().await?;
        Ok(events.len())
    }
}
