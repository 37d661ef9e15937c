//! The glyphs of a document: each gets a number of its own, one for every text
//! that it stands for, so that what is copied out of the document is what was
//! put in.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of faces and glyphs that the fonts themselves hand out"
)]

use std::collections::HashMap;

use super::{
    font::{FaceId, FontSet, Source},
    layout::Glyph,
};

/// Which glyphs of which faces a document uses.
pub(super) struct Used<'a> {
    fonts: &'a FontSet,
    pub(super) faces: Vec<UsedFace>,
    /// Texts that several glyphs stand for together.
    pub(super) clusters: &'a [String],
}

/// The glyphs of one face in a document, by their new numbers.
#[derive(Default)]
pub(super) struct UsedFace {
    /// The new number of the face's glyphs; 0 where unused. Empty until one is.
    first: Vec<u16>,
    /// The face's number of each new glyph; the first is `.notdef`.
    pub(super) gids: Vec<u16>,
    /// What each new glyph stands for.
    pub(super) sources: Vec<Source>,
    /// A glyph that stands for several texts has a number for each.
    more: HashMap<(u16, u32, u32), u16>,
}

impl<'a> Used<'a> {
    pub(super) fn new(fonts: &'a FontSet, clusters: &'a [String]) -> Self {
        let mut faces = Vec::new();
        faces.resize_with(fonts.faces().len(), UsedFace::default);
        Self { fonts, faces, clusters }
    }

    /// The document's number for a glyph.
    #[inline]
    pub(super) fn code(&mut self, glyph: &Glyph) -> u16 {
        let face = &mut self.faces[usize::from(glyph.face)];
        if face.first.is_empty() {
            face.first = vec![0; self.fonts.face(glyph.face).glyph_count()];
            face.gids.reserve(128);
            face.sources.reserve(128);
            face.gids.push(0);
            face.sources.push(Source { base: 0, modifier: 0 });
        }
        let source = Source { base: glyph.base, modifier: glyph.modifier };
        let known = face.first[usize::from(glyph.gid)];
        if known != 0 && face.sources[usize::from(known)] == source {
            return known;
        }
        face.another(glyph.gid, source, known)
    }
}

impl UsedFace {
    fn another(&mut self, gid: u16, source: Source, known: u16) -> u16 {
        let key = (gid, source.base, source.modifier);
        if known != 0
            && let Some(code) = self.more.get(&key)
        {
            return *code;
        }
        let Ok(code) = u16::try_from(self.gids.len()) else {
            // More texts than numbers: the glyph is right, its text is another's.
            return known;
        };
        if code == u16::MAX {
            return known;
        }
        self.gids.push(gid);
        self.sources.push(source);
        if known == 0 {
            self.first[usize::from(gid)] = code;
        } else {
            self.more.insert(key, code);
        }
        code
    }
}

/// The resource name of a face.
pub(super) fn font_name(face: FaceId) -> String {
    // The bundled faces, which a page changes between some thirty times.
    const BUNDLED: [&str; 4] = ["F0", "F1", "F2", "F3"];
    let known = BUNDLED.get(usize::from(face));
    known.map_or_else(|| format!("F{face}"), |known| (*known).to_owned())
}
