//! The list that travels with a batch, twice: CSV for people and old systems,
//! JSON for everybody else. Both say the same; the JSON one is authoritative.
//!
//! The CSV is opened in spreadsheets, which run what begins with `=`, `+`, `-`
//! or `@`: such cells get a `'` in front. It is UTF-8 with a byte order mark,
//! or CP932 for partners who read nothing else. CP932 lacks characters that
//! occur in names (𠮷, 葛󠄀); a letter whose address has one is refused with the
//! characters named, never printed with a `?`.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::Serialize;

use super::{Batch, Piece, PieceFault, PostalError, PostalLines};

/// Goes up when a column or field changes its meaning.
pub const MANIFEST_VERSION: u32 = 1;
/// Address lines a manifest carries beside the postal code.
pub const ADDRESS_LINES_MAX: usize = 8;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How the CSV manifest is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CsvEncoding {
    /// UTF-8 with a byte order mark, which spreadsheets need to believe it.
    #[default]
    Utf8,
    /// CP932, Windows' `Shift_JIS`.
    Cp932,
}

/// Characters that the partner's character set lacks, as code points: they
/// name no one, so that they may stand in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmappable(pub BTreeSet<char>);

impl fmt::Display for Unmappable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not in CP932:")?;
        for c in self.0.iter().take(20) {
            write!(f, " U+{:04X}", u32::from(*c))?;
        }
        Ok(())
    }
}

/// Whether an address fits a manifest in this encoding.
pub(super) fn check(address: &PostalLines, encoding: CsvEncoding) -> Result<(), PieceFault> {
    if address.lines.len() > ADDRESS_LINES_MAX {
        return Err(PieceFault::TooManyLines);
    }
    if encoding == CsvEncoding::Cp932 {
        let mut missing = BTreeSet::new();
        for line in address.lines.iter().chain([&address.postal_code]) {
            missing.extend(cp932(&cell(line)).err().unwrap_or_default());
        }
        if !missing.is_empty() {
            return Err(PieceFault::Unmappable(Unmappable(missing)));
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    batch: String,
    partner: &'a str,
    cutoff_at: String,
    pieces: Vec<JsonPiece<'a>>,
}

#[derive(Serialize)]
struct JsonPiece<'a> {
    piece: &'a str,
    file: String,
    pages: u32,
    bytes: usize,
    sha256: String,
    postal_code: Cow<'a, str>,
    address: Vec<Cow<'a, str>>,
    duplex: bool,
    colour: bool,
}

/// The manifest as JSON. `name` gives each piece its file name.
pub(super) fn json(
    batch: &Batch,
    pieces: &[Piece],
    name: impl Fn(&Piece) -> String,
) -> Result<Vec<u8>, PostalError> {
    let list = Json {
        version: MANIFEST_VERSION,
        batch: batch.id.to_string(),
        partner: &batch.partner,
        cutoff_at: instant(batch),
        pieces: pieces
            .iter()
            .map(|piece| JsonPiece {
                piece: piece.id.as_str(),
                file: name(piece),
                pages: piece.pages,
                bytes: piece.pdf.len(),
                sha256: hex(&piece.sha256),
                postal_code: printable(&piece.address.postal_code),
                address: piece.address.lines.iter().map(|line| printable(line)).collect(),
                duplex: piece.options.duplex,
                colour: piece.options.colour,
            })
            .collect(),
    };
    serde_json::to_vec_pretty(&list).map_err(|_| PostalError::Manifest)
}

/// The manifest as CSV (RFC 4180, CRLF), encoded for the partner.
pub(super) fn csv(
    batch: &Batch,
    pieces: &[Piece],
    encoding: CsvEncoding,
    name: impl Fn(&Piece) -> String,
) -> Result<Vec<u8>, PostalError> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut head =
        vec!["batch", "piece", "file", "pages", "sha256", "duplex", "colour", "postal_code"];
    let numbered: Vec<String> = (1..=ADDRESS_LINES_MAX).map(|n| format!("address_{n}")).collect();
    head.extend(numbered.iter().map(String::as_str));
    writer.write_record(&head).map_err(|_| PostalError::Manifest)?;
    for piece in pieces {
        check(&piece.address, encoding)?;
        let mut row = vec![
            batch.id.to_string(),
            piece.id.to_string(),
            name(piece),
            piece.pages.to_string(),
            hex(&piece.sha256),
            yes_no(piece.options.duplex).to_owned(),
            yes_no(piece.options.colour).to_owned(),
            cell(&piece.address.postal_code),
        ];
        row.extend(piece.address.lines.iter().map(|line| cell(line)));
        row.resize(head.len(), String::new());
        writer.write_record(&row).map_err(|_| PostalError::Manifest)?;
    }
    let text = writer.into_inner().map_err(|_| PostalError::Manifest)?;
    let text = String::from_utf8(text).map_err(|_| PostalError::Manifest)?;
    match encoding {
        CsvEncoding::Utf8 => Ok([BYTE_ORDER_MARK, text.as_bytes()].concat()),
        CsvEncoding::Cp932 => {
            cp932(&text).map_err(|missing| PieceFault::Unmappable(Unmappable(missing)).into())
        }
    }
}

/// Encodes as CP932. The wave dash, which Windows maps to another code point
/// than everybody else, is written as the full-width tilde that it looks like.
fn cp932(text: &str) -> Result<Vec<u8>, BTreeSet<char>> {
    let text = text.replace('\u{301c}', "\u{ff5e}");
    let (bytes, _, lossy) = encoding_rs::SHIFT_JIS.encode(&text);
    if !lossy {
        return Ok(bytes.into_owned());
    }
    let mut buffer = [0_u8; 4];
    Err(text
        .chars()
        .filter(|c| encoding_rs::SHIFT_JIS.encode(c.encode_utf8(&mut buffer)).2)
        .collect())
}

/// A cell that no spreadsheet runs.
fn cell(text: &str) -> String {
    let text = printable(text);
    if text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text.into_owned()
    }
}

/// The text without control characters: a line of an address is one line.
fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.chars().filter(|c| !c.is_control()).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn instant(batch: &Batch) -> String {
    batch.cutoff_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
