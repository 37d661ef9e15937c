//! Finished PDFs from senders: what is taken and what is refused.
//!
//! A document that goes to a stranger must not do anything by itself: no
//! scripts, no programs, no forms that send themselves, no files inside. The
//! check walks every object that `lopdf` finds, reachable or not, those in
//! object streams included.
//!
//! `OpenAction` may name a place to open the document at, as office programs
//! write it; anything else in it is refused.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "object kinds that hold nothing; object numbers, which lopdf bounds, and a depth that is checked"
)]

use lopdf::{Document, LoadOptions, Object};

use super::{MAX_PAGES, error::RenderError};

/// The most that one compressed object stream may unpack to, in bytes.
const MAX_UNPACKED: usize = 64 << 20;
/// The most objects.
const MAX_OBJECTS: usize = 500_000;
/// Deeper nesting within one object is refused.
const DEEPEST: usize = 64;

/// Keys that make a document act, or hide something in it.
const FORBIDDEN_KEYS: [&[u8]; 8] = [
    b"JS",
    b"JavaScript",
    b"AA",
    b"EmbeddedFiles",
    b"EmbeddedFile",
    b"XFA",
    b"RichMediaContent",
    b"Launch",
];
/// Kinds of actions and annotations that do the same.
const FORBIDDEN_KINDS: [&[u8]; 13] = [
    b"JavaScript",
    b"Launch",
    b"SubmitForm",
    b"ImportData",
    b"GoToE",
    b"GoToR",
    b"Rendition",
    b"Movie",
    b"Sound",
    b"RichMedia",
    b"FileAttachment",
    b"EmbeddedFile",
    b"3D",
];

/// How large a finished PDF may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PdfLimits {
    /// Bytes.
    pub max_bytes: usize,
    /// Pages, the address page included; never more than [`MAX_PAGES`].
    pub max_pages: u32,
}

impl Default for PdfLimits {
    fn default() -> Self {
        Self { max_bytes: 20 << 20, max_pages: MAX_PAGES }
    }
}

/// Reads a sender's PDF and counts its pages.
pub(super) fn check(pdf: &[u8], limits: PdfLimits) -> Result<(Document, u32), RenderError> {
    if pdf.len() > limits.max_bytes {
        return Err(RenderError::TooLarge { max: limits.max_bytes });
    }
    if !pdf.starts_with(b"%PDF-") {
        return Err(RenderError::BadPdf("does not begin with %PDF-"));
    }
    let options =
        LoadOptions { max_decompressed_size: Some(MAX_UNPACKED), ..LoadOptions::default() };
    let document = Document::load_mem_with_options(pdf, options)
        .map_err(|_| RenderError::BadPdf("cannot be read"))?;
    if document.was_encrypted() || document.trailer.has(b"Encrypt") {
        return Err(RenderError::BadPdf("encrypted"));
    }
    if document.objects.len() > MAX_OBJECTS {
        return Err(RenderError::BadPdf("too many objects"));
    }
    for object in document.objects.values() {
        walk(&document, object, 0)?;
    }
    let pages = document.get_pages();
    for id in pages.values() {
        document.get_dictionary(*id).map_err(|_| RenderError::BadPdf("a page cannot be read"))?;
    }
    let max = limits.max_pages.min(MAX_PAGES);
    match u32::try_from(pages.len()) {
        Ok(0) => Err(RenderError::BadPdf("no pages")),
        Ok(count) if count <= max => Ok((document, count)),
        Ok(_) | Err(_) => Err(RenderError::TooManyPages { max }),
    }
}

fn walk(document: &Document, object: &Object, depth: usize) -> Result<(), RenderError> {
    if depth > DEEPEST {
        return Err(RenderError::BadPdf("nested too deeply"));
    }
    let dictionary = match object {
        Object::Dictionary(dictionary) => dictionary,
        Object::Stream(stream) => &stream.dict,
        Object::Array(items) => {
            return items.iter().try_for_each(|item| walk(document, item, depth + 1));
        }
        _ => return Ok(()),
    };
    for (key, value) in dictionary {
        let forbidden = FORBIDDEN_KEYS.contains(&key.as_slice())
            || (matches!(key.as_slice(), b"S" | b"Subtype" | b"Type")
                && is_forbidden_kind(document, value))
            || (key == b"OpenAction" && !is_place(document, value));
        if forbidden {
            return Err(RenderError::BadPdf("it acts by itself or carries files"));
        }
        walk(document, value, depth + 1)?;
    }
    Ok(())
}

fn is_forbidden_kind(document: &Document, value: &Object) -> bool {
    match resolved(document, value) {
        Some(Object::Name(name)) => FORBIDDEN_KINDS.contains(&name.as_slice()),
        Some(_) => false,
        None => true,
    }
}

/// A destination, or an action that goes to one.
fn is_place(document: &Document, value: &Object) -> bool {
    match resolved(document, value) {
        Some(Object::Array(_)) => true,
        Some(Object::Dictionary(action)) => {
            action.get(b"S").is_ok_and(|kind| kind.as_name().is_ok_and(|kind| kind == b"GoTo"))
                && !action.has(b"Next")
        }
        Some(_) | None => false,
    }
}

/// Follows references; `None` where they lead nowhere or in circles.
fn resolved<'a>(document: &'a Document, value: &'a Object) -> Option<&'a Object> {
    document.dereference(value).ok().map(|(_, object)| object)
}
