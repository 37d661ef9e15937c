//! The bundled fonts: from a character to a glyph, and from the glyphs of a
//! document to embedded font programs.
//!
//! Noto Sans JP comes first and `BIZ UDPGothic` is its fallback (or the other way
//! round where a style asks for it). A character that neither has is an error
//! that names it: a box in the place of somebody's name is never printed.
//!
//! A base is composed with its mark and ideographic variants are chosen here;
//! what needs more is shaped ([`shape`]). A variation selector that no face knows
//! is dropped, so that the base glyph stands alone. Scripts that run from right
//! to left are refused as missing.

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
mod shape;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use face::{Face, FontFile};
use shape::Shaped;
use skrifa::{MetadataProvider as _, string::StringId};
use unicode_normalization::char::{compose, is_combining_mark};

/// The number of a family in its [`FontSet`]: 0 is Noto Sans JP, 1 BIZ
/// `UDPGothic`, then those of the operator and of the template.
pub(crate) type FamilyId = u8;

/// The number of a face in its [`FontSet`].
pub(crate) type FaceId = u8;

/// Faces that are part of the program.
const BUNDLED: usize = 4;
/// The most faces of one set.
const MOST_FACES: usize = 32;

/// A font file of the operator's or of a template.
#[derive(Clone)]
pub struct FontSource {
    /// The family's name in stylesheets.
    pub family: String,
    /// Heavier than regular.
    pub bold: bool,
    /// The file: TrueType outlines.
    pub bytes: Arc<Vec<u8>>,
}

impl FontSource {
    /// A font file with the family and the weight that it states itself; `None`
    /// if it cannot be read.
    pub fn read(bytes: Vec<u8>) -> Option<Self> {
        let font = skrifa::FontRef::new(&bytes).ok()?;
        let names = [StringId::TYPOGRAPHIC_FAMILY_NAME, StringId::FAMILY_NAME];
        let family = names.into_iter().find_map(|id| {
            font.localized_strings(id).english_or_first().map(|name| name.to_string())
        })?;
        let bold = font.attributes().weight.value() >= 600.0;
        Some(Self { family, bold, bytes: Arc::new(bytes) })
    }
}

impl std::fmt::Debug for FontSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FontSource").field("family", &self.family).finish_non_exhaustive()
    }
}

/// Families of one or two faces each, in the order in which they are asked for
/// a glyph that the wanted one lacks.
#[derive(Clone, Debug)]
pub(crate) struct FontSet {
    faces: Vec<Arc<Face>>,
    /// The name, the regular face and the bold one.
    families: Vec<(String, FaceId, FaceId)>,
}

/// What stands in the text for one glyph: a character and what modifies it
/// (a variation selector or a combining mark; 0 if nothing does; from
/// [`CLUSTER`] on the number of a longer text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    /// The character.
    pub(crate) base: u32,
    /// Its selector or mark.
    pub(crate) modifier: u32,
}

/// From here on a modifier is the number of a cluster of several characters.
pub(crate) const CLUSTER: u32 = 0x8000_0000;

/// The bundled fonts as they are in `fonts/`, in the order of [`FontSet`].
pub(crate) static FILES: [&[u8]; 4] = [
    include_bytes!("../../../fonts/NotoSansJP-Regular.ttf"),
    include_bytes!("../../../fonts/NotoSansJP-Bold.ttf"),
    include_bytes!("../../../fonts/BIZUDPGothic-Regular.ttf"),
    include_bytes!("../../../fonts/BIZUDPGothic-Bold.ttf"),
];

impl FontSet {
    /// Loads the bundled fonts.
    pub(crate) fn bundled() -> Option<Self> {
        let faces: Option<Vec<Arc<Face>>> = FILES
            .into_iter()
            .zip([false, true].into_iter().cycle())
            .map(|(bytes, bold)| Face::load(Arc::new(bytes), bold).map(Arc::new))
            .collect();
        let families = vec![("Noto Sans JP".to_owned(), 0, 1), ("BIZ UDPGothic".to_owned(), 2, 3)];
        Some(Self { faces: faces?, families })
    }

    /// Adds a face to the family with its name, which is made if there is none.
    pub(crate) fn add(&mut self, source: &FontSource) -> Result<(), &'static str> {
        let face = Face::load(Arc::clone(&source.bytes) as FontFile, source.bold)
            .ok_or("a font cannot be used: TrueType outlines are expected")?;
        if !face.may_be_embedded() {
            return Err("a font must not be put into documents, its licence says");
        }
        if self.faces.len() >= MOST_FACES {
            return Err("too many fonts");
        }
        let id = FaceId::try_from(self.faces.len()).map_err(|_| "too many fonts")?;
        self.faces.push(Arc::new(face));
        match self.families.iter_mut().find(|(name, ..)| *name == source.family) {
            Some((_, _, bold)) if source.bold => *bold = id,
            Some((_, regular, _)) => *regular = id,
            None => self.families.push((source.family.clone(), id, id)),
        }
        Ok(())
    }

    /// The names of the families by their numbers.
    pub(crate) fn families(&self) -> Vec<String> {
        self.families.iter().map(|(name, ..)| name.clone()).collect()
    }

    /// The face that a style asks for first.
    #[inline]
    pub(crate) fn primary(&self, family: FamilyId, bold: bool) -> FaceId {
        let known = self.families.get(usize::from(family)).or(self.families.first());
        known.map_or(0, |(_, regular, heavy)| if bold { *heavy } else { *regular })
    }

    /// A face by its number.
    #[inline]
    pub(crate) fn face(&self, id: FaceId) -> &Face {
        &self.faces[usize::from(id)]
    }

    /// The faces in order.
    pub(crate) fn faces(&self) -> &[Arc<Face>] {
        &self.faces
    }

    /// 16 hexadecimal digits that change when any face does.
    pub(crate) fn version(&self) -> String {
        use sha2::Digest as _;
        let mut hash = sha2::Sha256::new();
        // The bundled files have a list of their own, which a test holds true.
        hash.update(include_bytes!("../../../fonts/SHA256SUMS"));
        for face in self.faces.iter().skip(BUNDLED) {
            hash.update(face.digest());
        }
        data_encoding::HEXLOWER.encode(&hash.finalize()[..8])
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

    /// The faces to ask, the wanted one first, then all families in that weight.
    pub(crate) fn order(&self, primary: FaceId) -> impl Iterator<Item = FaceId> {
        let bold = self.face(primary).bold;
        let others = self.families.iter().map(
            move |(_, regular, heavy)| {
                if bold { *heavy } else { *regular }
            },
        );
        std::iter::once(primary).chain(others.filter(move |id| *id != primary))
    }

    fn pick_slowly(&self, primary: FaceId, source: Source) -> Option<(FaceId, u16)> {
        let plain = |character: u32| {
            self.order(primary).find_map(|id| Some((id, self.face(id).glyph(character)?)))
        };
        if source.modifier == 0 {
            return plain(source.base);
        }
        if is_selector(source.modifier) {
            let variant =
                |id: FaceId| Some((id, self.face(id).variant(source.base, source.modifier)?));
            return self.order(primary).find_map(variant).or_else(|| plain(source.base));
        }
        let composed = compose(char::from_u32(source.base)?, char::from_u32(source.modifier)?)?;
        plain(composed.into())
    }

    /// Shapes a text by the first face that has all of its characters.
    pub(crate) fn shape(&self, primary: FaceId, text: &str) -> Option<(FaceId, Vec<Shaped>)> {
        let drawn = |id: &FaceId| {
            text.chars().all(|c| is_invisible(c) || self.face(*id).glyph(c.into()).is_some())
        };
        let face = self.order(primary).find(drawn)?;
        let glyphs = self.face(face).shaper.shape(text)?;
        // A glyph of nothing is a box, and a damaged face names glyphs it has not.
        let known = |glyph: &Shaped| glyph.gid != 0 && self.face(face).has(glyph.gid);
        glyphs.iter().all(known).then_some((face, glyphs))
    }
}

/// Whether characters of this script are shaped together: marks, Indic and
/// South-East Asian scripts. Scripts that run from right to left are not set.
pub(crate) fn is_complex(character: char) -> bool {
    matches!(character, '\u{900}'..='\u{109f}' | '\u{1700}'..='\u{18af}' | '\u{1a00}'..='\u{1aad}' | '\u{a980}'..='\u{aaff}')
}

/// Whether a script runs from right to left.
pub(crate) fn is_right_to_left(character: char) -> bool {
    matches!(character, '\u{590}'..='\u{8ff}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Kanji and kana, beside which JIS X 4051 wants a space before other letters.
pub(crate) fn is_wide(code: u32) -> bool {
    matches!(code, 0x3005..=0x3007 | 0x3041..=0x30fa | 0x30fc..=0x30ff | 0x3400..=0x9fff
        | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

/// Latin, Greek and Cyrillic letters and European digits.
pub(crate) fn is_narrow(code: u32) -> bool {
    matches!(code, 0x30..=0x39 | 0x41..=0x5a | 0x61..=0x7a | 0xc0..=0x24f | 0x370..=0x52f)
}

/// Whether a character selects a variant of the one before it.
pub(crate) fn is_selector(character: u32) -> bool {
    matches!(character, 0xfe00..=0xfe0f | 0xe0100..=0xe01ef)
}

/// Whether a character modifies the one before it.
pub(crate) fn is_modifier(character: char) -> bool {
    let code = u32::from(character);
    // Between kana and Yi, where most of our text is, there are none.
    let none = code < 0x300 || (0x30a0..0xa000).contains(&code);
    !none && (is_selector(code) || is_combining_mark(character))
}

/// Whether a character guides line breaks or joins only and is never drawn.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}
