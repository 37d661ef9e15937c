//! The send journal: what tells, after a crash of the process, which mails are
//! safe to send again and which nobody knows about.
//!
//! A line is written before the final dot of every mail and another after its
//! reply. Nothing is synced: the kernel keeps what a killed process wrote, and
//! when the kernel itself went away, the boot id in the header says so and the
//! owner of the books treats every mail of that epoch as unknown.
//!
//! A process holds the lock on its journal for as long as it lives. Whoever
//! finds a journal that nobody holds ([`Abandoned::find`]) settles the books by
//! it and removes it. The file stays small: lines about mails that are on the
//! books are dropped when it is rewritten, which happens by writing a new file,
//! locking it and renaming it into place.
//!
//! Refused: to go on after a line could not be written. `before_dot` then fails,
//! and the mail is not sent.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use self::record::{HEADER_BYTES, Kind, Record};
use super::Outcome;
use crate::domain::ids::{Epoch, JobId};

mod abandoned;
mod record;

pub use abandoned::Abandoned;

/// A journal that is larger than this is rewritten, if that makes it smaller.
const REWRITE_AT_BYTES: u64 = 1 << 20;

/// One run of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootId(pub Uuid);

impl BootId {
    /// Asks the kernel.
    pub fn read() -> Result<Self, JournalFault> {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(JournalFault::NoBootId)?;
        let id = Uuid::try_parse(text.trim()).map_err(|error| {
            JournalFault::NoBootId(io::Error::new(io::ErrorKind::InvalidData, error))
        })?;
        Ok(Self(id))
    }
}

/// Why a journal cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// The kernel does not say which run this is.
    #[error("the boot id cannot be read")]
    NoBootId(#[source] io::Error),
    /// The journal of this epoch exists and is held, or cannot be made.
    #[error("the send journal cannot be opened")]
    Open(#[source] io::Error),
    /// A line could not be written; the mail must not be sent.
    #[error("the send journal cannot be written")]
    Write(#[source] io::Error),
    /// An earlier line could not be undone; nothing more is written.
    #[error("the send journal is damaged; nothing is sent until a restart")]
    Damaged,
    /// A journal of another process cannot be read or removed.
    #[error("an abandoned send journal cannot be settled")]
    Abandoned(#[source] io::Error),
}

/// The journal of this process. Shared by all carriers.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    epoch: Epoch,
    boot: BootId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// How much of the file is whole lines.
    len: u64,
    /// When to think about rewriting next.
    rewrite_at: u64,
    damaged: bool,
    /// The latest line of each mail that is not known to be on the books.
    live: HashMap<JobId, Record>,
}

impl Journal {
    /// Makes the journal of this process in `dir` and takes its lock. An epoch
    /// is never used twice.
    pub fn open(dir: &Path, epoch: Epoch, boot: BootId) -> Result<Self, JournalFault> {
        if journal_path(dir, epoch).exists() {
            let taken = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(JournalFault::Open(taken));
        }
        let live = HashMap::new();
        let (file, len) = write_new(dir, epoch, boot, &live).map_err(JournalFault::Open)?;
        let state = State { file, len, rewrite_at: REWRITE_AT_BYTES, damaged: false, live };
        Ok(Self { dir: dir.to_owned(), epoch, boot, state: Mutex::new(state) })
    }

    /// Writes down that the final dot of a mail is about to be sent. The mail
    /// must not be sent if this fails.
    pub fn before_dot(
        &self,
        job: JobId,
        attempt: u32,
        at: DateTime<Utc>,
    ) -> Result<(), JournalFault> {
        let attempt = u16::try_from(attempt).unwrap_or(u16::MAX);
        self.append(Record { kind: Kind::Dot, attempt, job, at_micros: at.timestamp_micros() })
    }

    /// Writes down what became of a mail. A lost reply writes nothing: the line
    /// before the dot says it all. If this fails after the relay took the mail,
    /// a crash before the books are written makes it ambiguous, never a second
    /// mail.
    pub fn settled(
        &self,
        job: JobId,
        outcome: &Outcome,
        at: DateTime<Utc>,
    ) -> Result<(), JournalFault> {
        let kind = match outcome {
            Outcome::Accepted { .. } => Kind::Accepted,
            Outcome::LostReply { .. } => return Ok(()),
            Outcome::Refused { .. }
            | Outcome::Later { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Withheld => Kind::Free,
        };
        // A mail that never came to its dot has no line to take back.
        let Some(attempt) = self.lock().live.get(&job).map(|record| record.attempt) else {
            return Ok(());
        };
        self.append(Record { kind, attempt, job, at_micros: at.timestamp_micros() })
    }

    /// Writes down that another mail of `jobs` is about to be marked: whatever
    /// stands here of an earlier one is on the books and says nothing of this.
    /// Without that line, a crash between the marker and the dot would take the
    /// earlier mail's answer for this one's.
    pub fn anew(&self, jobs: &[JobId], at: DateTime<Utc>) -> Result<(), JournalFault> {
        let at_micros = at.timestamp_micros();
        jobs.iter().try_for_each(|job| {
            self.append(Record { kind: Kind::Free, attempt: 0, job: *job, at_micros })
        })
    }

    /// Takes note that the outcome of `jobs` is committed on the books, so that
    /// their lines need not be kept. Rewrites the file when it has grown large.
    pub fn booked(&self, jobs: &[JobId]) -> Result<(), JournalFault> {
        let mut state = self.lock();
        for job in jobs {
            state.live.remove(job);
        }
        if state.len < state.rewrite_at || state.damaged {
            return Ok(());
        }
        let (file, len) = write_new(&self.dir, self.epoch, self.boot, &state.live)
            .map_err(JournalFault::Write)?;
        // The old file has no name any more; its lock goes with it.
        state.file = file;
        state.len = len;
        state.rewrite_at = len.saturating_mul(2).max(REWRITE_AT_BYTES);
        Ok(())
    }

    /// The number of mails whose outcome is not known to be on the books.
    pub fn unbooked(&self) -> usize {
        self.lock().live.len()
    }

    /// The mails whose outcome is not known to be on the books: they must not
    /// be given back, because they may have left.
    pub fn under_way(&self) -> HashSet<JobId> {
        self.lock().live.keys().copied().collect()
    }

    /// Ends the journal at the end of an orderly shutdown: removes it if every
    /// outcome is on the books, leaves it to the next process otherwise.
    pub fn close(self) -> Result<(), JournalFault> {
        if self.unbooked() == 0 {
            fs::remove_file(journal_path(&self.dir, self.epoch)).map_err(JournalFault::Write)?;
        }
        Ok(())
    }

    fn append(&self, record: Record) -> Result<(), JournalFault> {
        let mut state = self.lock();
        if state.damaged {
            return Err(JournalFault::Damaged);
        }
        let line = record.bytes();
        if let Err(error) = state.file.write_all(&line) {
            // Half a line in the middle would hide those after it.
            state.damaged = state.file.set_len(state.len).is_err();
            return Err(JournalFault::Write(error));
        }
        state.len = state.len.saturating_add(line_bytes());
        if record.kind == Kind::Free {
            state.live.remove(&record.job);
        } else {
            state.live.insert(record.job, record);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line_bytes() -> u64 {
    u64::try_from(record::RECORD_BYTES).unwrap_or(u64::MAX)
}

fn journal_path(dir: &Path, epoch: Epoch) -> PathBuf {
    dir.join(format!("{epoch}.journal"))
}

fn draft_path(dir: &Path, epoch: Epoch) -> PathBuf {
    dir.join(format!("{epoch}.journal-new"))
}

/// Writes a journal beside its place, locks it, and only then gives it its
/// name: a journal without a lock is one whose process is gone.
fn write_new(
    dir: &Path,
    epoch: Epoch,
    boot: BootId,
    live: &HashMap<JobId, Record>,
) -> io::Result<(File, u64)> {
    let draft = draft_path(dir, epoch);
    match fs::remove_file(&draft) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&draft)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(&record::header(boot, epoch));
    for record in live.values() {
        bytes.extend_from_slice(&record.bytes());
    }
    file.write_all(&bytes)?;
    fs::rename(&draft, journal_path(dir, epoch))?;
    Ok((file, u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests;
