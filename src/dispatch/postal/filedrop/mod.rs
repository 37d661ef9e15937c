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

mod inbox;
mod share;

use std::{fmt, path::PathBuf, sync::Arc};

use futures::future::BoxFuture;

use share::{Share, failed};

use super::{
    AnswerFile, Batch, HandedOver, Inbox, Partner, Piece, PieceFault, PostalError, PostalLines,
    folder,
    manifest::{self, CsvEncoding},
};
use crate::domain::ids::BatchId;

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
