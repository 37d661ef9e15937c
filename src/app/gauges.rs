//! Looks at the books and the store of sealed bytes now and then, for `/metrics`.

use std::{sync::Arc, time::Duration};

use super::{
    metrics::QueueDepth,
    office::Office,
    worker::{Service, Tick, TickFuture},
};
use crate::{
    retention,
    store::{jobs, outbox, work},
};

/// Counts what waits.
#[derive(Debug)]
pub struct Gauges {
    office: Arc<Office>,
}

impl Gauges {
    /// The gauges of `office`.
    pub fn new(office: Arc<Office>) -> Self {
        Self { office }
    }

    async fn look(&self) -> anyhow::Result<Tick> {
        let office = &self.office;
        // First, because it asks nobody.
        office.blobs.look();
        office.metrics.segments.fares(&office.blobs);
        // Whoever makes the rounds marks the store, in this process or another.
        retention::expect_mark(&office.db, &office.blobs).await?;
        let now = office.clock.now();
        let mut tx = office.db.read().await?;
        let depth = work::depth(&mut tx, now).await?;
        let stages = jobs::stage_counts(&mut tx).await?;
        let waiting = outbox::depth(&mut tx).await?;
        drop(tx);
        let age = |at: Option<chrono::DateTime<chrono::Utc>>| {
            at.and_then(|at| now.signed_duration_since(at).to_std().ok()).unwrap_or_default()
        };
        office.metrics.queue_depth(QueueDepth {
            ready: depth.ready,
            scheduled: depth.scheduled,
            leased: depth.leased,
            oldest_due: age(depth.oldest_due),
        });
        for (stage, count, oldest) in stages {
            office.metrics.stage(stage.word(), count, age(oldest));
        }
        office.metrics.outbox_depth(waiting);
        Ok(Tick::Idle)
    }
}

impl Service for Gauges {
    fn name(&self) -> &'static str {
        "gauges"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(self.look())
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(10)
    }
}
