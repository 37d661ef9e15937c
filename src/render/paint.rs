//! From pages of items to a `lopdf` document, through `printpdf` operations.
//!
//! On every page backgrounds come first, then rules, then text, so that no
//! background hides a hairline. All text of a page is one text object; state is
//! set only where it changes.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_cmp,
    clippy::indexing_slicing,
    reason = "layout code: lengths in points, and arena numbers that layout hands out itself"
)]

use std::collections::HashMap;

use printpdf::{
    Color, DictItem, FontId, Mm, Op, PaintMode, PdfDocument, PdfFontHandle, PdfPage,
    PdfSaveOptions, Pt, Rect, Rgb as PdfRgb, TextMatrix,
};

use super::{
    PAGE_HEIGHT,
    css::value::Rgb,
    font::{FaceId, FontSet, Source},
    layout::{Area, Glyph, Item, Kind, Run, pages::Page},
};

/// Which glyphs of which faces a document uses.
pub(super) struct Used<'a> {
    fonts: &'a FontSet,
    pub(super) faces: [UsedFace; 4],
}

/// The glyphs of one face in a document, by their new numbers.
#[derive(Default)]
pub(super) struct UsedFace {
    /// The new number of the face's glyphs; 0 where unused. Empty until one is.
    first: Vec<u16>,
    /// The face's number of each new glyph; the first is `.notdef`.
    pub(super) gids: Vec<u16>,
    /// What each new glyph stands for.
    pub(super) sources: Vec<Source>,
    /// A glyph that stands for several texts has a number for each.
    more: HashMap<(u16, u32, u32), u16>,
}

impl<'a> Used<'a> {
    fn new(fonts: &'a FontSet) -> Self {
        Self { fonts, faces: Default::default() }
    }

    /// The document's number for a glyph.
    #[inline]
    fn code(&mut self, glyph: &Glyph) -> u16 {
        let face = &mut self.faces[usize::from(glyph.face)];
        if face.first.is_empty() {
            face.first = vec![0; self.fonts.face(glyph.face).glyph_count()];
            face.gids.push(0);
            face.sources.push(Source { base: 0, modifier: 0 });
        }
        let source = Source { base: glyph.base, modifier: glyph.modifier };
        let known = face.first[usize::from(glyph.gid)];
        if known != 0 && face.sources[usize::from(known)] == source {
            return known;
        }
        face.another(glyph.gid, source, known)
    }
}

impl UsedFace {
    fn another(&mut self, gid: u16, source: Source, known: u16) -> u16 {
        let key = (gid, source.base, source.modifier);
        if known != 0
            && let Some(code) = self.more.get(&key)
        {
            return *code;
        }
        let Ok(code) = u16::try_from(self.gids.len()) else {
            // More texts than numbers: the glyph is right, its text is another's.
            return known;
        };
        if code == u16::MAX {
            return known;
        }
        self.gids.push(gid);
        self.sources.push(source);
        if known == 0 {
            self.first[usize::from(gid)] = code;
        } else {
            self.more.insert(key, code);
        }
        code
    }
}

/// The resource name of a face.
pub(super) fn font_name(face: FaceId) -> &'static str {
    ["F0", "F1", "F2", "F3"][usize::from(face & 3)]
}

/// Draws all pages. Fonts are named but not yet in the document.
pub(super) fn draw<'a>(
    pages: &[Page],
    glyphs: &[Glyph],
    fonts: &'a FontSet,
) -> (lopdf::Document, Used<'a>) {
    let mut used = Used::new(fonts);
    let mut document = PdfDocument::new("");
    for page in pages {
        let ops = operations(page, glyphs, &mut used);
        document.pages.push(PdfPage::new(Mm(210.0), Mm(297.0), ops));
    }
    // `secure: false` lets `Tj` through; every operator here is ours.
    let options = PdfSaveOptions {
        optimize: false,
        subset_fonts: false,
        secure: false,
        image_optimization: None,
    };
    (document.to_lopdf_document(&options, &mut Vec::new()), used)
}

fn operations(page: &Page, glyphs: &[Glyph], used: &mut Used<'_>) -> Vec<Op> {
    let mut ops = Vec::with_capacity(3 * page.len() + 8);
    let mut fill = None;
    let fills = page.iter().filter_map(|item| match item {
        Item::Fill(area) => Some(area),
        Item::Rule(_) | Item::Text(_) => None,
    });
    let rules = page.iter().filter_map(|item| match item {
        Item::Rule(area) => Some(area),
        Item::Fill(_) | Item::Text(_) => None,
    });
    for area in fills.chain(rules) {
        set_color(&mut ops, &mut fill, area.color);
        ops.push(rectangle(area));
    }
    let mut state = (u8::MAX, 0.0f32, 0.0f32);
    ops.push(Op::StartTextSection);
    for item in page {
        if let Item::Text(run) = item {
            text(&mut ops, run, glyphs, used, &mut state, &mut fill);
        }
    }
    ops.push(Op::EndTextSection);
    ops
}

fn text(
    ops: &mut Vec<Op>,
    run: &Run,
    glyphs: &[Glyph],
    used: &mut Used<'_>,
    state: &mut (FaceId, f32, f32),
    fill: &mut Option<Rgb>,
) {
    let first = run.first as usize;
    let all = &glyphs[first..first + run.count as usize];
    set_color(ops, fill, run.color);
    if state.2 != run.spacing {
        ops.push(Op::SetCharacterSpacing { multiplier: rounded(run.spacing) });
        state.2 = run.spacing;
    }
    // A label may mix faces; a run from the tree never does.
    let mut x = run.x;
    let mut rest = all;
    while let Some(glyph) = rest.first() {
        let same = rest.iter().take_while(|next| next.face == glyph.face).count();
        let (part, after) = rest.split_at(same);
        rest = after;
        if (state.0, state.1) != (glyph.face, run.size) {
            let font = PdfFontHandle::External(FontId(font_name(glyph.face).to_owned()));
            ops.push(Op::SetFont { font, size: Pt(run.size) });
            (state.0, state.1) = (glyph.face, run.size);
        }
        let mut codes = Vec::with_capacity(2 * part.len());
        for glyph in part.iter().filter(|glyph| glyph.kind != Kind::Invisible) {
            codes.extend_from_slice(&used.code(glyph).to_be_bytes());
        }
        let at = (Pt(rounded(x)), Pt(rounded(PAGE_HEIGHT - run.y)));
        ops.push(Op::SetTextMatrix { matrix: TextMatrix::Translate(at.0, at.1) });
        ops.push(Op::Unknown { key: "Tj".to_owned(), value: vec![DictItem::Bytes(codes)] });
        x += part.iter().map(|glyph| glyph.advance).sum::<f32>();
    }
}

fn set_color(ops: &mut Vec<Op>, current: &mut Option<Rgb>, color: Rgb) {
    if *current == Some(color) {
        return;
    }
    *current = Some(color);
    let unit = |value: u8| (f32::from(value) / 255.0 * 1000.0).round() / 1000.0;
    let (r, g, b) = (unit(color.0), unit(color.1), unit(color.2));
    ops.push(Op::SetFillColor { col: Color::Rgb(PdfRgb { r, g, b, icc_profile: None }) });
}

fn rectangle(area: &Area) -> Op {
    Op::DrawRectangle {
        rectangle: Rect {
            x: Pt(rounded(area.x)),
            y: Pt(rounded(PAGE_HEIGHT - area.y - area.h)),
            width: Pt(rounded(area.w)),
            height: Pt(rounded(area.h)),
            mode: Some(PaintMode::Fill),
            winding_order: None,
        },
    }
}

/// A hundredth of a point is finer than any printer.
fn rounded(value: f32) -> f32 {
    (value * 100.0).round() / 100.0
}
