//! Our side of the folder: a batch is laid out, marked, and emptied.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::FileDropOptions;
use crate::{
    dispatch::postal::{Batch, HandedOver, Piece, PostalError, folder, manifest},
    domain::ids::BatchId,
};

/// The folder both sides see.
pub(super) struct Share {
    pub(super) options: FileDropOptions,
    pub(super) rehearsal: Option<Rehearsal>,
}

/// Asked before every durable step; an error is a rehearsed power failure.
pub(super) type Rehearsal = Arc<dyn Fn(&'static str) -> Result<(), PostalError> + Send + Sync>;

impl Share {
    pub(super) fn out(&self) -> PathBuf {
        self.options.root.join("out")
    }

    pub(super) fn sent(&self) -> PathBuf {
        self.options.root.join("sent")
    }

    pub(super) fn inbox(&self) -> PathBuf {
        self.options.root.join("in")
    }

    fn lock_file(&self) -> PathBuf {
        self.options.root.join(".lock")
    }

    pub(super) fn filed(&self) -> PathBuf {
        self.inbox().join("done")
    }

    pub(super) fn rejected(&self) -> PathBuf {
        self.inbox().join("rejected")
    }

    /// A durable step is about to be taken.
    pub(super) fn step(&self, name: &'static str) -> Result<(), PostalError> {
        match &self.rehearsal {
            Some(rehearsal) => rehearsal(name),
            None => Ok(()),
        }
    }

    pub(super) fn knows(&self, id: &BatchId) -> Result<bool, PostalError> {
        let name = id.to_string();
        let look = failed("look for a batch");
        let receipt = folder::stands(&self.sent().join(&name)).map_err(&look)?;
        let marker = folder::stands(&self.out().join(format!("{name}.done"))).map_err(&look)?;
        let laid_out = folder::stands(&self.out().join(&name)).map_err(&look)?;
        // A receipt alone: the partner took the batch and tidied up.
        Ok(receipt && (marker || !laid_out))
    }

    pub(super) fn hand_over(
        &self,
        batch: &Batch,
        pieces: &[Piece],
    ) -> Result<HandedOver, PostalError> {
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

    pub(super) fn empty(&self, id: &BatchId) -> Result<(), PostalError> {
        self.step("empty")?;
        folder::remove_folder(&self.out().join(id.to_string())).map_err(failed("empty a batch"))?;
        self.step("marker of batch")?;
        folder::remove_file(&self.out().join(format!("{id}.done")))
            .map_err(failed("remove the marker of a batch"))?;
        folder::sync(&self.out()).map_err(failed("sync the outgoing folder"))
    }

    pub(super) fn tidy(&self) -> Result<usize, PostalError> {
        // While another worker lays a batch out, nothing is left over.
        let alone = folder::try_lock(&self.lock_file()).map_err(failed("lock the folder"))?;
        let Some(_alone) = alone else { return Ok(0) };
        let mut removed = 0_usize;
        for name in
            entries(&self.out())?.into_iter().filter(|name| name.strip_suffix(".tmp").is_some())
        {
            let path = self.out().join(name);
            let is_folder = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
            if is_folder { folder::remove_folder(&path) } else { folder::remove_file(&path) }
                .map_err(failed("remove a left-over"))?;
            removed = removed.saturating_add(1);
        }
        Ok(removed)
    }
}

/// The names in a folder that are text; others are not ours.
pub(super) fn entries(path: &Path) -> Result<Vec<String>, PostalError> {
    let listing = fs::read_dir(path).map_err(failed("list a folder"))?;
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed("list a folder"))?;
        names.extend(entry.file_name().as_os_str().to_str().map(str::to_owned));
    }
    Ok(names)
}

pub(super) fn failed(act: &'static str) -> impl Fn(io::Error) -> PostalError {
    move |source| PostalError::Folder { act, source }
}
