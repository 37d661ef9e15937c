//! One connection to the mail relay.
//!
//! Each instance owns one carrier; a relay that hangs holds up the few mails of
//! its own connection. The journal gets a line before the bytes that make the
//! relay responsible and a line after its answer; our lease is looked at on the
//! monotonic clock right before, because SMTP cannot be fenced.

use std::{pin::Pin, sync::Arc};

use tokio::sync::Notify;

use crate::{
    app::{
        office::{Done, Office, Outgoing},
        queue::Queue,
        worker::{Service, Tick, TickFuture},
    },
    dispatch::email::{Carrier, Outcome},
};

/// Mails taken by one tick: few, so that others find work too.
const TAKE: usize = 8;

/// One connection to the relay.
pub struct Carry {
    office: Arc<Office>,
    from: Arc<Queue<Outgoing>>,
    carrier: Box<dyn Carrier>,
}

impl std::fmt::Debug for Carry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Carry(..)")
    }
}

impl Carry {
    /// A connection that takes its mails from `from`.
    pub fn new(office: Arc<Office>, from: Arc<Queue<Outgoing>>, carrier: Box<dyn Carrier>) -> Self {
        Self { office, from, carrier }
    }

    async fn carry(&mut self, outgoing: Outgoing) {
        let Outgoing { delivery, letter } = outgoing;
        let office = &self.office;
        let started = std::time::Instant::now();
        let mut before_dot = || {
            office.lease.holds()
                && office
                    .journal
                    .before_dot(delivery.job, delivery.attempt, office.clock.now())
                    .is_ok()
        };
        let outcome = self.carrier.carry(&letter, &mut before_dot).await;
        let at = office.clock.now();
        if let Err(error) = office.journal.settled(delivery.job, &outcome, at) {
            // The books get the answer all the same; the journal only matters
            // if we die before they do.
            tracing::warn!(job.id = %delivery.job, "the send journal cannot be written: {error}");
        }
        office.metrics.smtp(&outcome, started.elapsed());
        if matches!(outcome, Outcome::Withheld) {
            office.queues.give_back([delivery.job]);
        } else {
            office.queues.done.push([Done { delivery, outcome, at }]);
        }
    }
}

impl Service for Carry {
    fn name(&self) -> &'static str {
        "carry"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(async move {
            if self.office.queues.done.room() < TAKE {
                return Ok(Tick::Idle);
            }
            let letters = self.from.take(TAKE);
            if letters.is_empty() {
                return Ok(Tick::Idle);
            }
            let count = letters.len();
            for letter in letters {
                self.carry(letter).await;
            }
            Ok(Tick::Worked(count))
        })
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.from.bell())
    }

    fn finishes(&self) -> bool {
        true
    }

    fn close(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.carrier.close()
    }
}
