//! The mark of a store: a few digits beside the segments that say whose they
//! are. The books know the same digits.
//!
//! It is written once and never over: whoever comes second leaves it as it is,
//! be it another process, another office, or a life before this one.
//!
//! A folder whose volume is not mounted stands there empty, and looks like any
//! new one. So where the books know a mark, no segment is begun in a store that
//! does not carry it, and none that is missing there is taken for destroyed.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{Act, BlobError, Blobs, Kept};
use crate::entropy::{Entropy, NoEntropy};

/// The name of the mark's file or object.
pub const MARK: &str = "office.mark";
/// A mark is not longer than this.
pub(super) const MARK_BYTES_MAX: u64 = 64;

/// What stands in a mark; a mark that is none of ours is another's.
fn mark_in(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim().chars().filter(char::is_ascii_alphanumeric).collect()
}

impl Blobs {
    /// From here on nothing is begun in a store that does not carry this mark,
    /// which the books know. The first word counts: the books' never changes.
    pub fn expect_mark(&self, mark: &str) {
        self.owner.mark.get_or_init(|| mark.to_owned());
    }

    /// Whether it is known which mark the store must carry.
    pub fn expects_mark(&self) -> bool {
        self.owner.is_known()
    }

    /// What is not there is only gone if the store is the one that it was in.
    pub(super) async fn is_it_gone<T>(&self, read: Result<T, BlobError>) -> Result<T, BlobError> {
        if matches!(read, Err(BlobError::Gone)) && self.expects_mark() {
            self.owner.check(self.kept_mark().await?.as_deref())?;
        }
        read
    }

    async fn kept_mark(&self) -> Result<Option<Vec<u8>>, BlobError> {
        match &self.kept {
            Kept::Files(files) => files.mark().await,
            Kept::Objects(objects) => objects.mark().await,
        }
    }

    /// The mark that says whose store this is; none where there is none yet.
    pub async fn mark(&self) -> Result<Option<String>, BlobError> {
        let bytes = self.kept_mark().await;
        self.watch.note(Act::Read, &bytes);
        Ok(bytes?.map(|bytes| mark_in(&bytes)))
    }

    /// Marks a store that has no mark; a mark that is there stays.
    pub async fn set_mark(&self, mark: &str) -> Result<(), BlobError> {
        let bytes = format!("{mark}\n").into_bytes();
        let set = match &self.kept {
            Kept::Files(files) => files.set_mark(bytes).await,
            Kept::Objects(objects) => objects.set_mark(bytes).await,
        };
        self.watch.note(Act::Write, &set);
        set
    }
}

/// The mark that a store must carry before anything is begun in it, once that
/// is known. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Owner {
    mark: Arc<OnceLock<String>>,
    /// The last day on which the store was seen to carry it.
    seen_on: Arc<Mutex<Option<i64>>>,
}

impl Owner {
    /// Whether it is known which mark the store must carry.
    pub(super) fn is_known(&self) -> bool {
        self.mark.get().is_some()
    }

    /// Whether the store was seen to carry it on this day, which is enough for
    /// a bucket; a volume can go at any hour, and is asked every time.
    pub(super) fn was_seen_on(&self, day: i64) -> bool {
        *self.seen_on.lock().unwrap_or_else(PoisonError::into_inner) == Some(day)
    }

    /// The store was seen to carry it on this day.
    pub(super) fn seen_on(&self, day: i64) {
        *self.seen_on.lock().unwrap_or_else(PoisonError::into_inner) = Some(day);
    }

    /// Compares what was found in a store with what must be there.
    pub(super) fn check(&self, found: Option<&[u8]>) -> Result<(), BlobError> {
        match self.mark.get() {
            Some(mark) if found.map(mark_in).as_ref() != Some(mark) => Err(BlobError::NotOurs),
            Some(_) | None => Ok(()),
        }
    }
}

/// What the file of a mark holds; none where there is no such file.
pub(super) fn read(folder: &Path) -> Result<Option<Vec<u8>>, BlobError> {
    let mut bytes = Vec::new();
    let read = |file: File| file.take(MARK_BYTES_MAX).read_to_end(&mut bytes);
    match File::open(folder.join(MARK)).and_then(read) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BlobError::disk("read the mark of its owner")(error)),
    }
}

/// A name under which a mark is written before it gets its own: one that no
/// other process uses, nor one before this with the same id.
pub(super) fn fresh_name(entropy: &Entropy) -> Result<String, NoEntropy> {
    Ok(format!("{MARK}.{}", data_encoding::HEXLOWER.encode(&entropy.array::<8>()?)))
}

/// Marks a folder that has no mark: under a name of its own first, so that no
/// half mark is ever seen and none is written over.
pub(super) fn write(folder: &Path, mark: &[u8], fresh: &str) -> io::Result<()> {
    let fresh = folder.join(fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let written = file.write_all(mark).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&fresh, folder.join(MARK)));
    std::fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
