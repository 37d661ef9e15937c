//! What a partner's gate looks at: is every file of the list there, whole, and
//! as long as it says?

use std::{fs, io, path::Path};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// What became of one piece at the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The piece's id, as the manifest says it.
    pub(super) piece: String,
    /// SHA-256 of the file in hexadecimal.
    pub(super) sha256: String,
    /// Why it is not printed.
    pub(super) fault: Option<&'static str>,
}

#[derive(Deserialize)]
struct Manifest {
    version: u32,
    batch: String,
    pieces: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    piece: String,
    file: String,
    pages: usize,
    bytes: usize,
    sha256: String,
    postal_code: String,
    address: Vec<String>,
}

/// Checks a whole batch. A manifest that cannot be read is an error: a real
/// partner would telephone.
pub(super) fn batch(out: &Path, batch: &str) -> io::Result<Vec<Verdict>> {
    let folder = out.join(batch);
    let json = fs::read(folder.join("manifest.json"))?;
    let manifest: Manifest = serde_json::from_slice(&json)?;
    if manifest.version != 1 || manifest.batch != batch {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a manifest of something else"));
    }
    let csv = in_csv(&fs::read(folder.join("manifest.csv"))?)?;
    let verdicts = manifest.pieces.into_iter().map(|listed| {
        let fault = look(&folder, &listed, &csv).err();
        Verdict { piece: listed.piece, sha256: listed.sha256, fault }
    });
    Ok(verdicts.collect())
}

/// Piece, hash and postal code of each row; CP932 or UTF-8, for all three are
/// ASCII.
fn in_csv(bytes: &[u8]) -> io::Result<Vec<[String; 3]>> {
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().map_err(io::Error::other)?.clone();
    let column = |name: &str| head.iter().position(|cell| cell == name).unwrap_or(usize::MAX);
    let columns = [column("piece"), column("sha256"), column("postal_code")];
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(io::Error::other)?;
        rows.push(columns.map(|index| record.get(index).unwrap_or_default().to_owned()));
    }
    Ok(rows)
}

fn look(folder: &Path, listed: &Listed, csv: &[[String; 3]]) -> Result<(), &'static str> {
    let row = [&listed.piece, &listed.sha256, &listed.postal_code];
    if !csv.iter().any(|cells| cells.iter().eq(row)) {
        return Err("manifests_differ");
    }
    if listed.address.is_empty() || listed.postal_code.len() != 8 {
        return Err("bad_address");
    }
    let pdf = fs::read(folder.join(&listed.file)).map_err(|_| "file_missing")?;
    if pdf.len() != listed.bytes || hex(&Sha256::digest(&pdf)) != listed.sha256 {
        return Err("hash_mismatch");
    }
    let document = lopdf::Document::load_mem(&pdf).map_err(|_| "unreadable_pdf")?;
    if document.get_pages().len() == listed.pages { Ok(()) } else { Err("page_count") }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
