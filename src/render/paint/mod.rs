//! From pages of items to a `lopdf` document, through `printpdf` operations.
//!
//! On every page backgrounds come first, then rules, then pictures, then text, so
//! that no background hides a hairline; boxes out of the flow come after all that
//! in the same order. All text is in as few text objects as there are layers;
//! state is set only where it changes. For tagged documents every run of content
//! is marked with the element that it belongs to, all else as an artifact.
//!
//! A page is drawn in hundredths of a point, which is finer than any printer:
//! whole numbers are shorter than fractions, and several times cheaper to write.

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

use printpdf::{Color, DictItem, Op, PdfDocument, PdfPage, PdfSaveOptions, Pt, Rgb as PdfRgb};

mod shapes;
mod text;

use super::{
    css::value::Rgb,
    dom::{NONE, NodeId, Rare, Tag},
    font::FaceId,
    layout::{Area, Item, Layout, Run, Shape, pages::Page},
    used::Used,
};
use text::Shown;

/// Units of a page's drawing in a point.
const UNITS: f32 = 100.0;

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
    /// Where the line of text begins from which the next is counted, in units.
    line: (i64, i64),
    shown: Shown,
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
            line: (0, 0),
            shown: Shown::default(),
        }
    }

    fn op(&mut self, op: Op) {
        self.show();
        self.ops.push(op);
    }

    fn page(&mut self, page: &Page) {
        let unit = DictItem::Real(1.0 / UNITS);
        let zero = DictItem::Int(0);
        let value = vec![unit.clone(), zero.clone(), zero.clone(), unit, zero.clone(), zero];
        self.op(Op::Unknown { key: "cm".to_owned(), value });
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
                self.rectangle(area);
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
            self.op(Op::BeginMarkedContent { tag: "Artifact".to_owned() });
            return;
        }
        let mark = DictItem::Int(self.marks.len() as i64);
        self.marks.push(node);
        self.op(Op::BeginMarkedContentWithProperties {
            tag: "Span".to_owned(),
            properties: DictItem::Dict { map: BTreeMap::from([("MCID".to_owned(), mark)]) },
        });
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.op(Op::EndMarkedContent);
        }
    }

    fn enter_text(&mut self) {
        if !self.in_text {
            self.close();
            self.op(Op::StartTextSection);
            self.in_text = true;
            self.line = (0, 0);
        }
    }

    fn leave_text(&mut self) {
        if self.in_text {
            self.close();
            self.op(Op::EndTextSection);
            self.in_text = false;
        }
    }

    fn offset(&self, number: u32) -> Option<(f32, f32)> {
        self.layout.offsets.get(&number).copied()
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

    /// An operator over lengths in points.
    fn raw(&mut self, key: &str, lengths: &[f32]) {
        let value = lengths.iter().map(|length| DictItem::Int(units(*length))).collect();
        self.op(Op::Unknown { key: key.to_owned(), value });
    }

    fn color(&mut self, color: Rgb) {
        if self.fill == Some(color) {
            return;
        }
        self.fill = Some(color);
        let [r, g, b] = unit(color);
        self.op(Op::SetFillColor { col: Color::Rgb(PdfRgb { r, g, b, icc_profile: None }) });
    }

    fn stroke_color(&mut self, color: Rgb) {
        let value = unit(color).into_iter().map(DictItem::Real).collect();
        self.op(Op::Unknown { key: "RG".to_owned(), value });
    }

    fn rectangle(&mut self, area: &Area) {
        // The path and what fills it, which takes no operands: one operation.
        self.raw("re\nf", &[area.x, self.height - area.y - area.h, area.w, area.h]);
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

fn units(length: f32) -> i64 {
    (length * UNITS).round() as i64
}

fn rounded(value: f32) -> f32 {
    (value * 100.0).round() / 100.0
}
