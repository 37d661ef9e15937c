//! Inline content: from text to glyphs, and from glyphs to lines.

use std::{collections::VecDeque, ops::Range};

use super::{BOX, Fragment, Glyph, Kind, Layout, Run, flow::is_definite, glyphs::Type, lines};
use crate::render::{
    css::{
        style::{Display, Position, Style, WhiteSpace},
        value::Rgb,
    },
    dom::{NONE, NodeId, Rare, Tag},
    error::RenderError,
    filters::grouped,
    font::FamilyId,
};

/// A paragraph while its text is gathered.
struct Gather {
    /// The first glyph of the paragraph.
    start: usize,
    /// A space is due before the next glyph, in this element's style.
    space: Option<NodeId>,
    /// Lines may end within it at all.
    wraps: bool,
    /// The boxes that stand on its lines, in their order.
    boxes: VecDeque<Fragment>,
    /// The next time it may hold something else.
    varies: bool,
}

/// The text of a paragraph that was measured: its glyphs do not depend on the
/// width that it gets.
#[derive(Debug)]
pub(super) struct Paragraph {
    range: Range<usize>,
    /// Where its lines may end; empty until somebody asked.
    may_end: Vec<bool>,
}

impl Layout<'_> {
    /// Lays out inline siblings as one paragraph; adds a fragment for each line.
    pub(super) fn paragraph(
        &mut self,
        nodes: &[NodeId],
        block: NodeId,
        width: f32,
        made: &mut Vec<Fragment>,
    ) -> Result<(), RenderError> {
        let styles = self.styles;
        let style = styles.style(block);
        let wraps = style.white_space != WhiteSpace::Nowrap;
        let Paragraph { range, mut may_end } = match self.paragraphs.remove(&nodes[0]) {
            Some(known) => known,
            None => self.gathered(nodes, width, wraps)?,
        };
        self.spend(range.len() + BOX)?;
        let fit = lines::Fit {
            width: if wraps { width } else { f32::INFINITY },
            indent: style.indent,
            anywhere: is_definite(width),
        };
        let mut lines = std::mem::take(&mut self.spare.lines);
        lines::break_lines(&self.glyphs[range.clone()], fit, &mut may_end, &mut lines);
        let mut indent = style.indent;
        made.extend(lines.drain(..).map(|line| {
            let indent = std::mem::take(&mut indent);
            let line = range.start + line.start..range.start + line.end;
            self.line(line, block, (indent, width))
        }));
        self.spare.lines = lines;
        // Measured again and again, laid out once: kept for all but the last time.
        if self.depth > 0 && range.end <= self.kept {
            self.paragraphs.insert(nodes[0], Paragraph { range, may_end });
        }
        Ok(())
    }

    /// The glyphs of a paragraph.
    fn gathered(
        &mut self,
        nodes: &[NodeId],
        width: f32,
        wraps: bool,
    ) -> Result<Paragraph, RenderError> {
        // Boxes first: the glyphs within them are not those of this paragraph.
        let mut boxes = VecDeque::new();
        for node in nodes {
            self.make_boxes(*node, width, &mut boxes)?;
        }
        let start = self.glyphs.len();
        self.start = start;
        let varies = !boxes.is_empty();
        let mut gather = Gather { start, space: None, wraps, boxes, varies };
        for node in nodes {
            self.gather(*node, &mut gather)?;
        }
        let end = self.glyphs.len();
        if self.depth > 0 && !gather.varies {
            self.kept = end;
        }
        Ok(Paragraph { range: start..end, may_end: Vec::new() })
    }

    /// One line of text outside of the tree: its glyphs and width.
    pub(in crate::render) fn text_line(
        &mut self,
        text: &str,
        family: FamilyId,
        (size, bold): (f32, bool),
        color: Rgb,
    ) -> (Run, f32) {
        let first = self.glyphs.len();
        self.start = first;
        let face = self.fonts.primary(family, bold);
        let font = Type { face, size, spacing: 0.0, kerning: true, autospace: false, glued: false };
        self.characters(text, font, NONE);
        let own = &self.glyphs[first..];
        let width: f32 = own.iter().map(|glyph| glyph.advance).sum();
        let natural: f32 =
            own.iter().map(|glyph| self.fonts.face(glyph.face).advance(glyph.gid)).sum();
        let run = Run {
            x: 0.0,
            y: 0.0,
            size,
            spacing: 0.0,
            color,
            adjusted: (width - natural * size).abs() > 0.005,
            first: first as u32,
            count: own.len() as u32,
        };
        (run, width)
    }

    fn gather(&mut self, node: NodeId, gather: &mut Gather) -> Result<(), RenderError> {
        let styles = self.styles;
        let style = styles.style(node);
        if style.display == Display::None {
            return Ok(());
        }
        let tree = self.tree;
        let Some(tag) = tree.node(node).tag else {
            self.text(tree.text(tree.node(node)), style, node, gather);
            return Ok(());
        };
        match tag {
            Tag::Br => self.hard_break(node, gather),
            Tag::Carry => {
                let decimals = tree.rare(node, Rare::Decimals).map(str::parse);
                let decimals = decimals.transpose().ok().flatten().unwrap_or(0u32).min(6);
                let japanese = tree.rare(0, Rare::Lang).is_none_or(|tag| tag.starts_with("ja"));
                gather.varies = true;
                let text = grouped_units(self.carry, decimals, japanese);
                self.text(&text, style, node, gather);
            }
            _ if style.display == Display::InlineBlock => self.object(node, gather),
            _ => {
                if style.is_boxed() || style.position != Position::Static {
                    let what = "an inline element has no box: no margin, padding, border, \
                                background, width or position; `display: inline-block` has";
                    self.ignored = Some((node, what));
                }
                for child in tree.children(node) {
                    self.gather(child, gather)?;
                }
            }
        }
        Ok(())
    }

    /// Lays out the boxes that stand on the lines of a paragraph.
    fn make_boxes(
        &mut self,
        node: NodeId,
        width: f32,
        boxes: &mut VecDeque<Fragment>,
    ) -> Result<(), RenderError> {
        let (styles, tree) = (self.styles, self.tree);
        let style = styles.style(node);
        if tree.node(node).tag.is_none() || style.display == Display::None {
            return Ok(());
        }
        if style.display != Display::InlineBlock {
            return tree.children(node).try_for_each(|child| self.make_boxes(child, width, boxes));
        }
        let [top, right, bottom, left] = style.margin;
        let own = if is_definite(width) {
            self.fit(node, (width - left - right).max(0.0))?
        } else {
            width
        };
        let piece = self.boxed(node, own, None)?;
        let own = if is_definite(own) { own } else { piece.used };
        let mut boxed = Fragment { used: own + left + right, ..Fragment::default() };
        let baseline = piece.baseline.map(|baseline| baseline + top);
        boxed.height = top + piece.height + bottom;
        boxed.place(piece, left, top);
        boxed.baseline = baseline;
        boxes.push_back(boxed);
        Ok(())
    }

    /// A box that stands on the line like a letter.
    fn object(&mut self, node: NodeId, gather: &mut Gather) {
        self.due_space(gather);
        let Some(boxed) = gather.boxes.pop_front() else { return };
        let number = self.objects.len() as u32;
        self.glyphs.push(Glyph {
            base: 0xfffc,
            modifier: number,
            advance: boxed.used,
            node,
            gid: 0,
            face: 0,
            kind: Kind::Object,
            glued: false,
        });
        self.objects.push(boxed);
    }

    fn due_space(&mut self, gather: &mut Gather) {
        if let Some(space) = gather.space.take() {
            let font = self.type_of(self.styles.style(space), gather.wraps);
            self.glyph(' ', 0, font, space);
        }
    }

    fn type_of(&self, style: &Style, wraps: bool) -> Type {
        Type {
            face: self.fonts.primary(style.family, style.bold),
            size: style.size,
            spacing: style.letter_spacing,
            kerning: style.kerning,
            autospace: style.autospace,
            glued: wraps && style.white_space == WhiteSpace::Nowrap,
        }
    }

    fn text(&mut self, text: &str, style: &Style, node: NodeId, gather: &mut Gather) {
        let font = self.type_of(style, gather.wraps);
        let blank = |character: char| matches!(character, ' ' | '\n' | '\t' | '\r');
        let upper = if style.uppercase { text.to_uppercase() } else { String::new() };
        let mut rest = if style.uppercase { &*upper } else { text };
        while let Some(first) = rest.chars().next() {
            if blank(first) {
                if first == '\n' && style.white_space == WhiteSpace::PreLine {
                    self.hard_break(node, gather);
                } else if self.glyphs.len() > gather.start
                    && self.glyphs.last().is_some_and(|last| last.kind != Kind::Break)
                {
                    gather.space.get_or_insert(node);
                }
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
                continue;
            }
            self.due_space(gather);
            let end = rest.find(blank).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            self.characters(word, font, node);
            rest = after;
        }
    }

    fn hard_break(&mut self, node: NodeId, gather: &mut Gather) {
        gather.space = None;
        self.glyphs.push(Glyph {
            base: 0x0a,
            modifier: 0,
            advance: 0.0,
            node,
            gid: 0,
            face: 0,
            kind: Kind::Break,
            glued: false,
        });
    }
}

/// Minor units in groups of three; a negative sum has △ in Japanese, else a minus.
fn grouped_units(units: i64, decimals: u32, japanese: bool) -> String {
    let sign = match (units < 0, japanese) {
        (false, _) => "",
        (true, true) => "△",
        (true, false) => "−",
    };
    let scale = 10u64.pow(decimals);
    let (whole, part) = (units.unsigned_abs() / scale, units.unsigned_abs() % scale);
    let whole = grouped(&whole.to_string());
    if decimals == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{part:0width$}", width = decimals as usize)
}
