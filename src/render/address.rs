//! The page that shows through the window of a 長形3号 envelope.
//!
//! A4 folded in three may slide by 25 mm and 21 mm inside of the envelope, so
//! what is always visible through a window of 90 mm by 45 mm is a block of at
//! most 65 mm by 24 mm whose upper left corner is that of the window. The
//! postcode comes first, its digits 2.4 mm to 6 mm high and 2 mm clear of the
//! next line (内国郵便約款 別記1). What does not fit is made a little smaller, and
//! then refused: a letter with half an address would come back.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "layout code: lengths in points"
)]

use super::{
    AddressPage,
    css::{PageRule, value::Rgb},
    error::RenderError,
    layout::{
        Area, Item, Layout, Run, Shape,
        lines::{Fit, break_lines},
        margins::Label,
        pages::Page,
    },
};

/// Points in a millimetre.
const MM: f32 = 72.0 / 25.4;
/// The block that is always visible.
const BLOCK: Area = Area { x: 22.0 * MM, y: 15.0 * MM, w: 65.0 * MM, h: 24.0 * MM, color: BLACK };
const BLACK: Rgb = Rgb(0, 0, 0);
const GREY: Rgb = Rgb(96, 96, 96);
/// Digits of Noto Sans JP are 0.733 em high: 2.5 mm.
const POSTCODE_SIZE: f32 = 9.8;
/// The height of a digit in em.
const DIGIT: f32 = 0.733;
/// The height that a line of kanji takes above its baseline, in em.
const KANJI: f32 = 0.88;
/// The smallest print that a sorting machine and a postman can read, in points.
const SMALLEST: f32 = 0.72;

/// Lays out the address page.
pub(super) fn page(layout: &mut Layout<'_>, address: &AddressPage) -> Result<Page, RenderError> {
    if !is_postal_code(&address.postal_code) {
        let field = "postal_code".to_owned();
        return Err(RenderError::BadDocumentData { field, what: "NNN-NNNN is expected" });
    }
    let mut page = fold_marks();
    let mut scale = 1.0;
    let block = loop {
        match block(layout, address, scale) {
            Some(block) => break block,
            None if scale > SMALLEST => scale -= 0.04,
            None => return Err(RenderError::AddressTooLong),
        }
    };
    page.items.extend(block);

    // Clear of the window by 5 mm and more.
    let mut y = BLOCK.y + BLOCK.h + 8.0 * MM;
    for line in &address.sender_lines {
        for mut run in wrapped(layout, line, 6.5, false, GREY, 80.0 * MM) {
            run.x = BLOCK.x;
            run.y = y;
            y += 9.5;
            page.items.push(Item::artifact(Shape::Text(run)));
        }
        if y > 90.0 * MM {
            return Err(RenderError::AddressTooLong);
        }
    }
    Ok(page)
}

/// Writes the piece and the sheet on the edge of every page.
pub(super) fn mark(layout: &mut Layout<'_>, pages: &mut [Page], piece: &str) {
    let count = pages.len();
    for (number, page) in (1usize..).zip(pages) {
        let text = format!("{piece}  {number}/{count}");
        let (x, y) = (10.0 * MM, page.height - 5.0 * MM);
        let label = Label {
            text: &text,
            family: 0,
            x,
            y,
            size: 5.5,
            bold: false,
            color: GREY,
            anchor: 0.0,
        };
        layout.label(page, &label);
    }
}

fn is_postal_code(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(area, local)| {
        area.len() == 3 && local.len() == 4 && digits(area) && digits(local)
    })
}

/// The window's content; `None` if it does not fit at this scale.
fn block(layout: &mut Layout<'_>, address: &AddressPage, scale: f32) -> Option<Vec<Item>> {
    let glyphs = layout.glyphs.len();
    let mut page = Vec::new();
    let style = (POSTCODE_SIZE, false);
    let (mut postcode, _) = layout.text_line(&address.postal_code, 0, style, BLACK);
    // The mark is no digit: it hangs before them and may slide out of sight.
    postcode.x = BLOCK.x;
    postcode.y = BLOCK.y + DIGIT * POSTCODE_SIZE;
    page.push(Item::artifact(Shape::Text(postcode)));
    // The top of what comes next, 2 mm below.
    let mut top = postcode.y + 2.0 * MM;
    let (small, large) = (8.5 * scale, 11.0 * scale);
    for (lines, size, bold) in
        [(&address.address_lines, small, false), (&address.name_lines, large, true)]
    {
        for line in lines.iter().filter(|line| !line.trim().is_empty()) {
            for mut run in wrapped(layout, line, size, bold, BLACK, BLOCK.w) {
                run.x = BLOCK.x;
                run.y = top + KANJI * size;
                top += 1.32 * size;
                page.push(Item::artifact(Shape::Text(run)));
            }
        }
        top += 0.4 * size;
    }
    let fits = top - 0.7 * large <= BLOCK.y + BLOCK.h + 0.01;
    if !fits {
        layout.glyphs.truncate(glyphs);
    }
    fits.then_some(page)
}

/// A text in lines no wider than `width`.
fn wrapped(
    layout: &mut Layout<'_>,
    text: &str,
    size: f32,
    bold: bool,
    color: Rgb,
    width: f32,
) -> Vec<Run> {
    let (run, _) = layout.text_line(text.trim(), 0, (size, bold), color);
    let glyphs = layout.glyphs.get(run.first as usize..).unwrap_or_default();
    break_lines(glyphs, Fit { width, indent: 0.0, anywhere: true }, &mut Vec::new())
        .into_iter()
        .map(|line| Run { first: run.first + line.start as u32, count: line.len() as u32, ..run })
        .collect()
}

/// Where the sheet is folded: short hairlines at a third and two thirds.
fn fold_marks() -> Page {
    let mut page = Page::sheet(&PageRule::plain());
    let mark = |y: f32| Area { x: 0.0, y: y * MM, w: 3.0 * MM, h: 0.2, color: BLACK };
    page.items.extend([99.0, 198.0].map(|y| Item::artifact(Shape::Rule(mark(y)))));
    page
}
