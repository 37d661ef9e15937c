//! The second group commit: what was rendered and sealed becomes durable.
//!
//! One append and one flush for the sealed bytes of a batch, then one
//! transaction for their rows, links, log events and, for mail, the marker
//! `sending`. Only after that may a connection get the mail. When the batch
//! fails nobody knows whether it was committed; the leases are given back and
//! the books say where each job goes on.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    app::{
        office::{Office, Outgoing, Pressed},
        worker::{Service, Tick, TickFuture},
    },
    domain::{event::EventKind, ids::JobId},
    store::{
        keyring::hours,
        work::{self, SealedMail},
    },
};

/// Bytes of one commit, at the most, unless one job has more; with the least
/// weight of a job that is 128 jobs.
const BATCH_MAX: usize = 4 << 20;
/// Below this many, a commit under backlog waits for company.
const COMPANY: usize = 32;

/// Makes sealed jobs durable.
#[derive(Debug)]
pub struct Commit(pub Arc<Office>);

impl Service for Commit {
    fn name(&self) -> &'static str {
        "commit"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(async move {
            let batch = self.0.queues.pressed.take(BATCH_MAX);
            if batch.is_empty() {
                return Ok(Tick::Idle);
            }
            let batch = fresh(&self.0, batch);
            // The press may have stood still for want of room.
            self.0.queues.ready.ring();
            let jobs: Vec<JobId> = batch.iter().map(|one| one.delivery.job).collect();
            let count = jobs.len();
            match commit(&self.0, batch).await {
                Ok(()) => Ok(Tick::Worked(count)),
                Err(fault) => {
                    self.0.queues.give_back(jobs);
                    Err(fault)
                }
            }
        })
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.0.queues.pressed.bell())
    }

    fn linger(&self) -> Duration {
        let queues = &self.0.queues;
        let backlog = queues.ready.len() >= COMPANY;
        if backlog && queues.pressed.len() < COMPANY {
            self.0.config.work.linger.0
        } else {
            Duration::ZERO
        }
    }

    fn finishes(&self) -> bool {
        true
    }
}

/// What may still come on the books. A batch that waited out a long failure of
/// the database is pressed again: its mail's key may be about to be destroyed.
fn fresh(office: &Office, batch: Vec<Pressed>) -> Vec<Pressed> {
    let now = office.clock.now();
    let is_fresh =
        |one: &Pressed| one.mail.as_ref().is_none_or(|(_, hour)| hours::is_fresh(*hour, now));
    let (fresh, stale): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_fresh);
    office.queues.give_back(stale.iter().map(|one| one.delivery.job));
    fresh
}

async fn commit(office: &Office, batch: Vec<Pressed>) -> anyhow::Result<()> {
    let now = office.clock.now();
    let mut bytes = Vec::with_capacity(batch.len().saturating_mul(2));
    let mut rows = Vec::with_capacity(batch.len());
    let mut ready = Vec::with_capacity(batch.len());
    let mut hours = Vec::with_capacity(batch.len());
    for one in batch {
        bytes.push(one.artifact);
        hours.push(one.mail.map(|(mail, hour)| {
            bytes.push(mail);
            hour
        }));
        rows.push(one.row);
        ready.push((one.delivery, one.letter));
    }
    let appended = office.blobs.append(now, bytes).await?;
    let mut places = appended.places.into_iter();
    for (row, hour) in rows.iter_mut().zip(hours) {
        let (Some(artifact), mail) = (places.next(), hour.and_then(|_| places.next())) else {
            anyhow::bail!("the segment answered with too few places");
        };
        row.artifact_offset = signed(artifact.offset)?;
        row.artifact_len = signed(artifact.len)?;
        if let Some((mail, hour)) = mail.zip(hour) {
            let (offset, len) = (signed(mail.offset)?, signed(mail.len)?);
            row.mail = Some(SealedMail { offset, len, hour });
        }
    }
    let outbox = ready
        .iter()
        .filter_map(|(delivery, _)| {
            office.events.of_delivery(delivery, EventKind::Sealed, None, now).transpose()
        })
        .collect::<Result<Vec<_>, _>>()?;
    let held =
        work::seal_now(&office.db, office.epoch, now, appended.segment, &rows, &outbox).await?;
    let held: std::collections::HashSet<JobId> = held.into_iter().collect();
    let mut letters = Vec::new();
    let mut test_letters = Vec::new();
    for (delivery, letter) in ready {
        match letter {
            Some(letter) if held.contains(&delivery.job) => {
                let to = if delivery.test_mode { &mut test_letters } else { &mut letters };
                to.push(Outgoing { delivery, letter });
            }
            // A letter on paper waits for its batch; a job whose lease is gone
            // is somebody else's, or was taken back.
            Some(_) | None => office.queues.in_flight.leave(delivery.job),
        }
    }
    office.queues.letters.push(letters);
    office.queues.test_letters.push(test_letters);
    Ok(())
}

fn signed(bytes: u64) -> anyhow::Result<i64> {
    i64::try_from(bytes).map_err(|_| anyhow::anyhow!("a place in a segment is out of range"))
}
