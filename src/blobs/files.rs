//! Segments as files, one open per process and UTC day.
//!
//! Whoever appends puts the batch into a queue and reaches for the pen; who
//! gets it writes for all who are waiting, with one `writev` and one
//! `fdatasync`, and answers them. Batches thus form by themselves from what
//! came in during the last write. The pen goes along into the blocking thread,
//! so that a caller who goes away leaves no half-written batch behind a lock.
//!
//! After a failed write or sync the segment is given up: what the system still
//! holds of it cannot be known, and a second sync would lie. What had been
//! promised from it before stays readable.
//!
//! An open segment is locked (flock), which is how another process knows not
//! to destroy it.

use std::{
    collections::VecDeque,
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, IoSlice, Write},
    num::NonZero,
    ops::Range,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rustix::fs::{Advice, fadvise};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{
    Appended, BlobError, HEADER, batch_length, file_name, header, mark, places, range, segment_of,
};
use crate::{domain::ids::SegmentId, entropy::Entropy};

#[derive(Debug)]
pub(super) struct Files {
    folder: Arc<Path>,
    entropy: Entropy,
    queue: Arc<Mutex<VecDeque<Request>>>,
    pub(super) pen: Arc<tokio::sync::Mutex<Pen>>,
}

/// A batch that waits to be written.
#[derive(Debug)]
struct Request {
    now: DateTime<Utc>,
    batch: Vec<Vec<u8>>,
    answer: oneshot::Sender<Result<Appended, BlobError>>,
}

impl Request {
    fn day(&self) -> i64 {
        self.now.timestamp().div_euclid(86_400)
    }
}

/// Who holds it writes.
#[derive(Debug)]
pub(super) struct Pen {
    folder: Arc<Path>,
    segment_bytes_max: u64,
    entropy: Entropy,
    owner: mark::Owner,
    pub(super) open: Option<Segment>,
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    id: SegmentId,
    day: i64,
    pub(super) file: File,
    /// Bytes that are durable: everything promised, and where the next piece
    /// goes. 0 before the header is written.
    len: u64,
}

impl Files {
    pub(super) fn new(
        folder: PathBuf,
        segment_bytes_max: u64,
        entropy: Entropy,
        owner: mark::Owner,
    ) -> Result<Self, BlobError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(BlobError::disk("make the folder of segments"))?;
        let folder: Arc<Path> = folder.into();
        let pen = Pen {
            folder: Arc::clone(&folder),
            segment_bytes_max,
            entropy: entropy.clone(),
            owner,
            open: None,
        };
        let pen = Arc::new(tokio::sync::Mutex::new(pen));
        Ok(Self { folder, entropy, queue: Arc::default(), pen })
    }

    pub(super) async fn append(
        &self,
        now: DateTime<Utc>,
        batch: Vec<Vec<u8>>,
    ) -> Result<Appended, BlobError> {
        let (answer, mut answered) = oneshot::channel();
        self.queue().push_back(Request { now, batch, answer });
        let mut pen = tokio::select! {
            biased;
            result = &mut answered => return result.unwrap_or(Err(BlobError::Stopped)),
            pen = Arc::clone(&self.pen).lock_owned() => pen,
        };
        let queue = Arc::clone(&self.queue);
        // No await between taking the pen and handing it on.
        drop(spawn_blocking(move || {
            let waiting =
                std::mem::take(&mut *queue.lock().unwrap_or_else(PoisonError::into_inner));
            pen.serve(waiting);
        }));
        answered.await.unwrap_or(Err(BlobError::Stopped))
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Request>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn read(
        &self,
        segment: SegmentId,
        within: Range<u64>,
    ) -> Result<Bytes, BlobError> {
        let path = self.folder.join(file_name(segment));
        match range::read_cached(&path, &within) {
            Some(bytes) => Ok(bytes),
            None => blocking(move || range::read(&path, within)).await,
        }
    }

    pub(super) async fn destroy(&self, segment: SegmentId) -> Result<(), BlobError> {
        let mut pen = Arc::clone(&self.pen).lock_owned().await;
        blocking(move || pen.destroy(segment)).await
    }

    pub(super) async fn mark(&self) -> Result<Option<Vec<u8>>, BlobError> {
        let folder = Arc::clone(&self.folder);
        blocking(move || mark::read(&folder)).await
    }

    pub(super) async fn set_mark(&self, mark: Vec<u8>) -> Result<(), BlobError> {
        let folder = Arc::clone(&self.folder);
        let fresh = mark::fresh_name(&self.entropy)?;
        blocking(move || {
            mark::write(&folder, &mark, &fresh)
                .map_err(BlobError::disk("write the mark of its owner"))?;
            sync_folder(&folder)
        })
        .await
    }

    pub(super) async fn list(&self) -> Result<Vec<SegmentId>, BlobError> {
        let folder = Arc::clone(&self.folder);
        blocking(move || list(&folder).map_err(in_folder("list segments"))).await
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    spawn_blocking(act).await.unwrap_or(Err(BlobError::Stopped))
}

/// A failure where the folder itself may be gone: that says nothing of a segment.
pub(super) fn in_folder(act: &'static str) -> impl FnOnce(io::Error) -> BlobError {
    move |source| {
        if source.kind() == io::ErrorKind::NotFound {
            BlobError::Disk { act, source: Arc::new(source) }
        } else {
            BlobError::disk(act)(source)
        }
    }
}

fn list(folder: &Path) -> io::Result<Vec<SegmentId>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        segments.extend(entry?.file_name().to_str().and_then(segment_of));
    }
    Ok(segments)
}

fn sync_folder(folder: &Path) -> Result<(), BlobError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(BlobError::disk("sync the folder of segments"))
}

impl Pen {
    /// Writes what is waiting, as much as fits into one segment at a time.
    fn serve(&mut self, mut waiting: VecDeque<Request>) {
        // Who has gone away is not written for.
        waiting.retain(|request| !request.answer.is_closed());
        while let Some(first) = waiting.pop_front() {
            let day = first.day();
            let mut length = self.room_taken(day, batch_length(&first.batch));
            let mut run = vec![first];
            while let Some(next) = waiting.front() {
                length = length.saturating_add(batch_length(&next.batch));
                if next.day() != day || length > self.segment_bytes_max {
                    break;
                }
                run.extend(waiting.pop_front());
            }
            self.serve_run(day, run);
        }
    }

    /// Closes the open segment if it is of another day or has no room for
    /// `more`; gives its length with `more` added.
    fn room_taken(&mut self, day: i64, more: u64) -> u64 {
        let fits = |open: &Segment| {
            open.day == day && open.len.saturating_add(more) <= self.segment_bytes_max
        };
        self.open.take_if(|open| !fits(open));
        self.open.as_ref().map_or(HEADER, |open| open.len).saturating_add(more)
    }

    fn serve_run(&mut self, day: i64, run: Vec<Request>) {
        let mut written = self.write(day, &run);
        for request in run {
            let answer = match &mut written {
                Ok((id, offset, fresh)) => {
                    let places = places(*id, *offset, &request.batch);
                    *offset = offset.saturating_add(batch_length(&request.batch));
                    Ok(Appended { segment: *id, fresh: *fresh, places })
                }
                Err(error) => Err(error.clone()),
            };
            // Whoever went away meanwhile leaves bytes that nobody points at.
            drop(request.answer.send(answer));
        }
    }

    /// Writes a run and makes it durable. Gives the segment, where the run
    /// begins, and whether the segment is new.
    fn write(&mut self, day: i64, run: &[Request]) -> Result<(SegmentId, u64, bool), BlobError> {
        let mut segment = match self.open.take() {
            Some(open) => open,
            None => self.create(day, run)?,
        };
        let fresh = segment.len == 0;
        match self.write_to(&mut segment, run) {
            Ok(offset) => {
                let id = segment.id;
                self.open = Some(segment);
                Ok((id, offset, fresh))
            }
            Err(error) => {
                self.give_up(&segment);
                Err(error)
            }
        }
    }

    fn create(&self, day: i64, run: &[Request]) -> Result<Segment, BlobError> {
        self.look_for_mark()?;
        let now = run.first().map(|request| request.now).unwrap_or_default();
        let id = SegmentId(self.entropy.id(now)?);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.folder.join(file_name(id)))
            .map_err(in_folder("create a segment"))?;
        let segment = Segment { id, day, file, len: 0 };
        let locked = segment.file.lock();
        if let Err(error) = locked {
            self.give_up(&segment);
            return Err(BlobError::disk("lock a segment")(error));
        }
        Ok(segment)
    }

    fn write_to(&self, segment: &mut Segment, run: &[Request]) -> Result<u64, BlobError> {
        let header = if segment.len == 0 { header(segment.id) } else { Vec::new() };
        let offset = segment.len.max(HEADER);
        let pieces = run.iter().flat_map(|request| &request.batch);
        let mut slices: Vec<IoSlice<'_>> = std::iter::once(&header)
            .chain(pieces)
            .filter(|piece| !piece.is_empty())
            .map(|piece| IoSlice::new(piece))
            .collect();
        write_all(&segment.file, &mut slices).map_err(BlobError::disk("write a segment"))?;
        segment.file.sync_data().map_err(BlobError::disk("sync a segment"))?;
        // Sealed bytes are read once, days later, if at all: the memory they
        // would take in the system's cache is better used by the database.
        let length = NonZero::new(run.iter().map(|one| batch_length(&one.batch)).sum());
        let _only_advice = fadvise(&segment.file, offset, length, Advice::DontNeed);
        if segment.len == 0 {
            sync_folder(&self.folder)?;
        }
        let written = run.iter().map(|request| batch_length(&request.batch));
        segment.len = written.fold(offset, u64::saturating_add);
        Ok(offset)
    }

    /// Frees what a failed write took, as far as that is possible; what was
    /// promised stays.
    fn give_up(&self, segment: &Segment) {
        let freed = if segment.len == 0 {
            std::fs::remove_file(self.folder.join(file_name(segment.id)))
        } else {
            segment.file.set_len(segment.len)
        };
        // If even that fails, noise stays until the segment is destroyed.
        drop(freed);
    }

    fn destroy(&mut self, segment: SegmentId) -> Result<(), BlobError> {
        self.open.take_if(|open| open.id == segment);
        let path = self.folder.join(file_name(segment));
        match unlink_unless_locked(&path) {
            Ok(()) => sync_folder(&self.folder),
            // Gone already; perhaps by a process that died before the sync.
            Err(BlobError::Gone) => {
                self.look_for_mark()?;
                sync_folder(&self.folder)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the folder is the store that the books know, as far as they say.
    fn look_for_mark(&self) -> Result<(), BlobError> {
        if !self.owner.is_known() {
            return Ok(());
        }
        self.owner.check(mark::read(&self.folder)?.as_deref())
    }
}

fn unlink_unless_locked(path: &Path) -> Result<(), BlobError> {
    let file = OpenOptions::new().write(true).open(path);
    let file = file.map_err(BlobError::disk("open a segment"))?;
    match file.try_lock() {
        Ok(()) => std::fs::remove_file(path).map_err(BlobError::disk("unlink a segment")),
        Err(TryLockError::WouldBlock) => Err(BlobError::InUse),
        Err(TryLockError::Error(error)) => Err(BlobError::disk("lock a segment")(error)),
    }
}

fn write_all(mut file: &File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
