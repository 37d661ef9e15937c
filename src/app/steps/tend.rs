//! Keeps this process known to the others: its heartbeat, its partitions, the
//! leases it gives back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use crate::{
    app::{
        office::Office,
        worker::{Service, Tick, TickFuture},
    },
    domain::ids::JobId,
    store::{Db, work, workers},
};

/// Renews the lease of this process, on a connection of its own: a busy pool
/// must not starve it.
#[derive(Debug)]
pub struct Heartbeat {
    office: Arc<Office>,
    db: Db,
}

impl Heartbeat {
    /// A heartbeat on its own connection.
    pub fn new(office: Arc<Office>, db: Db) -> Self {
        Self { office, db }
    }

    async fn beat(&self) -> anyhow::Result<Tick> {
        let office = &self.office;
        let asked = Instant::now();
        let now = office.clock.now();
        let lease = office.config.work.lease;
        let alive_until = now.checked_add_signed(lease.delta()).unwrap_or(now);
        let mut tx = self.db.begin().await?;
        let known = workers::heartbeat(&mut tx, office.epoch, alive_until).await?;
        tx.commit().await?;
        if known {
            office.lease.prolong(asked, lease.0);
        } else {
            office.lease.lose();
            office.metrics.lease_lost();
            anyhow::bail!("the other processes have given this one up; restart it");
        }
        self.db.ensure_months(now).await?;
        Ok(Tick::Idle)
    }
}

impl Service for Heartbeat {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(self.beat())
    }

    fn pause(&self) -> Duration {
        self.office.config.work.lease.0.checked_div(6).unwrap_or(Duration::from_secs(1))
    }

    fn finishes(&self) -> bool {
        true
    }
}

/// How long a job rests whose step failed for reasons of our own: what failed
/// just now is likely to fail at once again.
const REST: TimeDelta = TimeDelta::seconds(5);

/// Gives back the leases of jobs whose step failed for reasons of our own.
#[derive(Debug)]
pub struct GiveBack(pub Arc<Office>);

impl Service for GiveBack {
    fn name(&self) -> &'static str {
        "give-back"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(async move {
            let jobs = self.0.queues.returns.take(256);
            if jobs.is_empty() {
                return Ok(Tick::Idle);
            }
            let rested = self.0.clock.now().checked_add_signed(REST);
            if let Err(fault) = give_back(&self.0, &jobs, rested).await {
                self.0.queues.returns.put_back(jobs);
                return Err(fault);
            }
            Ok(Tick::Worked(jobs.len()))
        })
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.0.queues.returns.bell())
    }

    fn finishes(&self) -> bool {
        true
    }
}

/// Gives leases back; being given back is not an attempt.
pub async fn give_back(
    office: &Office,
    jobs: &[JobId],
    not_before: Option<DateTime<Utc>>,
) -> anyhow::Result<()> {
    let mut tx = office.db.begin().await?;
    work::give_back(&mut tx, office.epoch, jobs, not_before).await?;
    tx.commit().await?;
    for job in jobs {
        office.queues.in_flight.leave(*job);
    }
    Ok(())
}
