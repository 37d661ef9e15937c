//! What a finished PDF unpacks to, so that nobody who opens it is hurt.
//!
//! Streams are unpacked and counted, not kept. Images in formats of their own
//! are measured by what they say of themselves.

use std::io::Read;

use flate2::read::ZlibDecoder;
use lopdf::{Document, Object, Stream};

use super::resolved;
use crate::domain::pdf::PdfFlaw;

/// What all streams may unpack to, in bytes.
const UNPACKED_MAX: u64 = 512 << 20;
/// What one stream in an old format may unpack to: it is unpacked in memory.
const OLD_MAX: usize = 64 << 20;
/// The most pixels of one image: more than A3 at 600 dots per inch.
const PIXELS_MAX: i64 = 150_000_000;
/// The longest chain of filters.
const FILTERS_MAX: usize = 4;

pub(super) fn check(document: &Document) -> Result<(), PdfFlaw> {
    let mut left = UNPACKED_MAX;
    for object in document.objects.values() {
        let Object::Stream(stream) = object else { continue };
        pixels(document, stream)?;
        let size = unpacked(document, stream, left)?;
        left = left.checked_sub(size).ok_or(PdfFlaw::UnpacksTooLarge)?;
    }
    Ok(())
}

fn pixels(document: &Document, stream: &Stream) -> Result<(), PdfFlaw> {
    let side = |key: &[u8]| {
        let side = stream.dict.get(key).ok().and_then(|side| resolved(document, side));
        side.and_then(|side| side.as_i64().ok()).unwrap_or(0)
    };
    match side(b"Width").checked_mul(side(b"Height")) {
        Some(pixels) if pixels <= PIXELS_MAX => Ok(()),
        Some(_) | None => Err(PdfFlaw::UnpacksTooLarge),
    }
}

/// How many bytes a stream unpacks to, counted no further than just over `left`.
fn unpacked(document: &Document, stream: &Stream, left: u64) -> Result<u64, PdfFlaw> {
    let filters = filters(document, stream)?;
    let mut reader: Box<dyn Read> = Box::new(stream.content.as_slice());
    for filter in &filters {
        match *filter {
            b"FlateDecode" | b"Fl" => reader = Box::new(ZlibDecoder::new(reader)),
            b"LZWDecode" | b"LZW" | b"RunLengthDecode" | b"RL" | b"ASCII85Decode" | b"A85"
            | b"ASCIIHexDecode" | b"AHx" => return old(stream),
            // A format of its own: the image was measured.
            _ => break,
        }
    }
    let mut counted = 0_u64;
    let mut buffer = vec![0; 64 << 10];
    while counted <= left {
        match reader.read(&mut buffer) {
            // A torn end harms nobody.
            Ok(0) | Err(_) => break,
            Ok(more) => counted = counted.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)),
        }
    }
    Ok(counted)
}

fn old(stream: &Stream) -> Result<u64, PdfFlaw> {
    match stream.decompressed_content_with_limit(OLD_MAX) {
        Ok(bytes) => Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
        Err(lopdf::Error::Decompress(lopdf::DecompressError::MemoryLimitExceeded { .. })) => {
            Err(PdfFlaw::UnpacksTooLarge)
        }
        // Nothing comes out of it.
        Err(_) => Ok(0),
    }
}

fn filters<'a>(document: &'a Document, stream: &'a Stream) -> Result<Vec<&'a [u8]>, PdfFlaw> {
    let Ok(filter) = stream.dict.get(b"Filter") else { return Ok(Vec::new()) };
    let name = |one: &'a Object| resolved(document, one).and_then(|one| one.as_name().ok());
    let filters = match resolved(document, filter) {
        Some(Object::Array(items)) => items.iter().map(name).collect::<Option<Vec<_>>>(),
        Some(_) | None => name(filter).map(|name| vec![name]),
    };
    match filters {
        Some(filters) if filters.len() <= FILTERS_MAX => Ok(filters),
        Some(_) => Err(PdfFlaw::TooComplex),
        None => Err(PdfFlaw::Damaged),
    }
}
