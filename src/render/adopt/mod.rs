//! Finished PDFs from senders: what is taken and what is refused.
//!
//! A document that goes to a stranger must not do anything by itself: no
//! scripts, no programs, no forms that send themselves, no files inside, nothing
//! fetched from elsewhere. It must look the same everywhere, so its fonts are in
//! it, and it must not hurt whoever opens it, so what it unpacks to is bounded.
//!
//! Readers differ in what they find in a broken file, so nothing is forgiven:
//! an object that the cross-references name and that cannot be read is
//! `damaged`. Every object of the newest revision is looked at, reachable or
//! not, those in object streams included. Names of scripts, programs and files
//! are also looked for in the raw bytes ([`raw`]), where older revisions and
//! whatever a cross-reference hides can be seen. Fonts and page sizes count where
//! a page uses them.
//!
//! `OpenAction` may name a place to open the document at, as office programs
//! write it; links may lead to a page or an address on the web. Anything else
//! that acts is refused.
//!
//! The check is pure, but its input is not to be trusted: outside of tests it
//! runs in a process of its own, with little memory and little time.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "object kinds that hold nothing; a depth that is checked"
)]

mod fonts;
mod pages;
mod raw;
mod unpack;

use lopdf::{Dictionary, Document, LoadOptions, Object, xref::XrefEntry};

use super::MAX_PAGES;
use crate::domain::pdf::{PdfFacts, PdfFlaw};

/// The most that one compressed object stream may unpack to, in bytes.
const MAX_UNPACKED: usize = 64 << 20;
/// The most objects.
const MAX_OBJECTS: usize = 500_000;
/// Deeper nesting within one object is refused.
const DEEPEST: usize = 64;

/// Keys that make a document act, or hide something in it.
const FORBIDDEN_KEYS: [(&[u8], PdfFlaw); 9] = [
    (b"JS", PdfFlaw::Javascript),
    (b"JavaScript", PdfFlaw::Javascript),
    (b"AA", PdfFlaw::Action),
    (b"Launch", PdfFlaw::Action),
    (b"RichMediaContent", PdfFlaw::Action),
    (b"EmbeddedFiles", PdfFlaw::EmbeddedFile),
    (b"EmbeddedFile", PdfFlaw::EmbeddedFile),
    (b"EF", PdfFlaw::EmbeddedFile),
    (b"XFA", PdfFlaw::Xfa),
];
/// Kinds of actions and annotations that do the same.
const FORBIDDEN_KINDS: [(&[u8], PdfFlaw); 15] = [
    (b"JavaScript", PdfFlaw::Javascript),
    (b"Launch", PdfFlaw::Action),
    (b"SubmitForm", PdfFlaw::Action),
    (b"ImportData", PdfFlaw::Action),
    (b"GoToE", PdfFlaw::Action),
    (b"GoToR", PdfFlaw::Action),
    (b"Rendition", PdfFlaw::Action),
    (b"Movie", PdfFlaw::Action),
    (b"Sound", PdfFlaw::Action),
    (b"Screen", PdfFlaw::Action),
    (b"RichMedia", PdfFlaw::Action),
    (b"GoTo3DView", PdfFlaw::Action),
    (b"3D", PdfFlaw::Action),
    (b"FileAttachment", PdfFlaw::EmbeddedFile),
    (b"EmbeddedFile", PdfFlaw::EmbeddedFile),
];
/// Keys under which actions stand, and the kinds of actions that may.
const ACTION_KEYS: [&[u8]; 3] = [b"A", b"PA", b"Next"];
const HARMLESS_ACTIONS: [&[u8]; 6] =
    [b"GoTo", b"URI", b"Named", b"Hide", b"SetOCGState", b"ResetForm"];
/// Keys of a stream or a form that fetch their content from elsewhere.
const EXTERNAL_KEYS: [&[u8]; 5] = [b"F", b"FFilter", b"FDecodeParms", b"Ref", b"OPI"];

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

/// Reads a sender's PDF and says what is known of it, or the first thing that is
/// wrong with it.
pub fn check_pdf(pdf: &[u8], limits: PdfLimits) -> Result<PdfFacts, PdfFlaw> {
    if pdf.len() > limits.max_bytes {
        return Err(PdfFlaw::TooLarge);
    }
    let document = load(pdf)?;
    if document.was_encrypted() || document.trailer.has(b"Encrypt") {
        return Err(PdfFlaw::Encrypted);
    }
    raw::check(pdf)?;
    is_whole(&document)?;
    for object in document.objects.values() {
        walk(&document, object, 0)?;
    }
    let facts = pages::check(&document, limits.max_pages.min(MAX_PAGES))?;
    fonts::check(&document)?;
    unpack::check(&document)?;
    Ok(facts)
}

/// Loads a PDF, its object streams within bounds.
pub(super) fn load(pdf: &[u8]) -> Result<Document, PdfFlaw> {
    if !pdf.starts_with(b"%PDF-") {
        return Err(PdfFlaw::NotPdf);
    }
    let options =
        LoadOptions { max_decompressed_size: Some(MAX_UNPACKED), ..LoadOptions::default() };
    Document::load_mem_with_options(pdf, options).map_err(|error| match error {
        lopdf::Error::Decompress(lopdf::DecompressError::MemoryLimitExceeded { .. }) => {
            PdfFlaw::UnpacksTooLarge
        }
        lopdf::Error::InvalidPassword | lopdf::Error::Decryption(_) => PdfFlaw::Encrypted,
        _ => PdfFlaw::Damaged,
    })
}

/// Whether everything that the cross-references name was read. `lopdf` leaves
/// out what it cannot read; another reader might not.
fn is_whole(document: &Document) -> Result<(), PdfFlaw> {
    if document.objects.len() > MAX_OBJECTS || document.reference_table.entries.len() > MAX_OBJECTS
    {
        return Err(PdfFlaw::TooComplex);
    }
    for (number, entry) in &document.reference_table.entries {
        let read = match entry {
            XrefEntry::Free | XrefEntry::UnusableFree => true,
            XrefEntry::Normal { .. } | XrefEntry::Compressed { .. } => {
                let mut same = document.objects.range((*number, 0)..=(*number, u16::MAX));
                *number == 0 || same.next().is_some()
            }
        };
        if !read {
            return Err(PdfFlaw::Damaged);
        }
    }
    Ok(())
}

fn walk(document: &Document, object: &Object, depth: usize) -> Result<(), PdfFlaw> {
    if depth > DEEPEST {
        return Err(PdfFlaw::TooComplex);
    }
    let dictionary = match object {
        Object::Dictionary(dictionary) => dictionary,
        Object::Stream(stream) => {
            if EXTERNAL_KEYS.iter().any(|key| stream.dict.has(key)) {
                return Err(PdfFlaw::ExternalStream);
            }
            &stream.dict
        }
        Object::Array(items) => {
            return items.iter().try_for_each(|item| walk(document, item, depth + 1));
        }
        _ => return Ok(()),
    };
    for (key, value) in dictionary {
        if let Some((_, flaw)) = FORBIDDEN_KEYS.iter().find(|(name, _)| name == key) {
            return Err(*flaw);
        }
        match key.as_slice() {
            b"S" | b"Subtype" | b"Type" => kind(document, value)?,
            b"OpenAction" if !is_place(document, value) => return Err(PdfFlaw::Action),
            key if ACTION_KEYS.contains(&key) => action(document, value)?,
            _ => {}
        }
        walk(document, value, depth + 1)?;
    }
    Ok(())
}

fn kind(document: &Document, value: &Object) -> Result<(), PdfFlaw> {
    match resolved(document, value) {
        Some(Object::Name(name)) => {
            let found = FORBIDDEN_KINDS.iter().find(|(kind, _)| kind == name);
            found.map_or(Ok(()), |(_, flaw)| Err(*flaw))
        }
        Some(_) => Ok(()),
        None => Err(PdfFlaw::Damaged),
    }
}

/// What stands where an action may stand; other things stand under the same keys.
fn action(document: &Document, value: &Object) -> Result<(), PdfFlaw> {
    let one = |value: &Object| match resolved(document, value) {
        Some(Object::Dictionary(action)) => match action_kind(document, action) {
            Some(kind) if !HARMLESS_ACTIONS.contains(&kind) => Err(PdfFlaw::Action),
            Some(_) | None => Ok(()),
        },
        Some(_) | None => Ok(()),
    };
    match resolved(document, value) {
        Some(Object::Array(items)) => items.iter().try_for_each(one),
        Some(_) | None => one(value),
    }
}

fn action_kind<'a>(document: &'a Document, action: &'a Dictionary) -> Option<&'a [u8]> {
    resolved(document, action.get(b"S").ok()?)?.as_name().ok()
}

/// A destination, or an action that goes to one.
fn is_place(document: &Document, value: &Object) -> bool {
    match resolved(document, value) {
        Some(Object::Array(_)) => true,
        Some(Object::Dictionary(action)) => {
            action_kind(document, action) == Some(b"GoTo") && !action.has(b"Next")
        }
        Some(_) | None => false,
    }
}

/// Follows references; `None` where they lead nowhere or in circles.
fn resolved<'a>(document: &'a Document, value: &'a Object) -> Option<&'a Object> {
    document.dereference(value).ok().map(|(_, object)| object)
}
