//! Runs of glyphs.
//!
//! Neighbours on a line are shown together, whether they stand in one word or in
//! the cells of one row: an operator for each would be most of what a page costs.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "layout code: lengths in points, and arena numbers that layout hands out itself"
)]

use printpdf::{DictItem, FontId, Op, PdfFontHandle, Pt};

use super::{Pen, UNITS, rounded, units};
use crate::render::{
    layout::{Glyph, Kind, Run},
    used::font_name,
};

/// Glyphs that wait for their operator.
#[derive(Default)]
pub(super) struct Shown {
    /// Codes and the distances between them, in thousandths of the size.
    pieces: Vec<DictItem>,
    /// Codes after the last distance.
    codes: Vec<u8>,
    /// Where a reader's next glyph would stand.
    pen: f32,
}

impl Pen<'_, '_> {
    pub(super) fn text(&mut self, run: &Run) {
        let layout = self.layout;
        let first = run.first as usize;
        let mut rest = &layout.glyphs[first..first + run.count as usize];
        self.color(run.color);
        if self.font.2 != run.spacing {
            self.op(Op::SetCharacterSpacing { multiplier: rounded(run.spacing * UNITS) });
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
                self.op(Op::SetFont { font, size: Pt(rounded(run.size * UNITS)) });
                (self.font.0, self.font.1) = (face, run.size);
            }
            let (dx, dy) = offset.unwrap_or_default();
            self.go(x + dx, self.height - run.y + dy, run.size);
            self.glyphs(part, run);
            x += part.iter().map(|glyph| glyph.advance).sum::<f32>();
        }
    }

    /// Goes to a place: along the line that is open, or to a new one.
    fn go(&mut self, x: f32, y: f32, size: f32) {
        let y = units(y);
        let ahead = x - self.shown.pen;
        if !self.shown.codes.is_empty() && y == self.line.1 && ahead > -size {
            self.apart(ahead, size);
            return;
        }
        self.show();
        let x = units(x);
        let value = vec![DictItem::Int(x - self.line.0), DictItem::Int(y - self.line.1)];
        self.ops.push(Op::Unknown { key: "Td".to_owned(), value });
        self.line = (x, y);
        self.shown.pen = x as f32 / UNITS;
    }

    /// Puts a distance before the next glyph, unless it is too small to write.
    fn apart(&mut self, ahead: f32, size: f32) {
        let em = size.max(0.01) / 1000.0;
        let thousandths = (-ahead / em).round();
        if thousandths != 0.0 {
            let shown = &mut self.shown;
            shown.pieces.push(string(std::mem::take(&mut shown.codes)));
            shown.pieces.push(DictItem::Int(thousandths as i64));
            shown.pen -= thousandths * em;
        }
    }

    fn glyphs(&mut self, part: &[Glyph], run: &Run) {
        self.shown.codes.reserve(2 * part.len());
        if !run.adjusted {
            for glyph in part.iter().filter(|glyph| glyph.kind != Kind::Invisible) {
                let code = self.drawn.used.code(glyph);
                self.shown.codes.extend_from_slice(&code.to_be_bytes());
                self.shown.pen += glyph.advance;
            }
            return;
        }
        // Some stand closer or wider than their widths say.
        let mut at = self.shown.pen;
        for glyph in part.iter().filter(|glyph| glyph.kind != Kind::Invisible) {
            if !self.shown.codes.is_empty() {
                self.apart(at - self.shown.pen, run.size);
            }
            let code = self.drawn.used.code(glyph);
            self.shown.codes.extend_from_slice(&code.to_be_bytes());
            let face = self.layout.fonts.face(glyph.face);
            self.shown.pen += face.advance(glyph.gid) * run.size + run.spacing;
            at += glyph.advance;
        }
    }

    /// Writes what waits.
    pub(super) fn show(&mut self) {
        let shown = &mut self.shown;
        if shown.codes.is_empty() && shown.pieces.is_empty() {
            return;
        }
        let codes = string(std::mem::take(&mut shown.codes));
        let (key, value) = if shown.pieces.is_empty() {
            ("Tj", codes)
        } else {
            let mut pieces = std::mem::take(&mut shown.pieces);
            pieces.push(codes);
            ("TJ", DictItem::Array(pieces))
        };
        self.ops.push(Op::Unknown { key: key.to_owned(), value: vec![value] });
    }
}

/// Codes of glyphs, as they are: hexadecimal digits would be twice as many.
fn string(codes: Vec<u8>) -> DictItem {
    DictItem::String { data: codes, literal: true }
}
