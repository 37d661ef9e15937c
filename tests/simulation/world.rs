//! What survives the death of a process: folders, the relay's memory, time.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use kakitome::{
    clock::HandClock,
    domain::ids::JobId,
    entropy::Entropy,
    store::{Blown, Fuse},
};
use tokio::sync::Notify;

/// The dice of a life.
pub(crate) struct Dice(Entropy);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Entropy::from_seed_number(seed))
    }

    /// A number below `sides`.
    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        u64::from_be_bytes(self.0.array().unwrap()) % sides
    }

    /// Whether a chance of one in `sides` comes true.
    pub(crate) fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}

/// Ends the process at the n-th thing it does to the outside.
#[derive(Debug, Default)]
pub(crate) struct Death {
    left: AtomicU64,
    armed: AtomicBool,
    dead: AtomicBool,
    bell: Notify,
}

impl Death {
    /// Dies after `steps` more.
    pub(crate) fn arm(&self, steps: u64) {
        self.left.store(steps, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }

    /// One thing is about to be done, or was just done.
    pub(crate) fn step(&self) -> bool {
        if self.dead.load(Ordering::SeqCst) {
            return false;
        }
        if self.armed.load(Ordering::SeqCst) && self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.dead.store(true, Ordering::SeqCst);
            self.bell.notify_waiters();
            self.bell.notify_one();
            return false;
        }
        true
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Waits for the end.
    pub(crate) async fn comes(&self) {
        while !self.is_dead() {
            self.bell.notified().await;
        }
    }
}

impl Fuse for Death {
    fn check(&self, _: &'static str) -> Result<(), Blown> {
        if self.step() { Ok(()) } else { Err(Blown) }
    }
}

/// What the relay remembers: it never forgets and never lies.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    /// Mails it became responsible for, by job: their bytes' digests.
    pub(crate) taken: Mutex<HashMap<JobId, Vec<[u8; 32]>>>,
    /// Whether it has its bad day.
    pub(crate) moody: AtomicBool,
}

/// The world of one life.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) dice: Arc<Mutex<Dice>>,
    pub(crate) seed: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let start = "2026-11-21T01:00:00Z".parse().unwrap();
        let shm = PathBuf::from("/dev/shm");
        let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        Self {
            dir: dir.unwrap(),
            clock: Arc::new(HandClock::starting_at(start)),
            relay: Arc::new(Relay { moody: AtomicBool::new(true), ..Relay::default() }),
            dice: Arc::new(Mutex::new(Dice::new(seed))),
            seed,
        }
    }

    pub(crate) fn roll(&self, sides: u64) -> u64 {
        self.dice.lock().unwrap().below(sides)
    }

    pub(crate) fn one_in(&self, sides: u64) -> bool {
        self.dice.lock().unwrap().one_in(sides)
    }
}
