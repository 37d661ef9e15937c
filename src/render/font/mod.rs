//! The bundled fonts: from a character to a glyph, and from the glyphs of a
//! document to embedded font programs.
//!
//! Noto Sans JP comes first and `BIZ UDPGothic` is its fallback (or the other way
//! round where a style asks for it). A character that neither has is an error
//! that names it: a box in the place of somebody's name is never printed.
//!
//! Text is not shaped beyond composing a base with its mark and choosing
//! ideographic variants; scripts that need more have no glyphs here and are
//! refused as missing. A variation selector that no face knows is dropped, so
//! that the base glyph stands alone.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "byte formats of fonts that are part of the program; every offset was checked when the face was loaded"
)]

mod bits;
pub(crate) mod face;
mod packed;
#[cfg(test)]
mod tests;

use face::Face;
use unicode_normalization::char::{compose, is_combining_mark};

/// A family of two faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Noto Sans JP, the default.
    Noto,
    /// `BIZ UDPGothic`, a universal-design face.
    BizUdp,
}

/// One of the four faces: the family and the weight.
pub(crate) type FaceId = u8;

/// The faces, in the order regular and bold of each [`Family`].
#[derive(Debug)]
pub(crate) struct FontSet {
    faces: [Face; 4],
}

/// What stands in the text for one glyph: a character and what modifies it
/// (a variation selector or a combining mark; 0 if nothing does).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The character.
    pub(crate) base: u32,
    /// Its selector or mark.
    pub(crate) modifier: u32,
}

impl FontSet {
    /// Loads and prepares the bundled fonts; takes a fraction of a second.
    pub(crate) fn bundled() -> Option<Self> {
        Some(Self {
            faces: [
                Face::load(include_bytes!("../../../fonts/NotoSansJP-Regular.ttf"), false)?,
                Face::load(include_bytes!("../../../fonts/NotoSansJP-Bold.ttf"), true)?,
                Face::load(include_bytes!("../../../fonts/BIZUDPGothic-Regular.ttf"), false)?,
                Face::load(include_bytes!("../../../fonts/BIZUDPGothic-Bold.ttf"), true)?,
            ],
        })
    }

    /// The face that a style asks for first.
    pub(crate) fn primary(family: Family, bold: bool) -> FaceId {
        let family = match family {
            Family::Noto => 0,
            Family::BizUdp => 2,
        };
        family + u8::from(bold)
    }

    /// A face by its number.
    pub(crate) fn face(&self, id: FaceId) -> &Face {
        &self.faces[usize::from(id)]
    }

    /// The faces in order.
    pub(crate) fn faces(&self) -> &[Face; 4] {
        &self.faces
    }

    /// The glyph for a source, from the primary face or its fallback.
    #[inline]
    pub(crate) fn pick(&self, primary: FaceId, source: Source) -> Option<(FaceId, u16)> {
        if source.modifier == 0
            && let Some(gid) = self.faces[usize::from(primary)].glyph(source.base)
        {
            return Some((primary, gid));
        }
        self.pick_slowly(primary, source)
    }

    fn pick_slowly(&self, primary: FaceId, source: Source) -> Option<(FaceId, u16)> {
        let order = [primary, primary ^ 2];
        let plain = |character: u32| {
            order.iter().find_map(|id| Some((*id, self.face(*id).glyph(character)?)))
        };
        if source.modifier == 0 {
            return plain(source.base);
        }
        if is_selector(source.modifier) {
            let variant =
                |id: &FaceId| Some((*id, self.face(*id).variant(source.base, source.modifier)?));
            return order.iter().find_map(variant).or_else(|| plain(source.base));
        }
        let composed = compose(char::from_u32(source.base)?, char::from_u32(source.modifier)?)?;
        plain(composed.into())
    }
}

/// Whether a character selects a variant of the one before it.
pub(crate) fn is_selector(character: u32) -> bool {
    matches!(character, 0xfe00..=0xfe0f | 0xe0100..=0xe01ef)
}

/// Whether a character modifies the one before it.
pub(crate) fn is_modifier(character: char) -> bool {
    let code = u32::from(character);
    code >= 0x300 && (is_selector(code) || is_combining_mark(character))
}

/// Whether a character guides line breaks or joins only and is never drawn.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}
