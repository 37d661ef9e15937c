//! Who was on the press when the process died.
//!
//! A job that ends its worker (out of memory, a fault in a C library) must not
//! do so for ever, and its neighbours must not be blamed. Before a thread
//! renders a job it writes the job's id into its slot of a small file beside
//! the send journal; after, it wipes the slot. No flush: the file survives the
//! process, and a reboot blames nobody.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::domain::ids::{Epoch, JobId};

/// Bytes of a slot: one id; all zero when nobody is on the press.
const SLOT: u64 = 16;

/// The file of this process.
#[derive(Debug)]
pub struct Suspects {
    file: File,
    path: PathBuf,
}

fn path_of(dir: &Path, epoch: Epoch) -> PathBuf {
    dir.join(format!("{epoch}.press"))
}

impl Suspects {
    /// Makes the file of this process.
    pub fn open(dir: &Path, epoch: Epoch) -> io::Result<Self> {
        let path = path_of(dir, epoch);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path })
    }

    /// A job goes on the press of thread `slot`. A file that cannot be written
    /// costs the blame and nothing else.
    pub fn enter(&self, slot: u64, job: JobId) {
        self.write(slot, job.0.as_bytes());
    }

    /// The press of thread `slot` is free.
    pub fn leave(&self, slot: u64) {
        self.write(slot, Uuid::nil().as_bytes());
    }

    fn write(&self, slot: u64, id: &[u8; 16]) {
        if let Err(error) = self.file.write_all_at(id, slot.saturating_mul(SLOT)) {
            tracing::debug!("who is on the press cannot be written down: {error}");
        }
    }

    /// Removes the file at the end of an orderly life.
    pub fn close(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("the press file stays behind: {error}");
        }
    }
}

/// Who was on the press of a dead process; nobody, when it left no file.
pub fn of_the_dead(dir: &Path, epoch: Epoch) -> HashSet<JobId> {
    let Ok(bytes) = std::fs::read(path_of(dir, epoch)) else { return HashSet::new() };
    bytes
        .as_chunks::<16>()
        .0
        .iter()
        .map(|id| JobId(Uuid::from_bytes(*id)))
        .filter(|job| !job.0.is_nil())
        .collect()
}

/// Removes the file of a dead process, once its rows are settled.
pub fn forget(dir: &Path, epoch: Epoch) {
    match std::fs::remove_file(path_of(dir, epoch)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::debug!("the press file of a dead process stays: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_on_the_press_is_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let epoch = Epoch(Uuid::from_u128(7));
        let suspects = Suspects::open(dir.path(), epoch).unwrap();
        let job = |n| JobId(Uuid::from_u128(n));
        suspects.enter(0, job(1));
        suspects.enter(2, job(3));
        suspects.leave(0);
        assert_eq!(of_the_dead(dir.path(), epoch), HashSet::from([job(3)]), "slot 2 was busy");
        forget(dir.path(), epoch);
        assert!(of_the_dead(dir.path(), epoch).is_empty(), "and then it is forgotten");
    }
}
