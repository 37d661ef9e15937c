//! A letter goes out: its PDF is handed to a print partner, in batches.
//!
//! A partner prints and posts only what is in a batch, and takes one batch per
//! cut-off. Between "we decided what is in it" and "the partner has it" the
//! power may fail, so a batch is written down first, under an id of its own,
//! and handing the same id over twice is one hand-over ([`Partner`]). What the
//! partner says later (accepted, rejected, posted, returned) arrives twice, late
//! and out of order; it only ever moves a letter forward.
//!
//! Nothing is written as handed over without the partner's receipt; nothing is
//! resent by itself, not even a letter that came back; and a partner's file
//! is never trusted to be well made, short, finished, or a file at all.

use std::{fmt, io, sync::Arc};

use chrono::{DateTime, NaiveDate, Utc};
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::domain::ids::{BatchId, JobId};
use crate::domain::plain::Plain;

mod answers;
mod filedrop;
mod folder;
mod hand_over;
mod hear;
mod manifest;
mod room;
mod silent;

pub use answers::{
    ANSWER_BYTES_MAX, ANSWER_ROWS_MAX, AnswerFile, AnswerRow, FileFault, Inbox, PartnerWord,
    RefusedFile, RowFault, Said,
};
pub use filedrop::{FileDrop, FileDropOptions, Wrapping};
pub use hand_over::HandOver;
pub use hear::Answers;
pub use manifest::{ADDRESS_LINES_MAX, CsvEncoding, MANIFEST_VERSION, Unmappable};
pub use room::{OpenFault, OpenPiece, OpenedPiece, PostRoom, PostSettings, RoomError, Tick};
pub use silent::Silent;

/// A print partner. File drop is the first; one that speaks HTTP implements
/// the same trait, with the batch id as its idempotency key.
pub trait Partner: Send + Sync + fmt::Debug {
    /// The partner's name in our settings and on our books.
    fn name(&self) -> &str;

    /// Whether the partner may carry correspondence (信書, 郵便法 4 条 2 項):
    /// invoices are, and a parcel carrier without that licence must not get
    /// them.
    fn may_carry_correspondence(&self) -> bool;

    /// Whether this piece can be handed to this partner at all; asked before
    /// the piece joins a batch, so that one bad address stops one letter.
    fn check(&self, address: &PostalLines) -> Result<(), PieceFault>;

    /// Whether the partner has this batch already.
    fn knows<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<bool, PostalError>>;

    /// Hands a whole batch over. Repeatable: the same batch id twice is one
    /// hand-over, and after a crash at any point either nothing or all of it
    /// is visible to the partner.
    fn hand_over<'a>(
        &'a self,
        batch: &'a Batch,
        pieces: Arc<[Piece]>,
    ) -> BoxFuture<'a, Result<HandedOver, PostalError>>;

    /// What the partner has said since; each file must be acknowledged after
    /// it is on our books, and comes again until then.
    fn answers(&self) -> BoxFuture<'_, Result<Inbox, PostalError>>;

    /// The file is on our books and need not come again.
    fn acknowledge<'a>(&'a self, file: &'a AnswerFile) -> BoxFuture<'a, Result<(), PostalError>>;

    /// The partner has taken the batch: destroys what we laid out for it, so
    /// that no plain document outlives its hand-over. Repeatable.
    fn empty<'a>(&'a self, batch: &'a BatchId) -> BoxFuture<'a, Result<(), PostalError>>;

    /// Removes what a crash left half-made. Answers how many things it removed.
    fn tidy(&self) -> BoxFuture<'_, Result<usize, PostalError>>;
}

/// A batch: everything one cut-off hands to one partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The id under which it is on our books and at the partner.
    pub id: BatchId,
    /// The partner's name.
    pub partner: String,
    /// The cut-off it was made for.
    pub cutoff_at: DateTime<Utc>,
    /// When it was written down.
    pub made_at: DateTime<Utc>,
}

/// One letter, ready to be handed over.
#[derive(Clone)]
pub struct Piece {
    /// The id printed on each page and named in the manifest.
    pub id: PieceId,
    /// The delivery.
    pub job: JobId,
    /// The plain document; wiped when the last holder lets go.
    pub pdf: Plain,
    /// How many pages it has.
    pub pages: u32,
    /// SHA-256 of `pdf`.
    pub sha256: [u8; 32],
    /// To whom, as it is printed.
    pub address: PostalLines,
    /// How it is printed.
    pub options: PrintOptions,
}

/// The lines of a postal address in the order of the envelope, without the
/// postal code: prefecture and street, building, company, person with 様.
#[derive(Clone, PartialEq, Eq)]
pub struct PostalLines {
    /// `NNN-NNNN`.
    pub postal_code: String,
    /// At most [`ADDRESS_LINES_MAX`] lines.
    pub lines: Vec<String>,
}

/// How a letter is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PrintOptions {
    /// On both sides of the sheet.
    pub duplex: bool,
    /// In colour.
    pub colour: bool,
}

/// The partner's receipt for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// The partner had the batch before we asked.
    pub repeated: bool,
}

/// The short id of a letter: what a person reads off a returned envelope.
///
/// 65 bits of SHA-256 over the job's id in 13 characters of Crockford's base
/// 32. It says nothing about the job, is the same after every restart, and two
/// of ten million letters share one with a chance of one in a million; an
/// answer names the batch as well, so even they would not be mixed up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceId(String);

/// Crockford's alphabet: without I, L, O and U, which are misread.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a piece id.
const PIECE_ID_CHARS: usize = 13;

impl PieceId {
    /// The piece id of a job.
    pub fn of(job: JobId) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"kakitome piece v1\0");
        hash.update(job.0.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut bits =
            digest.iter().take(16).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let mut text = String::with_capacity(PIECE_ID_CHARS);
        for _ in 0..PIECE_ID_CHARS {
            let index = usize::try_from(bits & 31).unwrap_or(0);
            text.push(char::from(CROCKFORD.get(index).copied().unwrap_or(b'0')));
            bits >>= 5;
        }
        Self(text)
    }

    /// Reads a piece id as a partner or a person writes it: case and the
    /// letters that are misread for digits do not matter, nor do hyphens.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let mut id = String::with_capacity(PIECE_ID_CHARS);
        for c in text.chars().filter(|c| *c != '-') {
            let c = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                c => c,
            };
            let known = u8::try_from(c).is_ok_and(|byte| CROCKFORD.contains(&byte));
            if !known || id.len() == PIECE_ID_CHARS {
                return None;
            }
            id.push(c);
        }
        (id.len() == PIECE_ID_CHARS).then_some(Self(id))
    }

    /// The thirteen characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id printed on every page of a letter: [`PieceId::of`] as text.
pub fn piece_id(job: JobId) -> String {
    PieceId::of(job).0
}

impl fmt::Display for PieceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a piece cannot be handed to a partner; the letter is parked with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceFault {
    /// The partner reads CP932, which lacks these characters of the address.
    #[error("{0}")]
    Unmappable(Unmappable),
    /// The address has more lines than a manifest carries.
    #[error("the address has more lines than an envelope takes")]
    TooManyLines,
}

/// A hand-over or an answer failed.
#[derive(Debug, thiserror::Error)]
pub enum PostalError {
    /// The hand-over folder did not do what was asked.
    #[error("the hand-over folder: {act}")]
    Folder {
        /// What was asked of it.
        act: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The manifest could not be written.
    #[error("the manifest of the batch cannot be written")]
    Manifest,
    /// A piece of the batch cannot be handed over; it should have been asked
    /// for with [`Partner::check`] before.
    #[error("a piece of the batch cannot be handed over")]
    Piece(#[from] PieceFault),
    /// The hand-over could not be encrypted for the partner.
    #[error("a file cannot be encrypted for the partner")]
    Wrapping,
    /// The blocking thread ended without an answer: the process is stopping.
    #[error("the hand-over was interrupted")]
    Interrupted,
    /// A rehearsed power failure; only in tests.
    #[error("a rehearsed failure at {0}")]
    Rehearsed(&'static str),
}

/// The day a partner names, as it is: a calendar day without a zone.
pub type PartnerDay = NaiveDate;

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("id", &self.id)
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostalLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostalLines(..)")
    }
}

#[cfg(test)]
mod tests;
