//! Inline content: from text to glyphs, and from glyphs to lines.

use super::{Area, Fragment, Glyph, Item, Kind, Layout, Run, Shape, flow::is_definite, lines};
use crate::render::{
    css::{
        style::{Align, Display, LineHeight, Style, WhiteSpace},
        value::Rgb,
    },
    dom::{NONE, NodeId, Rare, Tag},
    error::RenderError,
    filters::grouped,
    font::{
        CLUSTER, FamilyId, Source, is_complex, is_invisible, is_modifier, is_narrow,
        is_right_to_left, is_selector, is_wide,
    },
};

/// The space between Japanese and other letters, in em (JIS X 4051 §4.7).
const AUTOSPACE: f32 = 0.25;

/// What white space came since the last glyph.
#[derive(Clone, Copy)]
struct Gather {
    /// The first glyph of the paragraph.
    start: usize,
    /// A space is due before the next glyph, in this element's style.
    space: Option<NodeId>,
    /// The width of the paragraph.
    width: f32,
    /// Lines may end within it at all.
    wraps: bool,
}

/// How text is set: its face, size and spaces.
#[derive(Clone, Copy)]
struct Type {
    face: u8,
    size: f32,
    spacing: f32,
    kerning: bool,
    autospace: bool,
    glued: bool,
}

impl Layout<'_> {
    /// Lays out inline siblings as one paragraph; one fragment for each line.
    pub(super) fn paragraph(
        &mut self,
        nodes: &[NodeId],
        block: NodeId,
        width: f32,
    ) -> Result<Vec<Fragment>, RenderError> {
        let styles = self.styles;
        let style = styles.style(block);
        let start = self.glyphs.len();
        let wraps = style.white_space != WhiteSpace::Nowrap;
        let mut gather = Gather { start, space: None, width, wraps };
        for node in nodes {
            self.gather(*node, &mut gather)?;
        }
        let fit = lines::Fit {
            width: if wraps { width } else { f32::INFINITY },
            indent: style.indent,
            anywhere: is_definite(width),
        };
        let lines = lines::break_lines(&self.glyphs[start..], fit);
        let mut indent = style.indent;
        Ok(lines
            .into_iter()
            .map(|line| {
                let indent = std::mem::take(&mut indent);
                self.line(start + line.start..start + line.end, block, (indent, width))
            })
            .collect())
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
                let text = grouped_units(self.carry, decimals, japanese);
                self.text(&text, style, node, gather);
            }
            _ if style.display == Display::InlineBlock => self.object(node, gather)?,
            _ => {
                if style.is_boxed() {
                    self.ignored = Some(
                        "an inline element has no box: no margin, padding, border, background or \
                         width; `display: inline-block` has",
                    );
                }
                for child in tree.children(node) {
                    self.gather(child, gather)?;
                }
            }
        }
        Ok(())
    }

    /// A box that stands on the line like a letter.
    fn object(&mut self, node: NodeId, gather: &mut Gather) -> Result<(), RenderError> {
        let styles = self.styles;
        let style = styles.style(node);
        self.due_space(gather);
        let [_, right, _, left] = style.margin;
        let own = if is_definite(gather.width) {
            self.fit(node, (gather.width - left - right).max(0.0))?
        } else {
            gather.width
        };
        let piece = self.boxed(node, own, None)?;
        let own = if is_definite(own) { own } else { piece.used };
        let mut boxed = Fragment { used: own + left + right, ..Fragment::default() };
        boxed.baseline = piece.baseline;
        boxed.height = piece.height;
        boxed.place(piece, left, 0.0);
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
        Ok(())
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
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if blank(first) {
                if first == '\n' && style.white_space == WhiteSpace::PreLine {
                    self.hard_break(node, gather);
                } else if self.glyphs.len() > gather.start
                    && self.glyphs.last().is_some_and(|last| last.kind != Kind::Break)
                {
                    gather.space.get_or_insert(node);
                }
                rest = &rest[1..];
                continue;
            }
            self.due_space(gather);
            let end = rest.find(blank).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            self.characters(word, font, node);
            rest = after;
        }
    }

    /// Characters without white space that collapses.
    fn characters(&mut self, text: &str, font: Type, node: NodeId) {
        let mut rest = text.char_indices().peekable();
        while let Some((at, character)) = rest.next() {
            if character == '\u{ad}' {
                continue;
            }
            let next = rest.peek().map(|(_, next)| *next);
            if character.is_ascii() && next.is_none_or(|next| next.is_ascii()) {
                self.glyph(character, 0, font, node);
                continue;
            }
            let modifier = next.filter(|next| is_modifier(*next));
            if modifier.is_some() {
                rest.next();
            }
            let more = rest.peek().is_some_and(|(_, next)| is_modifier(*next));
            if is_complex(character) || more || !self.is_simple(character, modifier, font) {
                let end = cluster_end(text, at);
                while rest.next_if(|(next, _)| *next < end).is_some() {}
                self.shaped(text.get(at..end).unwrap_or_default(), font, node);
                continue;
            }
            self.glyph(character, modifier.map_or(0, u32::from), font, node);
        }
    }

    /// Whether one glyph stands for a character and its mark.
    fn is_simple(&self, character: char, modifier: Option<char>, font: Type) -> bool {
        let Some(modifier) = modifier.map(u32::from) else { return true };
        is_selector(modifier)
            || self.fonts.pick(font.face, Source { base: character.into(), modifier }).is_some()
    }

    /// Text that no glyph for each character can show.
    fn shaped(&mut self, text: &str, font: Type, node: NodeId) {
        let Some((face, glyphs)) = self.fonts.shape(font.face, text) else {
            let drawn = |c: &char| {
                self.fonts.pick(font.face, Source { base: (*c).into(), modifier: 0 }).is_none()
            };
            let lacking: Vec<u32> = text.chars().filter(drawn).map(u32::from).collect();
            let all = text.chars().map(u32::from);
            // Every character has a glyph, but not in one face: none can be placed.
            if lacking.is_empty() {
                self.missing.extend(all)
            } else {
                self.missing.extend(lacking)
            }
            return;
        };
        let mut starts: Vec<usize> = glyphs.iter().map(|glyph| glyph.cluster).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut last = None;
        for shaped in glyphs {
            let own = starts.iter().find(|start| **start > shaped.cluster).copied();
            let cluster = text.get(shaped.cluster..own.unwrap_or(text.len())).unwrap_or_default();
            // The first glyph of a cluster stands for its text, the others for none.
            let first = last.replace(shaped.cluster) != Some(shaped.cluster);
            let base = cluster.chars().next().map_or(0, u32::from);
            let modifier = CLUSTER | self.cluster(if first { cluster } else { "" });
            if shaped.dx != 0.0 || shaped.dy != 0.0 {
                let offset = (shaped.dx * font.size, shaped.dy * font.size);
                self.offsets.insert(self.glyphs.len() as u32, offset);
            }
            self.glyphs.push(Glyph {
                base,
                modifier,
                advance: shaped.advance * font.size + font.spacing,
                node,
                gid: shaped.gid,
                face,
                kind: Kind::Drawn,
                glued: font.glued,
            });
        }
    }

    /// The number of a text that several glyphs stand for.
    fn cluster(&mut self, text: &str) -> u32 {
        if let Some(known) = self.cluster_numbers.get(text) {
            return *known;
        }
        let number = self.clusters.len() as u32;
        self.clusters.push(text.to_owned());
        self.cluster_numbers.insert(text.to_owned(), number);
        number
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

    #[inline]
    fn glyph(&mut self, character: char, modifier: u32, font: Type, node: NodeId) {
        let base = u32::from(character);
        let Type { face, glued, .. } = font;
        let mut glyph =
            Glyph { base, modifier, advance: 0.0, node, gid: 0, face, kind: Kind::Drawn, glued };
        if base >= 0x200b && is_invisible(character) {
            glyph.kind = Kind::Invisible;
        } else if base >= 0x590 && is_right_to_left(character) {
            self.missing.push(base);
        } else if let Some((face, gid)) = self.fonts.pick(font.face, Source { base, modifier }) {
            glyph.face = face;
            glyph.gid = gid;
            glyph.advance = self.fonts.face(face).advance(gid) * font.size + font.spacing;
            if base == 0x20 {
                glyph.kind = Kind::Space;
            }
            self.adjust(&glyph, font);
        } else {
            self.missing.push(base);
            if modifier != 0 {
                self.missing.push(modifier);
            }
        }
        self.glyphs.push(glyph);
    }

    /// Moves what follows the last glyph: kerning, and the space between
    /// scripts.
    #[inline]
    fn adjust(&mut self, glyph: &Glyph, font: Type) {
        let Some(last) = self.glyphs.last_mut() else { return };
        if last.node != glyph.node && !font.autospace {
            return;
        }
        if font.kerning && last.node == glyph.node && last.face == glyph.face {
            let kern = self.fonts.face(glyph.face).kern(last.base, glyph.base);
            if kern != 0.0 {
                last.advance += kern * font.size;
            }
        }
        if font.autospace
            && last.kind == Kind::Drawn
            && (is_wide(last.base) && is_narrow(glyph.base)
                || is_narrow(last.base) && is_wide(glyph.base))
        {
            last.advance += AUTOSPACE * font.size;
        }
    }

    /// The glyphs of one line as runs on a common baseline.
    fn line(
        &self,
        range: std::ops::Range<usize>,
        block: NodeId,
        (indent, width): (f32, f32),
    ) -> Fragment {
        let (mut above, mut below) = self.reach(block);
        let mut out = Fragment::default();
        let mut x = indent;
        let mut at = range.start;
        let mut spacing = 0.0;
        let mut underlines = Vec::new();
        let mut objects = Vec::new();
        while at < range.end {
            let Glyph { face, node, kind, modifier, advance, .. } = self.glyphs[at];
            let style = self.styles.style(node);
            let from = x;
            if kind == Kind::Object {
                let piece = &self.objects[modifier as usize];
                let over = self.object_above(piece, style);
                above = above.max(over);
                below = below.max(piece.height - over);
                objects.push((x, over, modifier));
                x += advance;
                at += 1;
                spacing = 0.0;
                continue;
            }
            let first = at;
            let mut natural = 0.0;
            while at < range.end && self.glyphs[at].face == face && self.same_run(node, at) {
                let glyph = &self.glyphs[at];
                x += glyph.advance;
                natural += self.fonts.face(face).advance(glyph.gid);
                at += 1;
            }
            let (run_above, run_below) = self.reach(node);
            let shift = match style.vertical_align {
                Align::Super => -0.34 * style.size,
                Align::Sub => 0.2 * style.size,
                _ => 0.0,
            };
            above = above.max(run_above - shift);
            below = below.max(run_below + shift);
            spacing = style.letter_spacing;
            let count = (at - first) as u32;
            let plain = natural * style.size + spacing * count as f32;
            let run = Run {
                x: from,
                y: shift,
                size: style.size,
                spacing,
                color: style.color,
                adjusted: (x - from - plain).abs() > 0.005,
                first: first as u32,
                count,
            };
            if style.underline {
                let area = Area {
                    x: from,
                    y: shift + 0.11 * style.size,
                    w: x - from,
                    h: 0.06 * style.size,
                    color: style.color,
                };
                underlines.push(Item::artifact(Shape::Rule(area)));
            }
            out.items.push(Item::of(self.owner(node, block), Shape::Text(run)));
        }
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

    /// Whether the glyph goes on in the run that this element began.
    fn same_run(&self, node: NodeId, at: usize) -> bool {
        let glyph = &self.glyphs[at];
        glyph.node == node && glyph.kind != Kind::Object
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

    /// How far a box on a line reaches above the baseline.
    fn object_above(&self, piece: &Fragment, style: &Style) -> f32 {
        match style.vertical_align {
            // A quarter of an em is about half the height of an x.
            Align::Center => piece.height / 2.0 + 0.25 * style.size,
            _ => piece.baseline.unwrap_or(piece.height),
        }
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

/// Where a run that is shaped together ends: after the marks of one character,
/// or after all neighbours of the same kind.
fn cluster_end(text: &str, from: usize) -> usize {
    let mut rest = text.get(from..).unwrap_or_default().char_indices();
    let complex = rest.next().is_some_and(|(_, first)| is_complex(first));
    let ends = |(_, next): &(usize, char)| {
        !is_modifier(*next) && !is_invisible(*next) && !(complex && is_complex(*next))
    };
    rest.find(ends).map_or(text.len(), |(at, _)| from + at)
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
