//! The partner who watches a folder.
//!
//! ```text
//! ROOT/out/BATCH.tmp/       being written; the partner looks away
//! ROOT/out/BATCH/           PDFs, manifest.csv, manifest.json; complete
//! ROOT/out/BATCH.done       now the partner may take it
//! ROOT/sent/BATCH           our own receipt; the partner never touches it
//! ROOT/in/NAME.json|csv     what the partner says …
//! ROOT/in/NAME.json.done    … once this marker stands beside it
//! ROOT/in/done/             what is on our books
//! ROOT/in/rejected/         what needs a person, with NAME.error.json
//! ROOT/.lock                held by the worker who lays out or tidies
//! ```
//!
//! The order of effects is the promise. Files, then their folder, are synced
//! before the folder is renamed into place; our receipt is written before the
//! done marker, so that a batch whose marker and folder are both gone was
//! taken, and is not laid out a second time. A crash at any point leaves
//! either no marker or a complete batch; a left-over `.tmp` is removed by the
//! next tick. The partner may remove `BATCH/`, and then `BATCH.done`, in that
//! order, or leave both to us.
//!
//! The PDFs are plain here unless the partner can decrypt: then [`Wrapping`]
//! is the place where each file is encrypted for it, before the first byte
//! touches the disk. [`Partner::empty`] removes the folder as soon as the
//! partner has accepted the batch.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::future::BoxFuture;

use super::{
    AnswerFile, Batch, FileFault, HandedOver, Inbox, Partner, Piece, PieceFault, PostalError,
    PostalLines, RefusedFile,
    answers::{self, ANSWER_BYTES_MAX},
    folder::{self, Unread},
    manifest::{self, CsvEncoding},
};
use crate::domain::ids::BatchId;

/// Answer files taken up at once; the rest waits for the next tick.
const FILES_MAX: usize = 64;
/// Longest file name of an answer; a longer one is not looked at.
const NAME_BYTES_MAX: usize = 160;

/// Encrypts a file for the partner, for those who can decrypt (their PGP, age
/// or HPKE key). The place is here, before the first byte is written.
pub trait Wrapping: Send + Sync {
    /// What is added to the file's name: `.age`.
    fn ending(&self) -> &str;
    /// The bytes that are laid out in place of `plain`.
    fn wrap(&self, plain: &[u8]) -> Result<Vec<u8>, PostalError>;
}

/// How the folder is used.
#[derive(Clone)]
pub struct FileDropOptions {
    /// The partner's name on our books.
    pub name: String,
    /// The folder both sides see.
    pub root: PathBuf,
    /// Whether the partner may carry correspondence.
    pub may_carry_correspondence: bool,
    /// How `manifest.csv` is encoded.
    pub csv: CsvEncoding,
    /// How files are encrypted for the partner, if it can decrypt.
    pub wrapping: Option<Arc<dyn Wrapping>>,
}

/// A print partner who watches a folder.
#[derive(Clone)]
pub struct FileDrop(Arc<Share>);

/// The folder both sides see.
struct Share {
    options: FileDropOptions,
    rehearsal: Option<Rehearsal>,
}

/// Asked before every durable step; an error is a rehearsed power failure.
type Rehearsal = Arc<dyn Fn(&'static str) -> Result<(), PostalError> + Send + Sync>;

impl FileDrop {
    /// Makes the folders, where they are missing, and takes them into use.
    pub fn open(options: FileDropOptions) -> Result<Self, PostalError> {
        let share = Share { options, rehearsal: None };
        for folder in [share.out(), share.sent(), share.filed(), share.rejected()] {
            folder::make(&folder).map_err(failed("make a folder"))?;
        }
        Ok(Self(Arc::new(share)))
    }

    /// The same folder, with a failure rehearsed before each durable step.
    #[cfg(test)]
    pub(crate) fn rehearsing(
        &self,
        rehearsal: impl Fn(&'static str) -> Result<(), PostalError> + Send + Sync + 'static,
    ) -> Self {
        let options = self.0.options.clone();
        Self(Arc::new(Share { options, rehearsal: Some(Arc::new(rehearsal)) }))
    }

    /// Tidies on this thread.
    #[cfg(test)]
    pub(crate) fn tidy_now(&self) -> Result<usize, PostalError> {
        self.0.tidy()
    }

    /// Runs file work on a thread that may wait for the disk.
    fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Share) -> Result<T, PostalError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, PostalError>> {
        let share = Arc::clone(&self.0);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || work(&share))
                .await
                .map_err(|_| PostalError::Interrupted)?
        })
    }
}

impl Partner for FileDrop {
    fn name(&self) -> &str {
        &self.0.options.name
    }

    fn may_carry_correspondence(&self) -> bool {
        self.0.options.may_carry_correspondence
    }

    fn check(&self, address: &PostalLines) -> Result<(), PieceFault> {
        manifest::check(address, self.0.options.csv)
    }

    fn knows<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<bool, PostalError>> {
        let id = batch.id;
        self.on_thread(move |share| share.knows(&id))
    }

    fn hand_over<'a>(
        &'a self,
        batch: &'a Batch,
        pieces: Arc<[Piece]>,
    ) -> BoxFuture<'a, Result<HandedOver, PostalError>> {
        let batch = batch.clone();
        self.on_thread(move |share| share.hand_over(&batch, &pieces))
    }

    fn answers(&self) -> BoxFuture<'_, Result<Inbox, PostalError>> {
        self.on_thread(Share::answers)
    }

    fn acknowledge<'a>(&'a self, file: &'a AnswerFile) -> BoxFuture<'a, Result<(), PostalError>> {
        let (name, faults) = (file.name.clone(), file.faults.clone());
        self.on_thread(move |share| {
            if faults.is_empty() {
                return share.put_aside(&name, &share.filed()).map(|_| ());
            }
            let rows: Vec<_> = faults
                .iter()
                .map(|fault| serde_json::json!({"row": fault.number, "code": fault.code}))
                .collect();
            share.reject(&name, &serde_json::json!({"code": "bad_rows", "rows": rows}))
        })
    }

    fn empty<'a>(&'a self, batch: &'a BatchId) -> BoxFuture<'a, Result<(), PostalError>> {
        let id = *batch;
        self.on_thread(move |share| share.empty(&id))
    }

    fn tidy(&self) -> BoxFuture<'_, Result<usize, PostalError>> {
        self.on_thread(Share::tidy)
    }
}

impl Share {
    fn out(&self) -> PathBuf {
        self.options.root.join("out")
    }

    fn sent(&self) -> PathBuf {
        self.options.root.join("sent")
    }

    fn inbox(&self) -> PathBuf {
        self.options.root.join("in")
    }

    fn lock_file(&self) -> PathBuf {
        self.options.root.join(".lock")
    }

    fn filed(&self) -> PathBuf {
        self.inbox().join("done")
    }

    fn rejected(&self) -> PathBuf {
        self.inbox().join("rejected")
    }

    /// A durable step is about to be taken.
    fn step(&self, name: &'static str) -> Result<(), PostalError> {
        match &self.rehearsal {
            Some(rehearsal) => rehearsal(name),
            None => Ok(()),
        }
    }

    fn knows(&self, id: &BatchId) -> Result<bool, PostalError> {
        let name = id.to_string();
        let look = failed("look for a batch");
        let receipt = folder::stands(&self.sent().join(&name)).map_err(&look)?;
        let marker = folder::stands(&self.out().join(format!("{name}.done"))).map_err(&look)?;
        let laid_out = folder::stands(&self.out().join(&name)).map_err(&look)?;
        // A receipt alone: the partner took the batch and tidied up.
        Ok(receipt && (marker || !laid_out))
    }

    fn hand_over(&self, batch: &Batch, pieces: &[Piece]) -> Result<HandedOver, PostalError> {
        let name = batch.id.to_string();
        let _alone = folder::lock(&self.lock_file()).map_err(failed("lock the folder"))?;
        if self.knows(&batch.id)? {
            return Ok(HandedOver { repeated: true });
        }
        if !folder::stands(&self.sent().join(&name)).map_err(failed("look for a receipt"))? {
            self.lay_out(&name, batch, pieces)?;
            self.step("receipt")?;
            let receipt = format!("{}\n", pieces.len());
            folder::place(&self.sent(), &name, receipt.as_bytes())
                .map_err(failed("write a receipt"))?;
        }
        self.step("done")?;
        folder::place(&self.out(), &format!("{name}.done"), b"")
            .map_err(failed("set the done marker"))?;
        self.step("after done")?;
        Ok(HandedOver { repeated: false })
    }

    /// Everything of the batch, complete and synced, under its final name.
    fn lay_out(&self, name: &str, batch: &Batch, pieces: &[Piece]) -> Result<(), PostalError> {
        let (tmp, whole) = (self.out().join(format!("{name}.tmp")), self.out().join(name));
        self.step("clear")?;
        // Without a receipt there never was a marker, so nobody has read these.
        folder::remove_folder(&tmp).map_err(failed("remove a left-over folder"))?;
        folder::remove_folder(&whole).map_err(failed("remove a left-over folder"))?;
        self.step("folder")?;
        folder::make(&tmp).map_err(failed("make the folder of a batch"))?;
        for piece in pieces {
            self.step("pdf")?;
            self.write(&tmp.join(self.file_name(piece)), &piece.pdf)?;
        }
        let listed = |piece: &Piece| self.file_name(piece);
        self.step("manifest.json")?;
        let json = manifest::json(batch, pieces, listed)?;
        self.write(&tmp.join(self.wrapped_name("manifest.json")), &json)?;
        self.step("manifest.csv")?;
        let csv = manifest::csv(batch, pieces, self.options.csv, listed)?;
        self.write(&tmp.join(self.wrapped_name("manifest.csv")), &csv)?;
        self.step("sync")?;
        folder::sync(&tmp).map_err(failed("sync the folder of a batch"))?;
        self.step("rename")?;
        fs::rename(&tmp, &whole).map_err(failed("rename a batch into place"))?;
        folder::sync(&self.out()).map_err(failed("sync the outgoing folder"))
    }

    fn write(&self, path: &Path, plain: &[u8]) -> Result<(), PostalError> {
        match &self.options.wrapping {
            None => folder::write_new(path, plain),
            Some(wrapping) => folder::write_new(path, &wrapping.wrap(plain)?),
        }
        .map_err(failed("write a file of a batch"))
    }

    fn file_name(&self, piece: &Piece) -> String {
        self.wrapped_name(&format!("{}.pdf", piece.id))
    }

    fn wrapped_name(&self, name: &str) -> String {
        let ending = self.options.wrapping.as_ref().map_or("", |wrapping| wrapping.ending());
        format!("{name}{ending}")
    }

    /// What has a done marker, oldest name first; refused files are put aside.
    fn answers(&self) -> Result<Inbox, PostalError> {
        let mut inbox = Inbox::default();
        for name in self.marked()? {
            let path = self.inbox().join(&name);
            let fault = match folder::read(&path, ANSWER_BYTES_MAX) {
                Ok(bytes) => match answers::read(&name, &bytes) {
                    Ok(file) => {
                        inbox.files.push(file);
                        continue;
                    }
                    Err(fault) => fault,
                },
                Err(Unread::NotAFile) => FileFault::NotAFile,
                Err(Unread::TooLarge) => FileFault::TooLarge,
                Err(Unread::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                    FileFault::Unreadable
                }
                Err(Unread::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    // A marker without its file: filed before a crash.
                    self.remove_marker(&name)?;
                    continue;
                }
                Err(Unread::Io(source)) => {
                    return Err(PostalError::Folder { act: "read an answer", source });
                }
            };
            self.reject(&name, &serde_json::json!({"code": fault.code()}))?;
            inbox.refused.push(RefusedFile { fault });
        }
        Ok(inbox)
    }

    /// Names whose done marker stands, in order, at most [`FILES_MAX`].
    fn marked(&self) -> Result<Vec<String>, PostalError> {
        let mut names: Vec<String> = entries(&self.inbox())?
            .into_iter()
            .filter_map(|entry| entry.strip_suffix(".done").map(str::to_owned))
            .filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len()))
            .collect();
        names.sort_unstable();
        names.truncate(FILES_MAX);
        Ok(names)
    }

    /// Moves an answer where it stays, then removes its marker. A crash in
    /// between leaves a marker without a file, which the next look removes.
    fn put_aside(&self, name: &str, into: &Path) -> Result<String, PostalError> {
        self.step("file")?;
        let path = self.inbox().join(name);
        let look = failed("look for an answer");
        let kept = if folder::stands(&path).map_err(look)? {
            folder::move_into(&path, into, name).map_err(failed("put an answer aside"))?
        } else {
            name.to_owned()
        };
        self.step("marker")?;
        self.remove_marker(name)?;
        Ok(kept)
    }

    fn reject(&self, name: &str, why: &serde_json::Value) -> Result<(), PostalError> {
        let kept = self.put_aside(name, &self.rejected())?;
        folder::place(&self.rejected(), &format!("{kept}.error.json"), why.to_string().as_bytes())
            .map_err(failed("write why an answer is refused"))
    }

    fn remove_marker(&self, name: &str) -> Result<(), PostalError> {
        let marker = self.inbox().join(format!("{name}.done"));
        let result = match fs::symlink_metadata(&marker) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&marker),
            _ => folder::remove_file(&marker),
        };
        result.map_err(failed("remove the marker of an answer"))
    }

    fn empty(&self, id: &BatchId) -> Result<(), PostalError> {
        self.step("empty")?;
        folder::remove_folder(&self.out().join(id.to_string())).map_err(failed("empty a batch"))?;
        self.step("marker of batch")?;
        folder::remove_file(&self.out().join(format!("{id}.done")))
            .map_err(failed("remove the marker of a batch"))?;
        folder::sync(&self.out()).map_err(failed("sync the outgoing folder"))
    }

    fn tidy(&self) -> Result<usize, PostalError> {
        let mut removed = 0_usize;
        for name in
            entries(&self.out())?.into_iter().filter(|name| name.strip_suffix(".tmp").is_some())
        {
            let path = self.out().join(name);
            if path.is_dir() { folder::remove_folder(&path) } else { folder::remove_file(&path) }
                .map_err(failed("remove a left-over"))?;
            removed = removed.saturating_add(1);
        }
        Ok(removed)
    }
}

/// The names in a folder that are text; others are not ours.
fn entries(path: &Path) -> Result<Vec<String>, PostalError> {
    let listing = fs::read_dir(path).map_err(failed("list a folder"))?;
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed("list a folder"))?;
        names.extend(entry.file_name().as_os_str().to_str().map(str::to_owned));
    }
    Ok(names)
}

fn failed(act: &'static str) -> impl Fn(io::Error) -> PostalError {
    move |source| PostalError::Folder { act, source }
}

impl fmt::Debug for FileDropOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDropOptions")
            .field("name", &self.name)
            .field("root", &self.root)
            .field("csv", &self.csv)
            .field("wrapped", &self.wrapping.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FileDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileDrop").field(&self.0.options.name).finish()
    }
}
