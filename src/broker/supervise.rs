//! Keeps a session open for ever, one attempt at a time.
//!
//! There is no loop here, because only `app` waits: [`Supervised::session`]
//! gives the session, opening one if there is none, or says how long to wait
//! before asking again.

use std::time::{Duration, Instant};

use lapin::ConnectionStatus;

use super::{BrokerError, BrokerSettings, Link};
use crate::entropy::Entropy;

/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause, however long the broker is away.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Something that lives on one connection.
pub trait Session: Sized + Send {
    /// Opens it.
    fn open(settings: &BrokerSettings) -> impl Future<Output = Result<Self, BrokerError>> + Send;

    /// The state of its connection.
    fn status(&self) -> ConnectionStatus;

    /// Ends it in good order.
    fn end(self) -> impl Future<Output = Result<(), BrokerError>> + Send;
}

/// A session that is opened again whenever it is gone.
#[derive(Debug)]
pub struct Supervised<S> {
    settings: BrokerSettings,
    backoff: Backoff,
    link: Link,
    current: Option<(S, Instant)>,
}

/// There is no session just now.
#[derive(Debug)]
pub struct Outage {
    /// Why.
    pub error: BrokerError,
    /// How long to wait before asking again.
    pub retry_after: Duration,
}

impl<S: Session> Supervised<S> {
    /// Opens nothing yet.
    pub fn new(settings: BrokerSettings, entropy: Entropy) -> Self {
        let backoff = Backoff::new(entropy);
        Self { settings, backoff, link: Link::default(), current: None }
    }

    /// A view of the connection for metrics and readiness.
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// The session; opened by one attempt if there is none.
    pub async fn session(&mut self) -> Result<&mut S, Outage> {
        let session = match self.current.take() {
            Some(current) if current.0.status().connected() => current,
            dead => {
                if dead.is_some() {
                    drop(dead);
                    self.link.note_lost();
                }
                self.open().await?
            }
        };
        Ok(&mut self.current.insert(session).0)
    }

    async fn open(&mut self) -> Result<(S, Instant), Outage> {
        match S::open(&self.settings).await {
            Ok(session) => {
                self.link.note_open(session.status());
                Ok((session, Instant::now()))
            }
            Err(error) => {
                self.link.note_failed();
                let retry_after = self.backoff.after_failure(&error);
                Err(Outage { error, retry_after })
            }
        }
    }

    /// Drops the session after `error`. A session that has held for a while is
    /// opened again almost at once; one that fails again and again is not. Only
    /// [`BrokerError::Stale`] leaves it open: it tells that an earlier session
    /// is gone, and nothing about this one.
    pub fn lost(&mut self, error: BrokerError) -> Outage {
        if matches!(error, BrokerError::Stale) {
            return Outage { error, retry_after: Duration::ZERO };
        }
        if let Some((session, opened)) = self.current.take() {
            drop(session);
            if opened.elapsed() >= PAUSE_MAX {
                self.backoff.reset();
            }
        }
        self.link.note_lost();
        let retry_after = self.backoff.after_failure(&error);
        Outage { error, retry_after }
    }

    /// Ends the session in good order, if there is one.
    pub async fn close(mut self) -> Result<(), BrokerError> {
        match self.current.take() {
            Some((session, _)) => session.end().await,
            None => Ok(()),
        }
    }
}

/// Pauses that double up to half a minute, each shortened by chance by up to a
/// half, so that many workers do not come back in step.
#[derive(Debug)]
pub struct Backoff {
    entropy: Entropy,
    failures: u32,
}

impl Backoff {
    /// Starts with the shortest pause.
    pub fn new(entropy: Entropy) -> Self {
        Self { entropy, failures: 0 }
    }

    /// All is well again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure; the longest at once for an error that
    /// only a person can mend.
    pub fn after_failure(&mut self, error: &BrokerError) -> Duration {
        let pause = if error.needs_a_person() {
            PAUSE_MAX
        } else {
            PAUSE_MIN.saturating_mul(2_u32.saturating_pow(self.failures)).min(PAUSE_MAX)
        };
        self.failures = self.failures.saturating_add(1);
        // Without randomness there is no jitter; nothing secret depends on it.
        let chance = self.entropy.array::<4>().map_or(0, u32::from_be_bytes);
        pause.mul_f64(1.0 - 0.5 * f64::from(chance) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(backoff: &mut Backoff, count: usize) -> Vec<Duration> {
        let after = Duration::from_secs(1);
        let error = BrokerError::Timeout { during: "connecting", after };
        (0..count).map(|_| backoff.after_failure(&error)).collect()
    }

    #[test]
    fn pauses_grow_to_half_a_minute_and_no_further() {
        let mut backoff = Backoff::new(Entropy::from_seed_number(1));
        let pauses = failures(&mut backoff, 200);
        for (at, pause) in pauses.iter().enumerate() {
            let full = Duration::from_millis(250 << at.min(7)).min(PAUSE_MAX);
            assert!(*pause <= full && *pause >= full / 2, "pause {at}: {pause:?} of {full:?}");
        }
        backoff.reset();
        assert!(failures(&mut backoff, 1)[0] <= PAUSE_MIN, "a reset starts over");
    }

    #[test]
    fn pauses_of_two_workers_differ() {
        let mut one = Backoff::new(Entropy::from_seed_number(1));
        let mut two = Backoff::new(Entropy::from_seed_number(2));
        assert_ne!(failures(&mut one, 8), failures(&mut two, 8), "jitter spreads them");
    }

    #[test]
    fn what_a_person_must_mend_is_not_hammered() {
        let mut backoff = Backoff::new(Entropy::from_seed_number(1));
        let pause = backoff.after_failure(&BrokerError::BadName { what: "exchange" });
        assert!(pause >= PAUSE_MAX / 2, "{pause:?}");
    }
}
