//! START READING HERE: the loops that make the office move.
//!
//! Every step of a letter's life is a [`Service`]: one `tick()` that takes no
//! arguments, looks at the world, does what is to be done and says whether
//! there was anything. A tick may run twice and may die at any await. Only this
//! file loops, waits and shuts down; tests and the simulation call the same
//! ticks by hand, one at a time.
//!
//! Shutting down happens in two strokes. First nothing new is taken
//! (`closing`), while what is in memory goes on to its end; then, when memory
//! is empty or the time is up, everything stops (`closed`) and what is left is
//! given back. Being shut down is not an attempt.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a tick did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// That many things moved; there may be more at once.
    Worked(usize),
    /// There was nothing to do.
    Idle,
}

/// The future of a tick.
pub type TickFuture<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Tick>> + Send + 'a>>;

/// One step of the office.
pub trait Service: Send {
    /// The step's name in logs, metrics and the simulation's trace.
    fn name(&self) -> &'static str;

    /// Does what is to be done now.
    fn tick(&mut self) -> TickFuture<'_>;

    /// What wakes the step before its time.
    fn bell(&self) -> Option<Arc<Notify>> {
        None
    }

    /// How long the step sleeps when there was nothing to do.
    fn pause(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// How long the step waits for company before its next tick; asked after a
    /// bell rang. Zero when it is better to go at once.
    fn linger(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether the step goes on while memory is being emptied at shutdown.
    fn finishes(&self) -> bool {
        false
    }

    /// Says good-bye to whomever the step talks to.
    fn close(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// The running loops.
#[derive(Clone, Debug)]
pub struct Loops {
    closing: CancellationToken,
    closed: CancellationToken,
    tasks: TaskTracker,
}

/// The first wait after a failed tick; doubled up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait after failed ticks.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

impl Default for Loops {
    fn default() -> Self {
        Self::new()
    }
}

impl Loops {
    /// No loop yet.
    pub fn new() -> Self {
        Self {
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Cancelled when nothing new may be taken.
    pub fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Cancelled when everything stops.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Runs a future beside the loops until it ends by itself.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.track_future(future);
        drop(tokio::spawn(task));
    }

    /// Runs a service until shutdown.
    pub fn run(&self, service: Box<dyn Service>) {
        let stop = if service.finishes() { self.closed() } else { self.closing() };
        self.spawn(work(service, stop));
    }

    /// Takes nothing new any more.
    pub fn close_door(&self) {
        self.closing.cancel();
    }

    /// Stops everything and waits for it.
    pub async fn stop(&self) {
        self.closing.cancel();
        self.closed.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Waits; the only place of the office that does.
#[expect(clippy::disallowed_methods, reason = "this is the one place that waits")]
pub async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The same fault is told again after this time.
const TOLD_AGAIN: Duration = Duration::from_mins(5);

/// Tells faults, the same one not more often than is bearable: a disk that is
/// full fails every tick in the same words.
#[derive(Debug, Default)]
struct Grumble {
    told: Option<(String, Instant)>,
    since: u64,
}

impl Grumble {
    fn about(&mut self, step: &'static str, fault: &anyhow::Error) {
        let words = format!("{fault:#}");
        if let Some(unsaid) = self.is_news(&words, Instant::now()) {
            tracing::warn!(step, unsaid, "a step failed and is tried again: {words}");
        }
    }

    /// Whether this is to be told, and how many faults were not told before.
    fn is_news(&mut self, words: &str, now: Instant) -> Option<u64> {
        let known = |(told, at): &(String, Instant)| {
            told == words && now.saturating_duration_since(*at) < TOLD_AGAIN
        };
        if self.told.as_ref().is_some_and(known) {
            self.since = self.since.saturating_add(1);
            return None;
        }
        self.told = Some((words.to_owned(), now));
        Some(std::mem::take(&mut self.since))
    }
}

async fn work(mut service: Box<dyn Service>, stop: CancellationToken) {
    let mut backoff = BACKOFF_MIN;
    let mut grumble = Grumble::default();
    while !stop.is_cancelled() {
        match service.tick().await {
            Ok(Tick::Worked(_)) => {
                backoff = BACKOFF_MIN;
                let linger = service.linger();
                if !linger.is_zero() {
                    wait(linger).await;
                }
            }
            Ok(Tick::Idle) => {
                backoff = BACKOFF_MIN;
                let pause = service.pause();
                match service.bell() {
                    None => tokio::select! {
                        () = wait(pause) => {}
                        () = stop.cancelled() => {}
                    },
                    Some(bell) => tokio::select! {
                        () = wait(pause) => {}
                        () = bell.notified() => {}
                        () = stop.cancelled() => {}
                    },
                }
            }
            Err(fault) => {
                grumble.about(service.name(), &fault);
                tokio::select! {
                    () = wait(backoff) => {}
                    () = stop.cancelled() => {}
                }
                backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
            }
        }
    }
    service.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_fault_is_told_now_and_then() {
        let (mut grumble, start) = (Grumble::default(), Instant::now());
        assert_eq!(grumble.is_news("the disk is full", start), Some(0), "at once");
        for _ in 0..3 {
            assert_eq!(grumble.is_news("the disk is full", start), None, "not at every tick");
        }
        assert_eq!(grumble.is_news("the books are away", start), Some(3), "another one is");
        assert_eq!(grumble.is_news("the disk is full", start), Some(0), "and the first again");
        let later = start.checked_add(TOLD_AGAIN).unwrap();
        assert_eq!(grumble.is_news("the disk is full", start), None, "known");
        assert_eq!(grumble.is_news("the disk is full", later), Some(1), "it still is full");
    }
}
