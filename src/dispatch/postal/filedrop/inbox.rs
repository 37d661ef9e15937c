//! The partner's side of the folder: what it says is read, and put aside.

use std::{fs, io, path::Path};

use super::share::{Share, entries, failed};
use crate::dispatch::postal::{
    FileFault, Inbox, PostalError, RefusedFile,
    answers::{self, ANSWER_BYTES_MAX},
    folder::{self, Unread},
};

/// Answer files taken up at once; the rest waits for the next tick.
const FILES_MAX: usize = 64;
/// Longest file name of an answer; a longer one is not looked at.
const NAME_BYTES_MAX: usize = 160;

impl Share {
    /// What has a done marker, oldest name first; refused files are put aside.
    pub(super) fn answers(&self) -> Result<Inbox, PostalError> {
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
    pub(super) fn put_aside(&self, name: &str, into: &Path) -> Result<String, PostalError> {
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

    pub(super) fn reject(&self, name: &str, why: &serde_json::Value) -> Result<(), PostalError> {
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
}
