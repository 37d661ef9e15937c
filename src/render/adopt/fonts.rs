//! Whether every font that a page may use is in the file.
//!
//! What hangs from a page is walked: its resources, and the forms, patterns and
//! appearances in them. What merely lies in the file, such as the default fonts
//! of a form's fields, is drawn by nobody and does not count. A font of the
//! fourteen that every viewer is said to have counts like any other: each viewer
//! draws it differently, and a printer may not have it at all.

use std::collections::BTreeSet;

use lopdf::{Dictionary, Document, Object};

use super::resolved;
use crate::{domain::pdf::PdfFlaw, render::front::inherited};

/// Keys that lead from a page or an annotation to something not drawn on it.
const ELSEWHERE: [&[u8]; 8] = [b"Parent", b"P", b"Dest", b"A", b"PA", b"IRT", b"Popup", b"B"];
/// Where the program of a font may stand in its descriptor.
const PROGRAMS: [&[u8]; 3] = [b"FontFile", b"FontFile2", b"FontFile3"];

pub(super) fn check(document: &Document) -> Result<(), PdfFlaw> {
    let mut seen = BTreeSet::new();
    let mut stack: Vec<&Object> = Vec::new();
    for page in document.page_iter() {
        stack.extend(document.objects.get(&page));
        stack.extend(inherited(document, page, b"Resources"));
        while let Some(object) = stack.pop() {
            let dictionary = match object {
                Object::Reference(id) => {
                    if seen.insert(*id) {
                        stack.extend(document.objects.get(id));
                    }
                    continue;
                }
                Object::Array(items) => {
                    stack.extend(items);
                    continue;
                }
                Object::Dictionary(dictionary) => dictionary,
                Object::Stream(stream) => &stream.dict,
                Object::Null
                | Object::Boolean(_)
                | Object::Integer(_)
                | Object::Real(_)
                | Object::Name(_)
                | Object::String(..) => continue,
            };
            look(document, dictionary)?;
            let is_node = dictionary.has(b"Rect") || dictionary.has_type(b"Page");
            let is_drawn = |key: &[u8]| !(is_node && ELSEWHERE.contains(&key));
            let drawn = dictionary.iter().filter(|(key, _)| is_drawn(key.as_slice()));
            stack.extend(drawn.map(|(_, value)| value));
        }
    }
    Ok(())
}

/// A font, or resources that name fonts.
fn look(document: &Document, dictionary: &Dictionary) -> Result<(), PdfFlaw> {
    let is_font = name(document, dictionary, b"Type") == Some(b"Font");
    if is_font && !is_embedded(document, dictionary) {
        return Err(PdfFlaw::FontNotEmbedded);
    }
    let Ok(fonts) = dictionary.get(b"Font") else { return Ok(()) };
    let Some(Object::Dictionary(fonts)) = resolved(document, fonts) else { return Ok(()) };
    for (_, font) in fonts {
        let Some(Object::Dictionary(font)) = resolved(document, font) else {
            return Err(PdfFlaw::FontNotEmbedded);
        };
        if !is_embedded(document, font) {
            return Err(PdfFlaw::FontNotEmbedded);
        }
    }
    Ok(())
}

fn is_embedded(document: &Document, font: &Dictionary) -> bool {
    match name(document, font, b"Subtype") {
        // Its glyphs are drawings in the file.
        Some(b"Type3") => true,
        Some(b"Type0") => {
            descendant(document, font).is_some_and(|font| has_program(document, font))
        }
        Some(_) | None => has_program(document, font),
    }
}

fn descendant<'a>(document: &'a Document, font: &'a Dictionary) -> Option<&'a Dictionary> {
    let fonts = resolved(document, font.get(b"DescendantFonts").ok()?)?.as_array().ok()?;
    resolved(document, fonts.first()?)?.as_dict().ok()
}

fn has_program(document: &Document, font: &Dictionary) -> bool {
    let descriptor = font.get(b"FontDescriptor").ok().and_then(|one| resolved(document, one));
    let Some(Object::Dictionary(descriptor)) = descriptor else { return false };
    PROGRAMS.iter().any(|key| {
        let program = descriptor.get(key).ok().and_then(|program| resolved(document, program));
        matches!(program, Some(Object::Stream(_)))
    })
}

fn name<'a>(document: &'a Document, dictionary: &'a Dictionary, key: &[u8]) -> Option<&'a [u8]> {
    resolved(document, dictionary.get(key).ok()?)?.as_name().ok()
}
