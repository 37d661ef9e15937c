//! One connection to the mail relay.
//!
//! Each instance owns one carrier; a relay that hangs holds up the few mails of
//! its own connection. The journal gets a line before the bytes that make the
//! relay responsible and a line after its answer; our lease is looked at on the
//! monotonic clock right before, because SMTP cannot be fenced.
//!
//! When the relay itself is away, no mail loses an attempt over it: the mails
//! go back to their queue, the connection waits, and the full queue keeps the
//! rest on the books.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    app::{
        office::{Done, Office, Outgoing},
        queue::Queue,
        worker::{Service, Tick, TickFuture},
    },
    dispatch::email::{Carrier, Fate},
};

/// Mails taken by one tick: few, so that others find work too.
const TAKE: usize = 8;

/// One connection to the relay.
pub struct Carry {
    office: Arc<Office>,
    from: Arc<Queue<Outgoing>>,
    carrier: Box<dyn Carrier>,
    away: u32,
}

/// The first wait for a relay that is away, doubled up to [`AWAY_MAX`].
const AWAY_MIN: Duration = Duration::from_millis(500);
/// The longest wait for a relay that is away.
const AWAY_MAX: Duration = Duration::from_secs(30);

impl std::fmt::Debug for Carry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Carry(..)")
    }
}

impl Carry {
    /// A connection that takes its mails from `from`.
    pub fn new(office: Arc<Office>, from: Arc<Queue<Outgoing>>, carrier: Box<dyn Carrier>) -> Self {
        Self { office, from, carrier, away: 0 }
    }

    /// Offers one mail; gives it back when the relay is away.
    async fn carry(&mut self, outgoing: Outgoing) -> Result<(), Outgoing> {
        let Outgoing { delivery, letter } = outgoing;
        let office = &self.office;
        let started = std::time::Instant::now();
        let attempt = u32::try_from(delivery.attempt).unwrap_or(u32::MAX);
        let mut before_dot = || {
            office.lease.holds()
                && office.journal.before_dot(delivery.job, attempt, office.clock.now()).is_ok()
        };
        let outcome = self.carrier.carry(&letter, &mut before_dot).await;
        let at = office.clock.now();
        if let Err(error) = office.journal.settled(delivery.job, &outcome, at) {
            // The books get the answer all the same; the journal only matters
            // if we die before they do.
            tracing::warn!(job.id = %delivery.job, "the send journal cannot be written: {error}");
        }
        office.metrics.smtp_result(outcome.word(), started.elapsed());
        let patience = office.config.mail.give_up_after.delta();
        match outcome.fate() {
            Fate::NotOffered => office.queues.give_back([delivery.job]),
            Fate::RelayAway if at.signed_duration_since(delivery.first_try_at) < patience => {
                tracing::warn!(why = outcome.word(), "the mail relay is away");
                return Err(Outgoing { delivery, letter });
            }
            Fate::Sent
            | Fate::Retry
            | Fate::SoftBounce
            | Fate::RelayAway
            | Fate::Undeliverable
            | Fate::Park
            | Fate::Refused
            | Fate::Ambiguous => office.queues.done.push([Done { delivery, outcome, at }]),
        }
        Ok(())
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
            let mut letters = letters.into_iter();
            while let Some(letter) = letters.next() {
                if let Err(letter) = self.carry(letter).await {
                    let back = std::iter::once(letter).chain(letters).collect();
                    self.from.put_back(back);
                    self.away = self.away.saturating_add(1);
                    return Ok(Tick::Idle);
                }
                self.away = 0;
            }
            Ok(Tick::Worked(count))
        })
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        // New mail does not bring the relay back.
        (self.away == 0).then(|| self.from.bell())
    }

    fn pause(&self) -> Duration {
        if self.away == 0 {
            return Duration::from_secs(1);
        }
        AWAY_MIN.saturating_mul(2_u32.saturating_pow(self.away.saturating_sub(1))).min(AWAY_MAX)
    }

    fn finishes(&self) -> bool {
        true
    }

    fn close(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.carrier.close()
    }
}
