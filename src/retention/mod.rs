//! What is due is destroyed: on its day, not before, not after.
//!
//! Key, then bytes, then row. The key of a day dies first, and with it every
//! document that was due on that day, in old backups too; what is left of them
//! is noise, and removing the noise may fail, stop and be repeated. A crash
//! between any two steps leaves something that the next tick removes and
//! nobody can read. Each key that is to die is written down before and
//! reported after, so that the log names every one.
//!
//! A day key opens all that one tenant's service had due on that day. So before
//! it dies, each delivery under it is judged by itself ([`judge`]): due, ended,
//! moved to a later key, or, where its key does not open, held together with
//! the whole key and listed for a person.
//!
//! It refuses to destroy anything while the clocks disagree ([`witness`]), to
//! move a delivery to an earlier key, and to guess a date.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::TimeDelta;

use crate::{
    blobs::{BlobError, Blobs},
    clock::SharedClock,
    crypto::CryptoError,
    domain::{ids::TenantId, job::Channel},
    entropy::{Entropy, NoEntropy},
    store::{
        Db, StoreError,
        keyring::{KeyError, KeyRing, Service},
        ledger::{Scribe, ScribeError},
        outbox::Announce,
    },
};

mod days;
mod explain;
mod judge;
mod others;
mod remains;
mod rows;
mod segments;
mod uploads;
mod watch;
pub mod witness;

pub use explain::{Explanation, Plan, PlannedDay};
pub use judge::{Doubt, TenantRules};
pub use segments::{Compared, Whose, compare, expect_mark, mark_of_books, whose};
pub use witness::{Believer, DbWitness, Witness};

/// Everything retention needs.
pub struct Retention {
    db: Db,
    keys: KeyRing,
    blobs: Blobs,
    clock: SharedClock,
    entropy: Entropy,
    scribe: Scribe,
    witness: Arc<dyn Witness>,
    announce: Arc<dyn Announce>,
    settings: RetentionSettings,
    memory: Mutex<witness::Memory>,
    rounds: Mutex<remains::Rounds>,
}

/// The handles that [`Retention::new`] takes over.
pub struct RetentionParts {
    /// The database.
    pub db: Db,
    /// The keys.
    pub keys: KeyRing,
    /// The sealed bytes.
    pub blobs: Blobs,
    /// The time of day.
    pub clock: SharedClock,
    /// Chance, for the wraps of moved keys.
    pub entropy: Entropy,
    /// Writes rows of the log.
    pub scribe: Scribe,
    /// The second opinion on the time.
    pub witness: Arc<dyn Witness>,
    /// Tells senders that a delivery is gone.
    pub announce: Arc<dyn Announce>,
    /// The bounds.
    pub settings: RetentionSettings,
}

/// The bounds within which retention works.
#[derive(Clone)]
pub struct RetentionSettings {
    /// Clocks further apart than this hold every destruction.
    pub clock_tolerance: TimeDelta,
    /// Deliveries destroyed in one transaction.
    pub batch: i64,
    /// How old an empty or unknown segment must be before it is destroyed:
    /// longer than any batch can wait to be written down.
    pub segment_grace: TimeDelta,
    /// The shortest time after `send_at` at which any tenant's unsent job is
    /// ended; each tenant's own stands in its rules.
    pub undispatched_min: TimeDelta,
    /// How long after the end of its month the row of a purged delivery still
    /// says what became of it; then the month is dropped.
    pub rows_kept: TimeDelta,
    /// How long the key of a job is kept after the job has left the books, so
    /// that a job sent again is still known.
    pub dedupe_kept: TimeDelta,
    /// Calendar years after that of a job's arrival for which its evidence
    /// stays readable.
    pub evidence_years: i64,
    /// The tenant under whose name the log keeps what belongs to no tenant.
    pub office: TenantId,
    /// Each tenant's calendar.
    pub rules: Rules,
}

/// Gives each tenant's calendar.
pub type Rules = Arc<dyn Fn(&TenantId) -> TenantRules + Send + Sync>;

/// What a tick did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// This much; there may be more at once.
    Worked(Done),
    /// There was nothing to do.
    Idle,
    /// The clocks disagree: nothing was touched.
    Held {
        /// By how much they disagree.
        apart: TimeDelta,
    },
}

/// How much was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Day keys destroyed.
    pub day_keys: usize,
    /// Mail keys destroyed.
    pub mail_keys: usize,
    /// Access, evidence and link keys destroyed.
    pub other_keys: usize,
    /// Deliveries moved to a later key.
    pub moved: usize,
    /// Deliveries whose rows were cleared.
    pub purged: usize,
    /// Those of them that had grown too old to be sent.
    pub never_dispatched: usize,
    /// Uploads destroyed.
    pub uploads: usize,
    /// Segments destroyed.
    pub segments: usize,
    /// Segments destroyed that no delivery knew.
    pub orphans: usize,
    /// Month partitions dropped.
    pub months: usize,
    /// Deliveries that a person has to look at; not counted as work.
    pub doubtful: usize,
}

/// Why a tick came to nothing. Whatever it did stays done, and the next tick
/// goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The books did not answer.
    #[error("retention cannot use the books")]
    Store(#[from] StoreError),
    /// The key store did not answer.
    #[error("retention cannot use the keys")]
    Keys(#[from] KeyError),
    /// The sealed bytes did not go.
    #[error("retention cannot destroy sealed bytes")]
    Blobs(#[from] BlobError),
    /// A row of the log could not be written.
    #[error("retention cannot write a row of the log")]
    Scribe(#[from] ScribeError),
    /// Something could not be sealed or opened.
    #[error("retention cannot seal")]
    Crypto(#[from] CryptoError),
    /// A note of ours on the books is not what we write.
    #[error("a note of retention on the books cannot be read")]
    Note,
    /// There was no randomness for the mark of the store.
    #[error("retention has no randomness")]
    Entropy(#[from] NoEntropy),
}

/// One day key: everything a tenant's service has due on one day.
pub(crate) type DayKey = (TenantId, Service, i64);

impl Retention {
    /// Takes over its handles.
    pub fn new(parts: RetentionParts) -> Self {
        let RetentionParts { db, keys, blobs, clock, entropy, scribe, witness, announce, settings } =
            parts;
        let (memory, rounds) = (Mutex::default(), Mutex::default());
        Self {
            db,
            keys,
            blobs,
            clock,
            entropy,
            scribe,
            witness,
            announce,
            settings,
            memory,
            rounds,
        }
    }

    /// Destroys what is due now, a bounded portion of it. May run twice, and
    /// may die after any await.
    pub async fn tick(&self) -> Result<Tick, RetentionError> {
        let now = self.clock.now();
        if let Some(apart) = self.held(now).await? {
            return Ok(Tick::Held { apart });
        }
        let mut done = Done::default();
        let mut settled = HashSet::new();
        self.finish_condemned(now, &mut done).await?;
        self.destroy_day_keys(now, &mut settled, &mut done).await?;
        self.purge_rows(now, &mut settled, &mut done).await?;
        self.purge_too_old(now, &mut done).await?;
        self.end_uploads(now, &mut done).await?;
        self.destroy_mail_keys(now, &mut done).await?;
        self.destroy_other_keys(now, &mut done).await?;
        // Bytes after every key: their store may be away. What fails stops
        // nothing else.
        let orphans = self.finish_orphans(now, &mut done).await;
        let segments = self.destroy_segments(now, &mut done).await;
        let rounds = self.make_rounds(now, &mut done).await;
        orphans.and(segments).and(rounds)?;
        let idle = done == Done { doubtful: done.doubtful, ..Done::default() };
        Ok(if idle { Tick::Idle } else { Tick::Worked(done) })
    }

    fn rules(&self, tenant: &TenantId) -> TenantRules {
        (self.settings.rules)(tenant)
    }

    fn with_memory<T>(&self, act: impl FnOnce(&mut witness::Memory) -> T) -> T {
        act(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whose keys a channel's documents are under.
pub(crate) const fn service_of(channel: Channel) -> Service {
    match channel {
        Channel::Email => Service::Mail,
        Channel::Post => Service::Postal,
    }
}

impl fmt::Debug for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retention").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for RetentionParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetentionParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for RetentionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetentionSettings")
            .field("clock_tolerance", &self.clock_tolerance)
            .field("batch", &self.batch)
            .field("segment_grace", &self.segment_grace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
