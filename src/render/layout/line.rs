//! One line: its runs of glyphs and its boxes on a common baseline.

use std::ops::Range;

use super::{Area, Fragment, Glyph, Item, Kind, Layout, Run, Shape, flow::is_definite};
use crate::render::{
    css::style::{Align, LineHeight, Style},
    dom::{NONE, NodeId, Tag},
};

/// A line under construction.
struct Line {
    out: Fragment,
    /// How far it reaches above and below the baseline.
    above: f32,
    below: f32,
    x: f32,
    /// The letter spacing after the last letter.
    spacing: f32,
    underlines: Vec<Item>,
    /// Boxes: where they stand, how far above the baseline, and their numbers.
    objects: Vec<(f32, f32, u32)>,
}

impl Layout<'_> {
    /// The glyphs of one line.
    pub(super) fn line(
        &self,
        range: Range<usize>,
        block: NodeId,
        (indent, width): (f32, f32),
    ) -> Fragment {
        let (above, below) = self.reach(block);
        let mut line = Line {
            out: Fragment::default(),
            above,
            below,
            x: indent,
            spacing: 0.0,
            underlines: Vec::new(),
            objects: Vec::new(),
        };
        let mut at = range.start;
        while at < range.end {
            at = if self.glyphs[at].kind == Kind::Object {
                self.put_object(&mut line, at)
            } else {
                self.put_run(&mut line, at..range.end, block)
            };
        }
        let Line { mut out, above, below, x, spacing, mut underlines, objects } = line;
        out.items.append(&mut underlines);
        // Letter spacing follows the last letter too, but must not shift it.
        let left = if is_definite(width) { width - x + spacing } else { 0.0 };
        let dx = match self.styles.style(block).text_align {
            Align::End => left,
            Align::Center => left / 2.0,
            _ => 0.0,
        };
        for item in &mut out.items {
            item.shift(dx, above);
        }
        for (x, over, number) in objects {
            out.place(self.objects[number as usize].clone(), x + dx, above - over);
        }
        out.used = x;
        out.baseline = Some(above);
        out.height = above + below;
        out
    }

    /// Puts a box on the line; gives the next glyph.
    fn put_object(&self, line: &mut Line, at: usize) -> usize {
        let Glyph { node, modifier, advance, .. } = self.glyphs[at];
        let piece = &self.objects[modifier as usize];
        let over = object_above(piece, self.styles.style(node));
        line.above = line.above.max(over);
        line.below = line.below.max(piece.height - over);
        line.objects.push((line.x, over, modifier));
        line.x += advance;
        line.spacing = 0.0;
        at + 1
    }

    /// Puts glyphs of one element and face on the line; gives the next glyph.
    fn put_run(&self, line: &mut Line, range: Range<usize>, block: NodeId) -> usize {
        let Range { start: first, end } = range;
        let Glyph { face, node, .. } = self.glyphs[first];
        let style = self.styles.style(node);
        let from = line.x;
        // What is only measured draws nothing.
        let drawn = !self.is_measuring();
        let mut natural = 0.0;
        let mut at = first;
        while at < end {
            let glyph = &self.glyphs[at];
            if glyph.face != face || glyph.node != node || glyph.kind == Kind::Object {
                break;
            }
            line.x += glyph.advance;
            if drawn {
                natural += self.fonts.face(face).advance(glyph.gid);
            }
            at += 1;
        }
        let (above, below) = self.reach(node);
        let shift = match style.vertical_align {
            Align::Super => -0.34 * style.size,
            Align::Sub => 0.2 * style.size,
            _ => 0.0,
        };
        line.above = line.above.max(above - shift);
        line.below = line.below.max(below + shift);
        line.spacing = style.letter_spacing;
        if !drawn {
            return at;
        }
        let count = (at - first) as u32;
        let width = line.x - from;
        let plain = natural * style.size + style.letter_spacing * count as f32;
        let run = Run {
            x: from,
            y: shift,
            size: style.size,
            spacing: style.letter_spacing,
            color: style.color,
            adjusted: (width - plain).abs() > 0.005,
            first: first as u32,
            count,
        };
        if style.underline {
            let (y, h) = (shift + 0.11 * style.size, 0.06 * style.size);
            let area = Area { x: from, y, w: width, h, color: style.color };
            line.underlines.push(Item::artifact(Shape::Rule(area)));
        }
        line.out.items.push(Item::of(self.owner(node, block), Shape::Text(run)));
        at
    }

    /// The element that text is content of: its link, or else its block.
    fn owner(&self, text: NodeId, block: NodeId) -> NodeId {
        let mut node = text;
        while node != block && node != NONE {
            if self.tree.node(node).tag == Some(Tag::A) {
                return node;
            }
            node = self.tree.node(node).parent;
        }
        block
    }

    /// How far a line reaches above and below the baseline for one element.
    fn reach(&self, node: NodeId) -> (f32, f32) {
        let style = self.styles.style(node);
        let face = self.fonts.face(self.fonts.primary(style.family, style.bold));
        let height = match style.line_height {
            LineHeight::Times(times) => times * style.size,
            LineHeight::Points(points) => points,
        };
        let (ascent, descent) = (face.ascent * style.size, face.descent * style.size);
        let leading = (height - ascent - descent) / 2.0;
        (leading + ascent, leading + descent)
    }
}

/// How far a box on a line reaches above the baseline.
fn object_above(piece: &Fragment, style: &Style) -> f32 {
    match style.vertical_align {
        // A quarter of an em is about half the height of an x.
        Align::Center => piece.height / 2.0 + 0.25 * style.size,
        _ => piece.baseline.unwrap_or(piece.height),
    }
}
