//! What a partner says, read from a file that may say anything.
//!
//! Two shapes, one meaning:
//!
//! ```text
//! {"version":1,"batch":"0198…","answers":[
//!   {"piece":"9X3…","answer":"accepted"},
//!   {"piece":"9X3…","answer":"posted","date":"2026-11-24"},
//!   {"piece":"9X3…","answer":"rejected","reason":"unreadable_pdf"},
//!   {"piece":"9X3…","answer":"returned","date":"2026-12-03","reason":"moved"}]}
//!
//! batch,piece,answer,date,reason
//! 0198…,9X3…,posted,2026-11-24,
//! ```
//!
//! A file whose shape is wrong is refused whole and moves nothing. In a file
//! whose shape is right, each row stands alone: a bad one is listed with its
//! number and a code, the others count. Free text never gets in: a reason is a
//! short word, or "other".

use std::{borrow::Cow, fmt};

use chrono::NaiveDate;
use serde::Deserialize;

use super::{PieceId, manifest::MANIFEST_VERSION};
use crate::domain::ids::BatchId;

/// Longest answer file, in bytes; a longer one is refused.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Most rows of an answer file; one with more is refused.
pub const ANSWER_ROWS_MAX: usize = 20_000;

/// What arrived since the last look.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Files to be put on the books and acknowledged.
    pub files: Vec<AnswerFile>,
    /// Files that were refused whole and put aside for a person.
    pub refused: Vec<RefusedFile>,
}

/// An answer file that can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct AnswerFile {
    /// Where the partner's adapter finds it again; never shown.
    pub name: String,
    /// What it says, in its order.
    pub rows: Vec<AnswerRow>,
    /// Rows that say nothing we can use. With any, the file is kept for a
    /// person after its good rows were put on the books.
    pub faults: Vec<RowFault>,
}

/// A file that was refused whole. Its name is the partner's and stays out of
/// the log; the file lies in the folder of refused files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedFile {
    /// Why.
    pub fault: FileFault,
}

/// One thing said about one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRow {
    /// The row in the file, from 1; the head of a CSV file is not counted.
    pub number: usize,
    /// The batch it is about.
    pub batch: BatchId,
    /// The piece it is about.
    pub piece: PieceId,
    /// What is said.
    pub said: Said,
}

/// What a partner can say about a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It will be printed.
    Accepted,
    /// It will not be printed.
    Rejected {
        /// The partner's reason.
        reason: PartnerWord,
    },
    /// It was given to the post on this day.
    Posted {
        /// The day, in the partner's calendar.
        on: NaiveDate,
    },
    /// It came back, and was processed on this day.
    Returned {
        /// The day, in the partner's calendar.
        on: NaiveDate,
        /// The partner's reason.
        reason: PartnerWord,
    },
}

/// A partner's reason: `[a-z0-9_]{1,48}`, or `other` for everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerWord(String);

impl PartnerWord {
    /// Takes over what is a word, and nothing that could be a name.
    pub fn of(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default().trim();
        let fits = (1..=48).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        Self(if fits { text.to_owned() } else { "other".to_owned() })
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a file is refused whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileFault {
    /// A link, a folder, a pipe.
    NotAFile,
    /// We are not allowed to read it.
    Unreadable,
    /// Longer than [`ANSWER_BYTES_MAX`].
    TooLarge,
    /// Neither `.json` nor `.csv`.
    UnknownKind,
    /// Not JSON, or not of our shape.
    NotJson,
    /// Not CSV, or without our head.
    NotCsv,
    /// A version we do not know.
    UnknownVersion,
    /// More than [`ANSWER_ROWS_MAX`].
    TooManyRows,
    /// Nothing in it.
    Empty,
}

impl FileFault {
    /// The code under which it is counted and kept beside the file.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAFile => "not_a_file",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::UnknownKind => "unknown_kind",
            Self::NotJson => "not_json",
            Self::NotCsv => "not_csv",
            Self::UnknownVersion => "unknown_version",
            Self::TooManyRows => "too_many_rows",
            Self::Empty => "empty",
        }
    }
}

/// A row that says nothing we can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// The row in the file, from 1.
    pub number: usize,
    /// Why: `bad_batch`, `bad_piece`, `bad_answer`, `bad_date`, and from the
    /// books `unknown_piece` and `implausible_date`.
    pub code: &'static str,
}

/// Reads an answer file by its ending. `name` is only looked at for that.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<AnswerFile, FileFault> {
    let (rows, faults) = match ending(name) {
        Some("json") => read_json(bytes)?,
        Some("csv") => read_csv(bytes)?,
        _ => return Err(FileFault::UnknownKind),
    };
    if rows.is_empty() && faults.is_empty() {
        return Err(FileFault::Empty);
    }
    Ok(AnswerFile { name: name.to_owned(), rows, faults })
}

fn ending(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, ending)| ending)
}

type Rows = (Vec<AnswerRow>, Vec<RowFault>);

#[derive(Deserialize)]
struct JsonFile<'a> {
    version: u32,
    #[serde(borrow)]
    batch: Cow<'a, str>,
    #[serde(borrow)]
    answers: Vec<Raw<'a>>,
}

/// One row before anything was believed.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    batch: Option<Cow<'a, str>>,
    #[serde(borrow)]
    piece: Cow<'a, str>,
    #[serde(borrow)]
    answer: Cow<'a, str>,
    #[serde(borrow, default)]
    date: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

fn read_json(bytes: &[u8]) -> Result<Rows, FileFault> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let file: JsonFile<'_> = serde_json::from_slice(bytes).map_err(|_| FileFault::NotJson)?;
    if file.version != MANIFEST_VERSION {
        return Err(FileFault::UnknownVersion);
    }
    let head = file.batch;
    collect(file.answers.into_iter().map(|raw| Ok((head.clone(), raw))))
}

fn read_csv(bytes: &[u8]) -> Result<Rows, FileFault> {
    // Words and numbers are ASCII in both encodings; a reason in CP932 becomes
    // replacement characters and so "other".
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|_| FileFault::NotCsv)?.clone();
    let column = |name: &str| head.iter().position(|cell| cell.eq_ignore_ascii_case(name));
    let (Some(batch), Some(piece), Some(answer)) =
        (column("batch"), column("piece"), column("answer"))
    else {
        return Err(FileFault::NotCsv);
    };
    let (date, reason) = (column("date"), column("reason"));
    collect(reader.into_records().map(|record| {
        let record = record.map_err(|_| FileFault::NotCsv)?;
        let cell = |index: usize| record.get(index).unwrap_or_default().to_owned();
        let given = |index: Option<usize>| index.map(cell).filter(|text| !text.is_empty());
        let raw = Raw {
            batch: None,
            piece: cell(piece).into(),
            answer: cell(answer).into(),
            date: given(date).map(Cow::Owned),
            reason: given(reason).map(Cow::Owned),
        };
        Ok((Cow::Owned(cell(batch)), raw))
    }))
}

fn collect<'a>(
    found: impl Iterator<Item = Result<(Cow<'a, str>, Raw<'a>), FileFault>>,
) -> Result<Rows, FileFault> {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (number, raw) in (1_usize..).zip(found) {
        if number > ANSWER_ROWS_MAX {
            return Err(FileFault::TooManyRows);
        }
        let (batch, raw) = raw?;
        match row(number, &batch, &raw) {
            Ok(row) => rows.push(row),
            Err(code) => faults.push(RowFault { number, code }),
        }
    }
    Ok((rows, faults))
}

fn row(number: usize, batch: &str, raw: &Raw<'_>) -> Result<AnswerRow, &'static str> {
    let batch: BatchId = raw.batch.as_deref().unwrap_or(batch).parse().map_err(|_| "bad_batch")?;
    let piece = PieceId::parse(&raw.piece).ok_or("bad_piece")?;
    let date = || {
        let text = raw.date.as_deref().unwrap_or_default();
        // Only the one shape: chrono's parser alone would take more.
        let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| plain);
        day.ok_or("bad_date")
    };
    let reason = || PartnerWord::of(raw.reason.as_deref());
    let said = match raw.answer.as_ref() {
        "accepted" => Said::Accepted,
        "rejected" => Said::Rejected { reason: reason() },
        "posted" => Said::Posted { on: date()? },
        "returned" => Said::Returned { on: date()?, reason: reason() },
        _ => return Err("bad_answer"),
    };
    Ok(AnswerRow { number, batch, piece, said })
}

impl fmt::Debug for AnswerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerFile")
            .field("rows", &self.rows.len())
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
