//! From characters to glyphs: marks, variants, scripts that are shaped, kerning and
//! the space between scripts.

use super::{Glyph, Kind, Layout};
use crate::render::{
    dom::NodeId,
    font::{
        CLUSTER, Source, is_complex, is_invisible, is_modifier, is_narrow, is_right_to_left,
        is_selector, is_wide,
    },
};

/// The space between Japanese and other letters, in em (JIS X 4051 §4.7).
const AUTOSPACE: f32 = 0.25;

/// How text is set: its face, size and spaces.
#[derive(Clone, Copy)]
pub(super) struct Type {
    pub(super) face: u8,
    pub(super) size: f32,
    pub(super) spacing: f32,
    pub(super) kerning: bool,
    pub(super) autospace: bool,
    pub(super) glued: bool,
}

impl Layout<'_> {
    /// Characters without white space that collapses.
    pub(super) fn characters(&mut self, text: &str, font: Type, node: NodeId) {
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
                self.missing.extend(all);
            } else {
                self.missing.extend(lacking);
            }
            return;
        };
        let mut starts: Vec<usize> = glyphs.iter().map(|glyph| glyph.cluster).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut last = None;
        for shaped in glyphs {
            let own = starts.partition_point(|start| *start <= shaped.cluster);
            let own = starts.get(own).copied();
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

    #[inline]
    pub(super) fn glyph(&mut self, character: char, modifier: u32, font: Type, node: NodeId) {
        let base = u32::from(character);
        let Type { face, glued, .. } = font;
        let mut glyph =
            Glyph { base, modifier, advance: 0.0, node, gid: 0, face, kind: Kind::Drawn, glued };
        // Japanese is neither.
        let odd = base >= 0x590 && !(0x2e80..0xfb00).contains(&base);
        if odd && base >= 0x200b && is_invisible(character) {
            glyph.kind = Kind::Invisible;
        } else if odd && is_right_to_left(character) {
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
    /// scripts. Letters are kerned across the edge of an element too, where it
    /// changes no more than their colour.
    #[inline]
    fn adjust(&mut self, glyph: &Glyph, font: Type) {
        let styles = self.styles;
        let own = self.glyphs.get_mut(self.start..).unwrap_or_default();
        let Some(last) = own.last_mut() else { return };
        let alike = last.node == glyph.node || {
            let before = styles.style(last.node);
            before.kerning && (before.size, before.letter_spacing) == (font.size, font.spacing)
        };
        if font.kerning && alike && last.face == glyph.face {
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
}

/// Where a run that is shaped together ends: after the marks of one character,
/// or after all neighbours of the same kind.
fn cluster_end(text: &str, from: usize) -> usize {
    let mut rest = text.get(from..).unwrap_or_default().char_indices();
    let complex = rest.next().is_some_and(|(_, first)| is_complex(first));
    let ends = |(_, next): &(usize, char)| {
        !(is_modifier(*next) || is_invisible(*next) || complex && is_complex(*next))
    };
    rest.find(ends).map_or(text.len(), |(at, _)| from + at)
}
