//! From pages of items to a `lopdf` document, through `printpdf` operations.
//!
//! On every page backgrounds come first, then rules, then pictures, then text, so
//! that no background hides a hairline; boxes out of the flow come after all that
//! in the same order. All text is in as few text objects as there are layers;
//! state is set only where it changes. For tagged documents every run of content
//! is marked with the element that it belongs to, all else as an artifact.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::float_cmp,
    clippy::indexing_slicing,
    reason = "layout code: lengths in points, and arena numbers that layout hands out itself"
)]

use std::collections::BTreeMap;

use printpdf::{
    Color, DictItem, FontId, Op, PaintMode, PdfDocument, PdfFontHandle, PdfPage, PdfSaveOptions,
    Pt, Rect, Rgb as PdfRgb, TextMatrix,
};

mod shapes;

use super::{
    css::value::Rgb,
    dom::{NONE, NodeId, Rare, Tag},
    font::FaceId,
    layout::{Area, Item, Kind, Layout, Run, Shape, pages::Page},
    used::{Used, font_name},
};

/// A drawn document that lacks its fonts, pictures and structure.
pub(super) struct Drawn<'a> {
    pub(super) document: lopdf::Document,
    pub(super) used: Used<'a>,
    /// The numbers of the pictures that occur.
    pub(super) pictures: Vec<u32>,
    /// For each page the elements of its marked content; empty if untagged.
    pub(super) marks: Vec<Vec<NodeId>>,
    /// Where links are: the page, the element, and left, bottom, right and top.
    pub(super) links: Vec<(usize, NodeId, [f32; 4])>,
}

/// Draws all pages. Fonts and pictures are named but not yet in the document.
pub(super) fn draw<'a>(pages: &[Page], layout: &'a Layout<'_>, tagged: bool) -> Drawn<'a> {
    let used = Used::new(layout.fonts, &layout.clusters);
    let mut document = PdfDocument::new("");
    let mut drawn = Drawn {
        document: lopdf::Document::new(),
        used,
        pictures: Vec::new(),
        marks: Vec::new(),
        links: Vec::new(),
    };
    for (number, page) in pages.iter().enumerate() {
        let mut pen = Pen::new(page, number, layout, tagged, &mut drawn);
        pen.page(page);
        let (ops, marks) = (pen.ops, pen.marks);
        drawn.marks.push(marks);
        let size = (Pt(page.width).into(), Pt(page.height).into());
        document.pages.push(PdfPage::new(size.0, size.1, ops));
    }
    // `secure: false` lets operators through that `printpdf` has no name for; every
    // one here is ours.
    let options = PdfSaveOptions {
        optimize: false,
        subset_fonts: false,
        secure: false,
        image_optimization: None,
    };
    drawn.document = document.to_lopdf_document(&options, &mut Vec::new());
    drawn
}

/// Draws one page.
struct Pen<'p, 'a> {
    layout: &'a Layout<'a>,
    drawn: &'p mut Drawn<'a>,
    ops: Vec<Op>,
    height: f32,
    number: usize,
    tagged: bool,
    marks: Vec<NodeId>,
    /// The element whose content is open; `None` outside of any mark.
    open: Option<NodeId>,
    fill: Option<Rgb>,
    /// The face, the size and the character spacing.
    font: (FaceId, f32, f32),
    in_text: bool,
}

impl<'p, 'a> Pen<'p, 'a> {
    fn new(
        page: &Page,
        number: usize,
        layout: &'a Layout<'a>,
        tagged: bool,
        drawn: &'p mut Drawn<'a>,
    ) -> Self {
        Self {
            layout,
            drawn,
            ops: Vec::with_capacity(3 * page.items.len() + 8),
            height: page.height,
            number,
            tagged,
            marks: Vec::new(),
            open: None,
            fill: None,
            font: (FaceId::MAX, 0.0, 0.0),
            in_text: false,
        }
    }

    fn page(&mut self, page: &Page) {
        let over = page.items.iter().any(|item| item.over);
        for layer in [false, true].into_iter().take(if over { 2 } else { 1 }) {
            for rank in 0..4 {
                for item in page.items.iter().filter(|item| item.over == layer) {
                    if rank_of(&item.shape) == rank {
                        self.item(item);
                    }
                }
            }
            self.close();
            self.leave_text();
        }
    }

    fn item(&mut self, item: &Item) {
        // Marked content and text objects never overlap.
        match item.shape {
            Shape::Text(_) => self.enter_text(),
            Shape::Fill(_)
            | Shape::Rule(_)
            | Shape::Dash(..)
            | Shape::Round(_)
            | Shape::Picture(..) => self.leave_text(),
        }
        self.mark(item.node);
        match &item.shape {
            Shape::Fill(area) | Shape::Rule(area) => {
                self.color(area.color);
                let rectangle = self.rectangle(area);
                self.ops.push(rectangle);
            }
            Shape::Dash(area, dotted) => self.dash(area, *dotted),
            Shape::Round(round) => self.round(round),
            Shape::Picture(area, number) => self.picture(area, *number),
            Shape::Text(run) => {
                self.text(run);
                self.link(item.node, run);
            }
        }
    }

    /// Opens the marked content of an element, and closes what was open.
    fn mark(&mut self, node: NodeId) {
        if !self.tagged || self.open == Some(node) {
            return;
        }
        self.close();
        self.open = Some(node);
        if node == NONE {
            self.ops.push(Op::BeginMarkedContent { tag: "Artifact".to_owned() });
            return;
        }
        let mark = DictItem::Int(self.marks.len() as i64);
        self.marks.push(node);
        self.ops.push(Op::BeginMarkedContentWithProperties {
            tag: "Span".to_owned(),
            properties: DictItem::Dict { map: BTreeMap::from([("MCID".to_owned(), mark)]) },
        });
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.ops.push(Op::EndMarkedContent);
        }
    }

    fn enter_text(&mut self) {
        if !self.in_text {
            self.close();
            self.ops.push(Op::StartTextSection);
            self.in_text = true;
        }
    }

    fn leave_text(&mut self) {
        if self.in_text {
            self.close();
            self.ops.push(Op::EndTextSection);
            self.in_text = false;
        }
    }

    fn text(&mut self, run: &Run) {
        let layout = self.layout;
        let first = run.first as usize;
        let mut rest = &layout.glyphs[first..first + run.count as usize];
        self.color(run.color);
        if self.font.2 != run.spacing {
            self.ops.push(Op::SetCharacterSpacing { multiplier: rounded(run.spacing) });
            self.font.2 = run.spacing;
        }
        // A label may mix faces; a run from the tree never does.
        let mut x = run.x;
        let mut number = run.first;
        while let Some(glyph) = rest.first() {
            let (face, offset) = (glyph.face, self.offset(number));
            let same = match offset {
                Some(_) => 1,
                None => (number..)
                    .zip(rest)
                    .take_while(|(number, next)| {
                        next.face == face
                            && (layout.offsets.is_empty() || self.offset(*number).is_none())
                    })
                    .count(),
            };
            let (part, after) = rest.split_at(same);
            rest = after;
            number += same as u32;
            if (self.font.0, self.font.1) != (face, run.size) {
                let font = PdfFontHandle::External(FontId(font_name(face)));
                self.ops.push(Op::SetFont { font, size: Pt(run.size) });
                (self.font.0, self.font.1) = (face, run.size);
            }
            let (dx, dy) = offset.unwrap_or_default();
            let at = (Pt(rounded(x + dx)), Pt(rounded(self.height - run.y + dy)));
            self.ops.push(Op::SetTextMatrix { matrix: TextMatrix::Translate(at.0, at.1) });
            let advance = part.iter().map(|glyph| glyph.advance).sum::<f32>();
            let shown = if run.adjusted { self.shown_apart(part, run) } else { self.shown(part) };
            self.ops.push(shown);
            x += advance;
        }
    }

    fn offset(&self, number: u32) -> Option<(f32, f32)> {
        self.layout.offsets.get(&number).copied()
    }

    /// Glyphs with their own widths.
    fn shown(&mut self, part: &[super::layout::Glyph]) -> Op {
        let mut codes = Vec::with_capacity(2 * part.len());
        for glyph in part.iter().filter(|glyph| glyph.kind != Kind::Invisible) {
            codes.extend_from_slice(&self.drawn.used.code(glyph).to_be_bytes());
        }
        Op::Unknown { key: "Tj".to_owned(), value: vec![DictItem::Bytes(codes)] }
    }

    /// Glyphs of which some stand closer or wider than their widths say.
    fn shown_apart(&mut self, part: &[super::layout::Glyph], run: &Run) -> Op {
        let mut pieces = Vec::new();
        let mut codes = Vec::new();
        for glyph in part.iter().filter(|glyph| glyph.kind != Kind::Invisible) {
            codes.extend_from_slice(&self.drawn.used.code(glyph).to_be_bytes());
            let own =
                self.layout.fonts.face(glyph.face).advance(glyph.gid) * run.size + run.spacing;
            let more = glyph.advance - own;
            if more.abs() > 0.002 {
                pieces.push(DictItem::Bytes(std::mem::take(&mut codes)));
                pieces.push(DictItem::Real(rounded(-more / run.size.max(0.01) * 1000.0)));
            }
        }
        if !codes.is_empty() {
            pieces.push(DictItem::Bytes(codes));
        }
        Op::Unknown { key: "TJ".to_owned(), value: vec![DictItem::Array(pieces)] }
    }

    /// Remembers where a link's text stands.
    fn link(&mut self, node: NodeId, run: &Run) {
        let tree = self.layout.tree;
        if node == NONE
            || tree.node(node).tag != Some(Tag::A)
            || tree.rare(node, Rare::Href).is_none()
        {
            return;
        }
        let first = run.first as usize;
        let glyphs = &self.layout.glyphs[first..first + run.count as usize];
        let width: f32 = glyphs.iter().map(|glyph| glyph.advance).sum();
        let y = self.height - run.y;
        let area = [run.x, y - 0.25 * run.size, run.x + width, y + 0.95 * run.size];
        self.drawn.links.push((self.number, node, area.map(rounded)));
    }

    fn raw(&mut self, key: &str, numbers: &[f32]) {
        let value = numbers.iter().map(|number| DictItem::Real(rounded(*number))).collect();
        self.ops.push(Op::Unknown { key: key.to_owned(), value });
    }

    fn color(&mut self, color: Rgb) {
        if self.fill == Some(color) {
            return;
        }
        self.fill = Some(color);
        let [r, g, b] = unit(color);
        self.ops.push(Op::SetFillColor { col: Color::Rgb(PdfRgb { r, g, b, icc_profile: None }) });
    }

    fn stroke_color(&mut self, color: Rgb) {
        self.raw("RG", &unit(color));
    }

    fn rectangle(&self, area: &Area) -> Op {
        Op::DrawRectangle {
            rectangle: Rect {
                x: Pt(rounded(area.x)),
                y: Pt(rounded(self.height - area.y - area.h)),
                width: Pt(rounded(area.w)),
                height: Pt(rounded(area.h)),
                mode: Some(PaintMode::Fill),
                winding_order: None,
            },
        }
    }
}

/// The resource name of a picture.
pub(super) fn picture_name(number: u32) -> String {
    format!("P{number}")
}

fn rank_of(shape: &Shape) -> u8 {
    match shape {
        Shape::Fill(_) | Shape::Round(_) => 0,
        Shape::Rule(_) | Shape::Dash(..) => 1,
        Shape::Picture(..) => 2,
        Shape::Text(_) => 3,
    }
}

fn unit(color: Rgb) -> [f32; 3] {
    [color.0, color.1, color.2].map(|value| (f32::from(value) / 255.0 * 1000.0).round() / 1000.0)
}

/// A hundredth of a point is finer than any printer.
fn rounded(value: f32) -> f32 {
    (value * 100.0).round() / 100.0
}
