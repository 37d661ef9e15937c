//! A sealed document on its way to the reader.
//!
//! The last segment is authenticated before anything else, because it alone
//! vouches for the length. Then the document is opened in windows, the first
//! of them before the answer begins: a document of up to [`WINDOW`] bytes,
//! which is nearly every one, is authenticated whole before a byte of it goes.
//! Of a larger one a damaged later window ends the connection short of the
//! promised length, so that no browser takes the part for the whole.
//!
//! A short document is read at once, sealed as it is: three small reads cost more
//! than one. Of a long one a range fetches its own segments and the last.
//!
//! A window is given out in slices: what a slow reader's connection holds can
//! not be taken back any more, so it never holds more than a slice.
//!
//! Plain bytes live in memory only, and are wiped when they have been sent.

use std::ops::Range;

use bytes::Bytes;

use crate::{
    blobs::{BlobError, Blobs, Place},
    crypto::{
        CryptoError,
        delivery::{DeliveryKey, artifact_aad},
        stream::{Opened, ends},
    },
    domain::plain::Plain,
    store::jobs::JobRow,
};

/// Plain bytes that are opened at a time.
pub(super) const WINDOW: u64 = 1 << 20;
/// Plain bytes that are given to a connection at a time.
const SLICE: usize = 64 << 10;

/// Sealed bytes of a document that is read at once, at the most.
const SHORT: u64 = 256 << 10;

/// Why a document does not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArtifactError {
    /// The row does not say where the document is.
    #[error("the row names no artifact")]
    Nowhere,
    /// The sealed bytes cannot be read.
    #[error("the sealed bytes cannot be read")]
    Blobs(#[from] BlobError),
    /// The sealed bytes are not what was sealed for this job.
    #[error("the sealed bytes do not open")]
    Seal(#[from] CryptoError),
}

impl ArtifactError {
    /// Whether the document itself is damaged, as opposed to its store being away.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Blobs(error) => !error.may_pass(),
            Self::Nowhere | Self::Seal(_) => true,
        }
    }
}

/// A document whose length has been authenticated.
#[derive(Debug)]
pub(super) struct Artifact {
    sealed: Sealed,
    opened: Opened,
}

/// Sealed bytes: where they are, or all of them.
#[derive(Debug)]
enum Sealed {
    Stored(Blobs, Place),
    Read(Bytes),
}

impl Sealed {
    async fn get(blobs: &Blobs, place: Place) -> Result<Self, BlobError> {
        if place.len > SHORT {
            return Ok(Self::Stored(blobs.clone(), place));
        }
        Ok(Self::Read(blobs.read(&place, 0..place.len).await?))
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, BlobError> {
        match self {
            Self::Stored(blobs, place) => blobs.read(place, range).await,
            Self::Read(bytes) => {
                let place = |at: u64| usize::try_from(at).map_err(|_| BlobError::OutOfRange);
                let range = place(range.start)?..place(range.end)?;
                bytes.get(range.clone()).ok_or(BlobError::OutOfRange)?;
                Ok(bytes.slice(range))
            }
        }
    }
}

impl Artifact {
    /// Opens the document of a row under the delivery's key.
    pub(super) async fn open(
        blobs: &Blobs,
        key: &DeliveryKey,
        row: &JobRow,
    ) -> Result<Self, ArtifactError> {
        let place = place(row).ok_or(ArtifactError::Nowhere)?;
        let ends = ends(place.len)?;
        let sealed = Sealed::get(blobs, place).await?;
        let (head, tail) = (sealed.read(ends.head).await?, sealed.read(ends.tail).await?);
        let aad = artifact_aad(&row.tenant, row.id);
        let opened = Opened::new(&key.artifact_key(), &aad, place.len, &head, &tail)?;
        // The row was written by the one who sealed; should the two disagree,
        // one of them was exchanged.
        if row.pdf_len.is_some_and(|len| u64::try_from(len) != Ok(opened.plain_len())) {
            return Err(CryptoError::BrokenSeal.into());
        }
        Ok(Self { sealed, opened })
    }

    /// The length of the document in bytes.
    pub(super) fn len(&self) -> u64 {
        self.opened.plain_len()
    }

    /// The plain bytes of `range`.
    async fn read(&self, range: Range<u64>) -> Result<Plain, ArtifactError> {
        let covered = self.sealed.read(self.opened.cover(&range)?).await?;
        Ok(self.opened.decode(range, &covered)?)
    }

    /// Opens the first window of `range`; the rest follows as it is asked for.
    pub(super) async fn begin(self, range: Range<u64>) -> Result<Reading, ArtifactError> {
        let first = window(&range);
        let plain = Bytes::from_owner(self.read(first.clone()).await?);
        Ok(Reading { artifact: self, plain, rest: first.end..range.end })
    }
}

/// A document of which the first window is open.
#[derive(Debug)]
pub(super) struct Reading {
    artifact: Artifact,
    plain: Bytes,
    rest: Range<u64>,
}

impl Reading {
    /// The next slice of the plain bytes; none at the end. Each window is
    /// opened whole before any byte of it is given out, and wiped when the
    /// last of its slices has been dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ArtifactError> {
        if self.plain.is_empty() {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let next = window(&self.rest);
            self.plain = Bytes::from_owner(self.artifact.read(next.clone()).await?);
            self.rest = next.end..self.rest.end;
        }
        let slice = self.plain.len().min(SLICE);
        Ok(Some(self.plain.split_to(slice)))
    }
}

fn window(range: &Range<u64>) -> Range<u64> {
    range.start..range.start.saturating_add(WINDOW).min(range.end)
}

fn place(row: &JobRow) -> Option<Place> {
    Some(Place {
        segment: row.segment?,
        offset: u64::try_from(row.artifact_offset?).ok()?,
        len: u64::try_from(row.artifact_len?).ok()?,
    })
}
