//! Sealed bytes in segments: append, read a range, destroy.
//!
//! A file per artifact would make the sender several times dearer, and dearer
//! still after the first purge. So the bytes of many deliveries stand one
//! behind the other in a segment: on disk, a file of the day to which batches
//! are appended with one `fdatasync` each; in object storage, one object per
//! batch. Where a piece stands is its `Place`, and that is kept in the
//! database; a segment has no index of its own.
//!
//! What comes in is sealed already. Nothing here can read it, nor says
//! whether it is whole: the seal does. Bytes that no row points at are noise
//! without a key, so a torn tail needs no repair: a segment that was not
//! closed by the process that opened it is never appended to again.
//!
//! It refuses to promise what is not durable, to give a range outside a
//! place, to destroy a segment another process is writing, and to take any
//! name from outside: a segment's name is its id.

mod files;
mod mark;
mod objects;
mod range;
mod s3;
#[cfg(test)]
mod tests;
mod trouble;
mod watch;

use std::{io, ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::ObjectStore;

pub use mark::MARK;
pub use s3::S3Settings;
pub use trouble::{Code, Trouble};
pub use watch::{Act, Fares};

use crate::{
    domain::ids::SegmentId,
    entropy::{Entropy, NoEntropy},
};

/// The first bytes of a segment; then its id (16), then the pieces.
const MAGIC: &[u8; 8] = b"kkseg\r\n\x01";
/// Bytes before the first piece.
const HEADER: u64 = 24;

/// Where a piece of sealed bytes stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The segment.
    pub segment: SegmentId,
    /// Bytes from the segment's beginning to the piece's first.
    pub offset: u64,
    /// Bytes of the piece.
    pub len: u64,
}

/// A batch that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The segment that holds the whole batch.
    pub segment: SegmentId,
    /// Whether this call opened the segment. Only a hint: batches that came in
    /// together may be written down in any order, so the row of a segment is
    /// inserted `ON CONFLICT DO NOTHING` in any case.
    pub fresh: bool,
    /// Where each piece stands, in the order in which they were given.
    pub places: Vec<Place>,
}

/// Why bytes could not be kept, given or destroyed. Clones, because a batch is
/// shared by those who wait for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BlobError {
    /// No room; nothing of the batch was kept.
    #[error("the disk is full")]
    Full,
    /// The disk failed; of a batch nothing was promised.
    #[error("cannot {act}")]
    Disk {
        /// What was being done.
        act: &'static str,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The object storage failed; of a batch nothing was promised.
    #[error("the object storage cannot {act}")]
    Objects {
        /// What was being done.
        act: &'static str,
        /// Why not.
        #[source]
        why: Trouble,
    },
    /// There is no such segment: destroyed, or never whole.
    #[error("the segment is gone")]
    Gone,
    /// The segment ends before the place does.
    #[error("the segment is shorter than it should be")]
    Torn,
    /// The range does not lie in the place, or the place not in a segment.
    #[error("the range lies outside")]
    OutOfRange,
    /// A batch without a piece.
    #[error("there is nothing to append")]
    Empty,
    /// Another process is writing the segment.
    #[error("the segment is still being written by another process")]
    InUse,
    /// The store does not carry the mark of our books; nothing was kept.
    #[error(
        "the store does not carry the mark that the books know: mount its volume, or correct \
         blobs.dir, blobs.bucket or blobs.prefix; `kakitome check` says more"
    )]
    NotOurs,
    /// The operating system gave no randomness, so no segment was named.
    #[error("no segment was named for want of randomness")]
    NoEntropy,
    /// The program is ending; nothing of the batch was promised.
    #[error("the writer has stopped")]
    Stopped,
}

impl BlobError {
    /// Whether trying again later can help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Full
            | Self::Disk { .. }
            | Self::Objects { .. }
            | Self::InUse
            | Self::NotOurs
            | Self::NoEntropy
            | Self::Stopped => true,
            Self::Gone | Self::Torn | Self::OutOfRange | Self::Empty => false,
        }
    }

    /// Whether the store itself does not work now, for this segment and others.
    fn is_trouble(&self) -> bool {
        matches!(self, Self::Full | Self::Disk { .. } | Self::Objects { .. } | Self::NotOurs)
    }

    /// Whether bytes that were promised are not there.
    fn is_damage(&self) -> bool {
        matches!(self, Self::Gone | Self::Torn)
    }

    /// What is wrong, in a few words that never name anything.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Full => "the disk is full",
            Self::Disk { .. } => "the disk fails",
            Self::Objects { why, .. } => match why {
                Trouble::Unreachable | Trouble::Late | Trouble::BrokenOff | Trouble::Busy(_) => {
                    "the object storage is away"
                }
                Trouble::NoBucket
                | Trouble::Certificate
                | Trouble::Keys(_)
                | Trouble::Denied(_)
                | Trouble::Clock(_)
                | Trouble::Answered(_)
                | Trouble::Settings
                | Trouble::Unknown => "the object storage refuses",
            },
            Self::Gone | Self::Torn => "sealed bytes are missing",
            Self::InUse => "the segment is being written",
            Self::NotOurs => "the store is not the one that the books know",
            Self::OutOfRange | Self::Empty => "the request makes no sense",
            Self::NoEntropy => "there is no randomness",
            Self::Stopped => "the writer has stopped",
        }
    }

    /// The error and its causes, in one line.
    fn told(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }

    fn disk(act: &'static str) -> impl FnOnce(io::Error) -> Self {
        use io::ErrorKind as Kind;
        move |source| {
            let kind = source.kind();
            if [Kind::StorageFull, Kind::QuotaExceeded, Kind::FileTooLarge].contains(&kind) {
                Self::Full
            } else if kind == Kind::NotFound {
                Self::Gone
            } else if kind == Kind::UnexpectedEof {
                Self::Torn
            } else {
                Self::Disk { act, source: Arc::new(source) }
            }
        }
    }

    fn objects(act: &'static str) -> impl FnOnce(object_store::Error) -> Self {
        move |source| Self::Objects { act, why: Trouble::of(&source) }
    }
}

impl From<NoEntropy> for BlobError {
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

/// Where sealed bytes are kept; clones share one open segment.
#[derive(Clone, Debug)]
pub struct Blobs {
    kept: Kept,
    owner: mark::Owner,
    watch: Arc<watch::Watch>,
}

#[derive(Clone, Debug)]
enum Kept {
    Files(Arc<files::Files>),
    Objects(Arc<objects::Objects>),
}

impl Blobs {
    /// The default for the size at which a segment is closed: 1 GiB.
    pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

    /// Keeps segments as files in `folder`, which is made if it is not there.
    /// A segment is closed before it grows past `segment_bytes_max`; a batch
    /// that is larger has one to itself.
    pub fn files(
        folder: impl Into<PathBuf>,
        segment_bytes_max: u64,
        entropy: Entropy,
    ) -> Result<Self, BlobError> {
        let owner = mark::Owner::default();
        let files = files::Files::new(folder.into(), segment_bytes_max, entropy, owner.clone())?;
        Ok(Self::of(Kept::Files(Arc::new(files)), owner))
    }

    /// Keeps segments as objects of a bucket, one per batch. Nothing is asked
    /// of the storage yet.
    pub fn s3(settings: &S3Settings, entropy: Entropy) -> Result<Self, BlobError> {
        Ok(Self::objects(settings.open()?, &settings.prefix, entropy))
    }

    /// Keeps segments as objects under `prefix`, one per batch.
    pub fn objects(store: Arc<dyn ObjectStore>, prefix: &str, entropy: Entropy) -> Self {
        let owner = mark::Owner::default();
        let objects = objects::Objects::new(store, prefix, entropy, owner.clone());
        Self::of(Kept::Objects(Arc::new(objects)), owner)
    }

    fn of(kept: Kept, owner: mark::Owner) -> Self {
        Self { kept, owner, watch: Arc::default() }
    }

    /// How an act fares, as whoever tried last has found it.
    pub fn fares(&self, act: Act) -> Fares {
        self.watch.fares(act)
    }

    /// To be called at regular times, some seconds apart: trouble that nobody
    /// has met for six calls is shown no more.
    pub fn look(&self) {
        self.watch.look();
    }

    /// Appends a batch and returns when it is durable. `now` decides the day's
    /// segment. Batches that come in during one write share the next. A call
    /// that is dropped while it waits may or may not have been written; what
    /// nobody points at is removed with its segment.
    pub async fn append(
        &self,
        now: DateTime<Utc>,
        batch: Vec<Vec<u8>>,
    ) -> Result<Appended, BlobError> {
        if batch.is_empty() {
            return Err(BlobError::Empty);
        }
        let appended = match &self.kept {
            Kept::Files(files) => files.append(now, batch).await,
            Kept::Objects(objects) => objects.append(now, batch).await,
        };
        self.watch.note(Act::Write, &appended);
        appended
    }

    /// Reads `range` of the piece at `place` (counted from the piece's
    /// beginning).
    pub async fn read(&self, place: &Place, range: Range<u64>) -> Result<Bytes, BlobError> {
        let inside = range.start <= range.end && range.end <= place.len;
        let end = place.offset.checked_add(place.len).ok_or(BlobError::OutOfRange)?;
        if !inside || place.offset < HEADER || end > i64::MAX.unsigned_abs() {
            return Err(BlobError::OutOfRange);
        }
        let start = place.offset.saturating_add(range.start);
        let within = start..place.offset.saturating_add(range.end);
        let read = match &self.kept {
            Kept::Files(files) => files.read(place.segment, within).await,
            Kept::Objects(objects) => objects.read(place.segment, within).await,
        };
        let read = self.is_it_gone(read).await;
        self.watch.note(Act::Read, &read);
        read
    }

    /// Destroys a segment with all that is in it. Twice is once. The caller
    /// knows that nothing in it is needed, and that none of its batches is
    /// still waiting to be written down.
    pub async fn destroy(&self, segment: SegmentId) -> Result<(), BlobError> {
        let destroyed = match &self.kept {
            Kept::Files(files) => files.destroy(segment).await,
            Kept::Objects(objects) => objects.destroy(segment).await,
        };
        self.watch.note(Act::Destroy, &destroyed);
        destroyed
    }

    /// Every segment there is, oldest first, those without a row included.
    pub async fn list(&self) -> Result<Vec<SegmentId>, BlobError> {
        let listed = match &self.kept {
            Kept::Files(files) => files.list().await,
            Kept::Objects(objects) => objects.list().await,
        };
        self.watch.note(Act::List, &listed);
        let mut segments = listed?;
        segments.sort_unstable();
        Ok(segments)
    }
}

/// The name of a segment's file or object.
fn file_name(segment: SegmentId) -> String {
    format!("{segment}.kks")
}

/// The segment with this name; none for names that are not ours.
fn segment_of(file_name: &str) -> Option<SegmentId> {
    let segment = file_name.strip_suffix(".kks")?.parse().ok()?;
    (self::file_name(segment) == file_name).then_some(segment)
}

/// The first bytes of a segment.
fn header(segment: SegmentId) -> Vec<u8> {
    [MAGIC.as_slice(), segment.0.as_bytes()].concat()
}

/// The places of pieces of these lengths, one behind the other from `offset`.
fn places(segment: SegmentId, offset: u64, batch: &[Vec<u8>]) -> Vec<Place> {
    let mut offset = offset;
    let mut place = |piece: &Vec<u8>| {
        let place = Place { segment, offset, len: length(piece) };
        offset = offset.saturating_add(place.len);
        place
    };
    batch.iter().map(&mut place).collect()
}

fn length(piece: &[u8]) -> u64 {
    // No slice is longer than the largest u64.
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}

fn batch_length(batch: &[Vec<u8>]) -> u64 {
    batch.iter().map(|piece| length(piece)).fold(0, u64::saturating_add)
}
