//! The address page in front of a finished PDF, and the piece's mark on its pages.
//!
//! The sender's pages keep their content, resources and boxes; the mark is drawn
//! over them as a form of its own, after their graphics state is restored. On a
//! page that is turned the mark turns with it.

#![expect(clippy::wildcard_enum_match_arm, reason = "object kinds that cannot stand here")]

use lopdf::{Dictionary, Document, Object, ObjectId, Stream, dictionary};

use super::{css::PageRule, error::RenderError, finish};
use crate::domain::{pdf::PdfFlaw, plain::Plain};

/// The name of the mark among a page's resources.
const MARK: &str = "KakitomePiece";
/// The most generations of page tree nodes above a page.
const DEEPEST: usize = 32;

/// Puts the first page of `front` before the sender's pages, draws its other pages
/// over them, one each, and writes the whole anew.
pub(super) fn put_in_front(
    mut document: Document,
    mut front: Document,
) -> Result<Plain, RenderError> {
    merge(&mut document, &mut front).ok_or(RenderError::BadPdf(PdfFlaw::Damaged))?;
    finish::write(&mut document)
}

fn merge(document: &mut Document, front: &mut Document) -> Option<()> {
    front.renumber_objects_with(document.max_id.checked_add(1)?);
    let mut sheets = front.get_pages().into_values();
    let address = sheets.next()?;
    let marks: Vec<ObjectId> = sheets.collect();
    let pages: Vec<ObjectId> = document.get_pages().into_values().collect();
    document.objects.append(&mut front.objects);
    document.max_id = front.max_id;
    for (page, mark) in pages.into_iter().zip(marks) {
        draw_over(document, page, mark)?;
    }
    let root: ObjectId = document.catalog().ok()?.get(b"Pages").ok()?.as_reference().ok()?;
    let sheet = document.get_dictionary_mut(address).ok()?;
    // Set on the page itself, or it would inherit the sender's.
    sheet.set("Parent", root);
    sheet.set("Rotate", 0);
    let tree = document.get_dictionary(root).ok()?;
    let count = tree.get(b"Count").ok()?.as_i64().ok()?.checked_add(1)?;
    let mut kids = vec![Object::Reference(address)];
    kids.extend(list(document, tree.get(b"Kids").ok()?)?);
    let tree = document.get_dictionary_mut(root).ok()?;
    tree.set("Count", count);
    tree.set("Kids", kids);
    document.prune_objects();
    document.max_id = document.objects.keys().map(|(number, _)| *number).max()?;
    Some(())
}

/// Draws one of our pages over one of the sender's.
fn draw_over(document: &mut Document, page: ObjectId, mark: ObjectId) -> Option<()> {
    let (x, y) = origin(document, page);
    let ours = document.get_dictionary(mark).ok()?;
    let form = ours.get(b"Contents").ok()?.as_reference().ok()?;
    let fonts = ours.get(b"Resources").ok()?.clone();
    let stream = document.get_object_mut(form).ok()?.as_stream_mut().ok()?;
    stream.dict.set("Type", "XObject");
    stream.dict.set("Subtype", "Form");
    let PageRule { width, height, .. } = PageRule::plain();
    stream.dict.set("BBox", vec![0.into(), 0.into(), width.into(), height.into()]);
    stream.dict.set("Matrix", vec![1.into(), 0.into(), 0.into(), 1.into(), x.into(), y.into()]);
    stream.dict.set("Resources", fonts);

    let mut resources = match inherited(document, page, b"Resources") {
        Some(Object::Dictionary(resources)) => resources.clone(),
        _ => Dictionary::new(),
    };
    let mut forms = match resources.get(b"XObject").map(|forms| document.dereference(forms)) {
        Ok(Ok((_, Object::Dictionary(forms)))) => forms.clone(),
        _ => Dictionary::new(),
    };
    forms.set(MARK, form);
    resources.set("XObject", forms);

    let contents = match document.get_dictionary(page).ok()?.get(b"Contents") {
        Ok(contents) => list(document, contents)?,
        Err(_) => Vec::new(),
    };
    let text = |text: String| Stream::new(dictionary! {}, text.into_bytes());
    let before = document.add_object(text("q\n".to_owned()));
    let after = document.add_object(text(format!("\nQ\nq /{MARK} Do Q\n")));
    let mut whole = vec![Object::Reference(before)];
    whole.extend(contents);
    whole.push(Object::Reference(after));
    let dictionary = document.get_dictionary_mut(page).ok()?;
    dictionary.set("Contents", whole);
    dictionary.set("Resources", resources);
    Some(())
}

/// An array, the array that a reference names, or the one thing that it is.
fn list(document: &Document, object: &Object) -> Option<Vec<Object>> {
    match document.dereference(object).ok()?.1 {
        Object::Array(items) => Some(items.clone()),
        Object::Stream(_) => Some(vec![object.clone()]),
        _ => None,
    }
}

/// The lower left corner of what is seen of a page.
fn origin(document: &Document, page: ObjectId) -> (f32, f32) {
    let corner = |key| match inherited(document, page, key) {
        Some(Object::Array(edges)) => {
            let edge = |index: usize| edges.get(index).and_then(|edge| edge.as_float().ok());
            Some((edge(0)?.min(edge(2)?), edge(1)?.min(edge(3)?)))
        }
        _ => None,
    };
    corner(b"CropBox").or_else(|| corner(b"MediaBox")).unwrap_or((0.0, 0.0))
}

/// An attribute of a page or of a node above it (ISO 32000-1 §7.7.3.4).
pub(super) fn inherited<'a>(
    document: &'a Document,
    page: ObjectId,
    key: &[u8],
) -> Option<&'a Object> {
    let mut node = document.get_dictionary(page).ok()?;
    for _ in 0..DEEPEST {
        if let Ok(value) = node.get(key) {
            return Some(document.dereference(value).ok()?.1);
        }
        node = document.get_dictionary(node.get(b"Parent").ok()?.as_reference().ok()?).ok()?;
    }
    None
}
