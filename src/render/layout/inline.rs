//! Inline content: from text to glyphs, and from glyphs to lines.

use super::{Fragment, Glyph, Item, Kind, Layout, Run, lines};
use crate::render::{
    css::{
        cascade::StyleId,
        style::{Align, Display, LineHeight, Style, WhiteSpace},
        value::Rgb,
    },
    dom::{NodeId, Tag},
    font::{FontSet, Source, is_invisible, is_modifier},
};

/// What white space came since the last glyph.
#[derive(Clone, Copy)]
struct Gather {
    /// The first glyph of the paragraph.
    start: usize,
    /// A space is due before the next glyph, in this style.
    space: Option<StyleId>,
}

impl Layout<'_> {
    /// Lays out inline siblings as one paragraph; one fragment for each line.
    pub(super) fn paragraph(
        &mut self,
        nodes: &[NodeId],
        block: StyleId,
        width: f32,
    ) -> Vec<Fragment> {
        let start = self.glyphs.len();
        let mut gather = Gather { start, space: None };
        for node in nodes {
            self.gather(*node, &mut gather);
        }
        let nowrap = self.styles.by_id(block).white_space == WhiteSpace::Nowrap;
        let limit = if nowrap { f32::INFINITY } else { width };
        let lines = lines::break_lines(&self.glyphs[start..], limit);
        lines
            .into_iter()
            .map(|line| self.line(start + line.start..start + line.end, block, width))
            .collect()
    }

    /// One line of text outside of the tree: its glyphs and width.
    pub(in crate::render) fn text_line(
        &mut self,
        text: &str,
        size: f32,
        bold: bool,
        color: Rgb,
    ) -> (Run, f32) {
        let first = self.glyphs.len();
        let primary = FontSet::primary(crate::render::font::Family::Noto, bold);
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            let modifier = rest.next_if(|next| is_modifier(*next)).map_or(0, u32::from);
            self.glyph(character, modifier, (primary, size, 0.0), 0);
        }
        let width = self.glyphs[first..].iter().map(|glyph| glyph.advance).sum();
        let run = Run {
            x: 0.0,
            y: 0.0,
            size,
            spacing: 0.0,
            color,
            first: first as u32,
            count: (self.glyphs.len() - first) as u32,
        };
        (run, width)
    }

    fn gather(&mut self, node: NodeId, gather: &mut Gather) {
        let id = self.styles.id(node);
        let styles = self.styles;
        let style = styles.by_id(id);
        if style.display == Display::None {
            return;
        }
        let tree = self.tree;
        match tree.node(node).tag {
            None => self.text(tree.text(tree.node(node)), style, id, gather),
            Some(Tag::Br) => self.hard_break(id, gather),
            Some(_) => {
                if style.is_boxed() {
                    self.ignored = Some(
                        "an inline element has no box: no margin, padding, border, background or width",
                    );
                }
                for child in tree.children(node) {
                    self.gather(child, gather);
                }
            }
        }
    }

    fn text(&mut self, text: &str, style: &Style, id: StyleId, gather: &mut Gather) {
        let primary = FontSet::primary(style.family, style.bold);
        let font = (primary, style.size, style.letter_spacing);
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '\n' if style.white_space == WhiteSpace::PreLine => self.hard_break(id, gather),
                ' ' | '\n' | '\t' | '\r' => {
                    if self.glyphs.len() > gather.start
                        && self.glyphs.last().is_some_and(|last| last.kind != Kind::Break)
                    {
                        gather.space.get_or_insert(id);
                    }
                }
                '\u{ad}' => {}
                _ => {
                    if let Some(space) = gather.space.take() {
                        let style = self.styles.by_id(space);
                        let primary = FontSet::primary(style.family, style.bold);
                        self.glyph(' ', 0, (primary, style.size, style.letter_spacing), space);
                    }
                    let modifier = rest.next_if(|next| is_modifier(*next)).map_or(0, u32::from);
                    self.glyph(character, modifier, font, id);
                }
            }
        }
    }

    fn hard_break(&mut self, style: StyleId, gather: &mut Gather) {
        gather.space = None;
        self.glyphs.push(Glyph {
            base: 0x0a,
            modifier: 0,
            advance: 0.0,
            style,
            gid: 0,
            face: 0,
            kind: Kind::Break,
        });
    }

    #[inline]
    fn glyph(&mut self, character: char, modifier: u32, font: (u8, f32, f32), style: StyleId) {
        let (primary, size, spacing) = font;
        let base = u32::from(character);
        let mut glyph =
            Glyph { base, modifier, advance: 0.0, style, gid: 0, face: primary, kind: Kind::Drawn };
        if base >= 0x200b && is_invisible(character) {
            glyph.kind = Kind::Invisible;
        } else if let Some((face, gid)) = self.fonts.pick(primary, Source { base, modifier }) {
            glyph.face = face;
            glyph.gid = gid;
            glyph.advance = self.fonts.face(face).advance(gid) * size + spacing;
            if base == 0x20 {
                glyph.kind = Kind::Space;
            }
        } else {
            self.missing.push(base);
            if modifier != 0 {
                self.missing.push(modifier);
            }
        }
        self.glyphs.push(glyph);
    }

    /// The glyphs of one line as runs on a common baseline.
    fn line(&self, range: std::ops::Range<usize>, block: StyleId, width: f32) -> Fragment {
        let (mut above, mut below) = self.reach(block);
        let mut out = Fragment::default();
        let mut x = 0.0;
        let mut at = range.start;
        let mut spacing = 0.0;
        while at < range.end {
            let Glyph { face, style: id, .. } = self.glyphs[at];
            let first = at;
            let from = x;
            while at < range.end && self.glyphs[at].face == face && self.glyphs[at].style == id {
                x += self.glyphs[at].advance;
                at += 1;
            }
            let style = self.styles.by_id(id);
            let (run_above, run_below) = self.reach(id);
            above = above.max(run_above);
            below = below.max(run_below);
            spacing = style.letter_spacing;
            out.items.push(Item::Text(Run {
                x: from,
                y: 0.0,
                size: style.size,
                spacing: style.letter_spacing,
                color: style.color,
                first: first as u32,
                count: (at - first) as u32,
            }));
        }
        // Letter spacing follows the last letter too, but must not shift it.
        let left = if width.is_finite() { width - x + spacing } else { 0.0 };
        let dx = match self.styles.by_id(block).text_align {
            Align::End => left,
            Align::Center => left / 2.0,
            Align::Start | Align::SpaceBetween | Align::Stretch | Align::Baseline => 0.0,
        };
        for item in &mut out.items {
            item.shift(dx, above);
        }
        out.used = x;
        out.baseline = Some(above);
        out.height = above + below;
        out
    }

    /// How far a line reaches above and below the baseline for one style.
    fn reach(&self, id: StyleId) -> (f32, f32) {
        let style = self.styles.by_id(id);
        let face = self.fonts.face(FontSet::primary(style.family, style.bold));
        let height = match style.line_height {
            LineHeight::Times(times) => times * style.size,
            LineHeight::Points(points) => points,
        };
        let (ascent, descent) = (face.ascent * style.size, face.descent * style.size);
        let leading = (height - ascent - descent) / 2.0;
        (leading + ascent, leading + descent)
    }
}
