//! Files and folders that survive a power failure.
//!
//! A file is on the disk when it and the folder that names it were synced;
//! everything here does both, so that the order of calls is the order on the
//! disk. What is not ours is opened without following links and without
//! waiting: a partner's folder may hold a link to `/etc/shadow`, a pipe nobody
//! writes to, or a terabyte.
//!
//! Folders are made 0700 and files 0600: the partner's side runs under our
//! account or is given access by the operator, never by us.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::{FlockOperation, Mode, OFlags};

/// Why a file of the partner's is not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// A link, a folder, a pipe, a device.
    NotAFile,
    /// Longer than it may be.
    TooLarge,
    /// The operating system refused.
    Io(io::Error),
}

/// Makes a folder and those above it, readable by us alone.
pub(super) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a new file and syncs it; an existing one is an error.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the names in a folder durable.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Puts a small file in place in one step: written beside, synced, renamed,
/// and the folder synced. Whoever looks sees nothing or all of it.
pub(super) fn place(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.tmp"));
    remove_file(&beside)?;
    write_new(&beside, bytes)?;
    fs::rename(&beside, folder.join(name))?;
    sync(folder)
}

/// Reads a file that somebody else made, up to `max` bytes.
pub(super) fn read(path: &Path, max: usize) -> Result<Vec<u8>, Unread> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let handle = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(handle) => handle,
        // A link in place of a file, or a socket.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Err(Unread::NotAFile),
        Err(errno) => return Err(Unread::Io(errno.into())),
    };
    let file = File::from(handle);
    if !file.metadata().map_err(Unread::Io)?.is_file() {
        return Err(Unread::NotAFile);
    }
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(Unread::Io)?;
    if bytes.len() > max { Err(Unread::TooLarge) } else { Ok(bytes) }
}

/// Keeps others out until the answer is dropped: other threads, and other
/// processes on the same file system. A crash lets go by itself.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// The same, unless somebody else is at it.
pub(super) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a file; one that is gone already is no error.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(path))
}

/// Removes a folder with all that is in it; one that is gone is no error.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(path))
}

/// Whether something stands at this path; a link counts as itself.
pub(super) fn stands(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves a file into `folder` under its own name, or under that name with a
/// number where one stands already: nothing is ever overwritten.
pub(super) fn move_into(file: &Path, folder: &Path, name: &str) -> io::Result<String> {
    for number in 0_u32..10_000 {
        let free = if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
        let target = folder.join(&free);
        if stands(&target)? {
            continue;
        }
        fs::rename(file, &target)?;
        sync(folder)?;
        return Ok(free);
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files of one name"))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
