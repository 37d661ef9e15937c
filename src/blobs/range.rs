//! A range of a segment on disk.

use std::{fs::File, io::IoSliceMut, ops::Range, os::unix::fs::FileExt as _, path::Path};

use bytes::Bytes;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
    io::{ReadWriteFlags, preadv2},
};

use super::{BlobError, files::in_folder};

/// Bytes that are read at once when they are in the system's cache, at the most.
const CACHED_MAX: usize = 512 << 10;

/// A short range that lies in the system's cache already, without waiting for
/// any disk and without the two changes of thread that waiting costs. None when
/// it does not, or when anything is amiss: the reader that may wait says what.
pub(super) fn read_cached(path: &Path, within: &Range<u64>) -> Option<Bytes> {
    let wanted = usize::try_from(within.end.checked_sub(within.start)?).ok()?;
    if wanted > CACHED_MAX {
        return None;
    }
    let (flags, cached) = (OFlags::RDONLY | OFlags::CLOEXEC, ResolveFlags::CACHED);
    let file = openat2(CWD, path, flags, Mode::empty(), cached).ok()?;
    let mut bytes = vec![0; wanted];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let read = preadv2(&file, &mut slices, within.start, ReadWriteFlags::NOWAIT).ok()?;
    (read == wanted).then(|| bytes.into())
}

/// A range that may have to come from the disk.
pub(super) fn read(path: &Path, within: Range<u64>) -> Result<Bytes, BlobError> {
    let act = "open a segment";
    let there = path.parent().is_none_or(Path::exists);
    let failed = |error| {
        if there { BlobError::disk(act)(error) } else { in_folder(act)(error) }
    };
    let file = File::open(path).map_err(failed)?;
    let wanted = within.end.saturating_sub(within.start);
    // Asked first, so that a wrong length in a row cannot make us take memory.
    let size = file.metadata().map_err(BlobError::disk("measure a segment"))?.len();
    if size < within.end {
        return Err(BlobError::Torn);
    }
    let mut bytes = vec![0; usize::try_from(wanted).map_err(|_| BlobError::OutOfRange)?];
    file.read_exact_at(&mut bytes, within.start).map_err(BlobError::disk("read a segment"))?;
    Ok(bytes.into())
}
