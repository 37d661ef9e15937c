//! How letters stand together: kerning of Latin pairs, and the shaping of what
//! one glyph a character cannot show. `harfrust` does both.
//!
//! Most text never comes here: its glyphs are looked up in a flat table. Pairs
//! of ASCII and of kana are kerned from a table that fills itself as pairs are met; what two
//! threads find is the same, so they need no lock.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI16, Ordering::Relaxed},
};

use harfrust::{Buffer, Font, ShapeOptions, ShaperFont};

use super::face::FontFile;

/// Characters that are kerned: letters of ASCII, kana and their punctuation, full
/// width forms. Those of one group are kerned with each other.
const GROUPS: [&[(u32, u32)]; 2] = [&[(0x21, 0x7f)], &[(0x3000, 0x3100), (0xff00, 0xff61)]];
/// A pair that was not asked for yet.
const UNKNOWN: i16 = i16::MIN;

/// A glyph with its place, in em.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shaped {
    pub(crate) gid: u16,
    pub(crate) advance: f32,
    pub(crate) dx: f32,
    /// Upwards.
    pub(crate) dy: f32,
    /// The byte of the text where its cluster begins.
    pub(crate) cluster: usize,
}

/// What a face says of letters that stand together.
pub(crate) struct Shaper {
    file: FontFile,
    upem: f32,
    font: OnceLock<Option<Font>>,
    /// For each group, in font units.
    pairs: [OnceLock<Box<[AtomicI16]>>; 2],
}

impl Shaper {
    pub(super) fn new(file: FontFile, upem: f32) -> Self {
        Self { file, upem, font: OnceLock::new(), pairs: [OnceLock::new(), OnceLock::new()] }
    }

    #[inline]
    pub(super) fn kern(&self, left: u32, right: u32) -> f32 {
        let group = usize::from(left >= 0x80);
        let (Some(a), Some(b)) = (place(group, left), place(group, right)) else { return 0.0 };
        let side: usize = GROUPS[group].iter().map(|(from, to)| (to - from) as usize).sum();
        let pairs = self.pairs[group]
            .get_or_init(|| (0..side * side).map(|_| AtomicI16::new(UNKNOWN)).collect());
        let pair = &pairs[a * side + b];
        let known = pair.load(Relaxed);
        let units = if known == UNKNOWN {
            let found = self.pair(left, right).unwrap_or(0);
            pair.store(found, Relaxed);
            found
        } else {
            known
        };
        f32::from(units) / self.upem
    }

    fn pair(&self, left: u32, right: u32) -> Option<i16> {
        let text: String = [char::from_u32(left)?, char::from_u32(right)?].iter().collect();
        let glyphs = self.shape(&text)?;
        let alone = self.shape(text.get(..text.chars().next()?.len_utf8())?)?;
        // A ligature would swallow a letter; there are none for us.
        let [first, _] = *glyphs.as_slice() else { return None };
        let kern = (first.advance - alone.first()?.advance) * self.upem;
        Some(kern.round().clamp(-4_000.0, 4_000.0) as i16)
    }

    /// Shapes a text of one script from left to right; `None` if the face cannot
    /// be read.
    pub(crate) fn shape(&self, text: &str) -> Option<Vec<Shaped>> {
        let font = self.font.get_or_init(|| Font::new(Arc::clone(&self.file), 0)).as_ref()?;
        let mut buffer = Buffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        let features = [harfrust::Feature::new(harfrust::Tag::new(b"liga"), 0, ..)];
        harfrust::shape(
            &ShaperFont::new(font),
            &mut buffer,
            ShapeOptions::new().features(&features),
        )
        .ok()?;
        #[expect(clippy::cast_precision_loss, reason = "font units, some thousands")]
        let em = |units: i32| units as f32 / self.upem;
        let glyphs = buffer.glyph_infos().iter().zip(buffer.glyph_positions());
        glyphs
            .map(|(info, place)| {
                Some(Shaped {
                    gid: u16::try_from(info.glyph_id).ok()?,
                    advance: em(place.x_advance),
                    dx: em(place.x_offset),
                    dy: em(place.y_offset),
                    cluster: info.cluster as usize,
                })
            })
            .collect()
    }
}

/// The number of a character in its group.
#[inline]
fn place(group: usize, character: u32) -> Option<usize> {
    let mut before = 0;
    for (from, to) in GROUPS[group] {
        if (*from..*to).contains(&character) {
            return Some(before + (character - from) as usize);
        }
        before += (to - from) as usize;
    }
    None
}
