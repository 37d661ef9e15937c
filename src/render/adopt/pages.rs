//! The pages of a finished PDF: how many, and of what size.

use std::collections::BTreeSet;

use lopdf::{Document, Object, ObjectId};

use super::resolved;
use crate::{
    domain::pdf::{PdfFacts, PdfFlaw},
    render::front::inherited,
};

/// The shortest and the longest side of a page in points: 20 mm, and a little
/// more than A0.
const SIDE_MIN: f32 = 20.0 * 72.0 / 25.4;
const SIDE_MAX: f32 = 1_200.0 * 72.0 / 25.4;
/// A4 in points, and how far a page may be from it: 3 mm.
const A4: [f32; 2] = [210.0 * 72.0 / 25.4, 297.0 * 72.0 / 25.4];
const SLACK: f32 = 3.0 * 72.0 / 25.4;

/// Counts and measures the pages.
pub(super) fn check(document: &Document, most: u32) -> Result<PdfFacts, PdfFlaw> {
    let mut seen = BTreeSet::new();
    let mut a4 = true;
    for page in document.page_iter() {
        let count = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        // The same page twice is a tree that bites its tail.
        if !seen.insert(page) {
            return Err(PdfFlaw::Damaged);
        }
        if count >= most {
            return Err(PdfFlaw::TooManyPages);
        }
        let [width, height] = size(document, page).ok_or(PdfFlaw::Damaged)?;
        if ![width, height].into_iter().all(|side| (SIDE_MIN..=SIDE_MAX).contains(&side)) {
            return Err(PdfFlaw::PageSize);
        }
        let near = |side: f32, wanted: f32| (side - wanted).abs() <= SLACK;
        let [short, long] = A4;
        a4 &= (near(width, short) && near(height, long))
            || (near(width, long) && near(height, short));
    }
    match u32::try_from(seen.len()) {
        Ok(0) => Err(PdfFlaw::NoPages),
        Ok(pages) => Ok(PdfFacts { pages, a4 }),
        Err(_) => Err(PdfFlaw::TooManyPages),
    }
}

/// The width and height of what is seen of a page, in points.
fn size(document: &Document, page: ObjectId) -> Option<[f32; 2]> {
    let dictionary = document.get_dictionary(page).ok()?;
    let media = edges(document, inherited(document, page, b"MediaBox")?)?;
    let seen = match inherited(document, page, b"CropBox") {
        // What lies outside of the sheet is not seen.
        Some(crop) => {
            let crop = edges(document, crop)?;
            [
                media[0].max(crop[0]),
                media[1].max(crop[1]),
                media[2].min(crop[2]),
                media[3].min(crop[3]),
            ]
        }
        None => media,
    };
    let unit = match dictionary.get(b"UserUnit") {
        Ok(unit) => resolved(document, unit)?.as_float().ok()?,
        Err(_) => 1.0,
    };
    Some([(seen[2] - seen[0]) * unit, (seen[3] - seen[1]) * unit])
}

/// Left, bottom, right and top.
fn edges(document: &Document, rectangle: &Object) -> Option<[f32; 4]> {
    let Object::Array(edges) = rectangle else { return None };
    let edge = |index: usize| resolved(document, edges.get(index)?)?.as_float().ok();
    let (x1, y1, x2, y2) = (edge(0)?, edge(1)?, edge(2)?, edge(3)?);
    Some([x1.min(x2), y1.min(y2), x1.max(x2), y1.max(y2)])
}
