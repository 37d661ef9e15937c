//! Journals whose process is gone, and what they say.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use super::{
    BootId, JournalFault, draft_path,
    record::{self, HEADER_BYTES, Kind, RECORD_BYTES, Record},
};
use crate::domain::ids::{Epoch, JobId};

/// The most of a journal that is read; a live one is rewritten long before.
const READ_MAX_BYTES: u64 = 256 << 20;

/// The journal of a dead process, locked by us until it is finished or
/// dropped.
///
/// For the mails that the books show as being sent by `epoch`: those in
/// `accepted` were sent; those in `open_dots` are ambiguous; all others were
/// not sent, provided that `same_boot` and `intact`, and are ambiguous
/// otherwise.
#[derive(Debug)]
pub struct Abandoned {
    /// The life of the process that wrote it.
    pub epoch: Epoch,
    /// Whether the machine has not been restarted since: otherwise lines may
    /// be missing.
    pub same_boot: bool,
    /// Whether the file is whole, a torn last line aside: that one was being
    /// written when the process died, so its dot was not sent.
    pub intact: bool,
    /// Mails that the relay took, and when.
    pub accepted: Vec<(JobId, DateTime<Utc>)>,
    /// Mails whose final dot may have been sent and whose reply is unknown.
    pub open_dots: Vec<JobId>,
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl Abandoned {
    /// Finds and locks every journal in `dir` that no process holds.
    pub fn find(dir: &Path, boot: BootId) -> Result<Vec<Self>, JournalFault> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).map_err(JournalFault::Abandoned)? {
            let path = entry.map_err(JournalFault::Abandoned)?.path();
            let Some(epoch) = epoch_of(&path) else { continue };
            if let Some(file) = lock(&path).map_err(JournalFault::Abandoned)? {
                found.push(Self::read(file, path, epoch, boot).map_err(JournalFault::Abandoned)?);
            }
        }
        found.sort_by_key(|journal| journal.epoch);
        Ok(found)
    }

    /// Removes the journal, once the books are settled by it.
    pub fn finish(self) -> Result<(), JournalFault> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        for path in [draft_path(dir, self.epoch), self.path.clone()] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(JournalFault::Abandoned(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn read(mut file: File, path: PathBuf, epoch: Epoch, boot: BootId) -> io::Result<Self> {
        let mut bytes = Vec::new();
        (&mut file).take(READ_MAX_BYTES).read_to_end(&mut bytes)?;
        let whole = u64::try_from(bytes.len()).is_ok_and(|len| len < READ_MAX_BYTES);
        let (head, lines) = bytes.split_at_checked(HEADER_BYTES).unwrap_or((&bytes, &[]));
        let header = record::parse_header(head).filter(|(_, written)| *written == epoch);
        let (states, lines_intact) = replay(lines);
        let mut journal = Self {
            epoch,
            same_boot: header.is_some_and(|(written, _)| written == boot),
            intact: whole && header.is_some() && lines_intact,
            accepted: Vec::new(),
            open_dots: Vec::new(),
            path,
            _lock: file,
        };
        for (job, record) in states {
            match (record.kind, DateTime::from_timestamp_micros(record.at_micros)) {
                (Kind::Accepted, Some(at)) => journal.accepted.push((job, at)),
                (Kind::Dot, _) | (Kind::Accepted, None) => journal.open_dots.push(job),
                (Kind::Free, _) => {}
            }
        }
        Ok(journal)
    }
}

/// The last line of each mail, and whether every line but a torn last one
/// could be read.
fn replay(lines: &[u8]) -> (BTreeMap<JobId, Record>, bool) {
    let mut states = BTreeMap::new();
    let mut chunks = lines.chunks_exact(RECORD_BYTES);
    let mut bad = 0_usize;
    let mut last_is_bad = false;
    for line in &mut chunks {
        let record = Record::parse(line);
        last_is_bad = record.is_none();
        bad = bad.saturating_add(usize::from(last_is_bad));
        states.extend(record.map(|record| (record.job, record)));
    }
    let torn = usize::from(last_is_bad && chunks.remainder().is_empty());
    (states, bad == torn)
}

fn epoch_of(path: &Path) -> Option<Epoch> {
    let name = path.file_name()?.to_str()?.strip_suffix(".journal")?;
    Uuid::try_parse(name).ok().map(Epoch)
}

/// Opens a journal if nobody holds it and it still is the one at `path`: its
/// owner may have put another in its place, or somebody else have finished it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let ours = file.metadata()?;
    let there = match fs::metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok((ours.ino() == there.ino() && ours.dev() == there.dev()).then_some(file))
}
