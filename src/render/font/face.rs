//! One face: which glyph stands for a character, how wide it is, and the
//! program that goes into a document.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use flate2::{Compression, write::ZlibEncoder};
use skrifa::{
    FontRef, MetadataProvider as _, Tag,
    charmap::{Charmap, MapVariant},
    instance::{LocationRef, Size},
    raw::TableProvider as _,
};

use super::{packed::PackedFace, shape::Shaper};

/// The bytes of a font file.
pub(crate) type FontFile = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Characters below this are looked up in a flat table.
const MAPPED: u32 = 0x3_0000;

/// One face of one family, ready to measure and to embed.
pub(crate) struct Face {
    /// The PostScript name, without a subset tag.
    pub(crate) name: String,
    /// Font units per em.
    pub(crate) upem: f32,
    /// Above the baseline, in em.
    pub(crate) ascent: f32,
    /// Below the baseline, in em; positive.
    pub(crate) descent: f32,
    /// Height of capitals, in em.
    pub(crate) cap_height: f32,
    /// The union of all glyph boxes, in thousandths of an em.
    pub(crate) bounds: [f32; 4],
    /// Heavier than regular.
    pub(crate) bold: bool,
    /// 256 characters a page; pages without a glyph share the empty one.
    pages: Vec<u16>,
    glyphs: Vec<[u16; 256]>,
    advances: Vec<u16>,
    file: FontFile,
    /// Says how characters stand together.
    pub(super) shaper: Shaper,
    packable: bool,
    /// Made when the first document asks: a face that nobody uses costs
    /// neither time nor memory.
    outlines: OnceLock<Outlines>,
}

/// Where font programs come from.
enum Outlines {
    /// Coded once for all documents.
    Packed(PackedFace),
    /// Cut out and compressed for every document: right, and some ten times
    /// dearer.
    Subset(FontFile),
}

/// A font program as it goes into the file.
pub(crate) struct Program {
    /// A zlib stream.
    pub(crate) data: Vec<u8>,
    /// Its length when decoded.
    pub(crate) length: usize,
    /// The program's glyph for each of the document's, where they differ.
    pub(crate) cid_to_gid: Option<Vec<u8>>,
}

impl fmt::Debug for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Face").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Face {
    /// Loads a TrueType face; `None` if it cannot be read or has no `glyf`
    /// outlines.
    pub(crate) fn load(file: FontFile, bold: bool) -> Option<Self> {
        Self::with(file, bold, true)
    }

    /// The same, cut out for every document even where it could be packed.
    #[cfg(test)]
    pub(crate) fn load_unpacked(file: FontFile, bold: bool) -> Option<Self> {
        Self::with(file, bold, false)
    }

    fn with(file: FontFile, bold: bool, packable: bool) -> Option<Self> {
        let font = FontRef::new((*file).as_ref()).ok()?;
        font.table_data(Tag::new(b"glyf"))?;
        let metrics = font.metrics(Size::unscaled(), LocationRef::default());
        // The range of the specification; 0 would make every width endless.
        if !(16..=16_384).contains(&metrics.units_per_em) {
            return None;
        }
        let upem = f32::from(metrics.units_per_em);
        let bounds = metrics.bounds?;
        let mille = |value: f32| (value * 1000.0 / upem).round();
        let charmap = font.charmap();
        let count = metrics.glyph_count;
        let (pages, glyphs) = flat_map(&charmap, count)?;
        let hmtx = font.hmtx().ok()?;
        let advances = (0..count).map(|id| hmtx.advance(id.into()).unwrap_or(0)).collect();
        let name = font
            .localized_strings(skrifa::string::StringId::POSTSCRIPT_NAME)
            .english_or_first()
            .map(|name| name.chars().filter(char::is_ascii_graphic).collect())?;
        Some(Self {
            name,
            upem,
            ascent: metrics.ascent / upem,
            descent: -metrics.descent / upem,
            cap_height: metrics.cap_height.unwrap_or(metrics.ascent) / upem,
            bounds: [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(mille),
            bold,
            pages,
            glyphs,
            advances,
            shaper: Shaper::new(Arc::clone(&file), upem),
            file,
            packable,
            outlines: OnceLock::new(),
        })
    }

    /// The glyph for a character, unless the face has none.
    #[inline]
    pub(crate) fn glyph(&self, character: u32) -> Option<u16> {
        let page = *self.pages.get((character >> 8) as usize)?;
        let gid = self.glyphs[usize::from(page)][(character & 0xff) as usize];
        (gid != 0).then_some(gid)
    }

    /// The glyph for an ideographic variation sequence, if the face knows it.
    pub(crate) fn variant(&self, character: u32, selector: u32) -> Option<u16> {
        let font = FontRef::new((*self.file).as_ref()).ok()?;
        match font.charmap().map_variant(character, selector)? {
            MapVariant::UseDefault => self.glyph(character),
            MapVariant::Variant(gid) => {
                u16::try_from(gid.to_u32()).ok().filter(|gid| self.has(*gid))
            }
        }
    }

    /// Whether the face has this glyph: what its tables name need not exist.
    pub(super) fn has(&self, gid: u16) -> bool {
        usize::from(gid) < self.advances.len()
    }

    /// The advance of a glyph in em.
    #[inline]
    pub(crate) fn advance(&self, gid: u16) -> f32 {
        f32::from(self.advances[usize::from(gid)]) / self.upem
    }

    /// How much closer two letters stand than their widths say, in em; 0 but
    /// for letters of ASCII and for kana and their punctuation.
    #[inline]
    pub(crate) fn kern(&self, left: u32, right: u32) -> f32 {
        self.shaper.kern(left, right)
    }

    /// Whether the file may be put into documents (OS/2 `fsType`: no restricted
    /// licence, subsets and outlines allowed).
    pub(crate) fn may_be_embedded(&self) -> bool {
        let Ok(font) = FontRef::new((*self.file).as_ref()) else { return false };
        font.os2().is_ok_and(|os2| os2.fs_type() & 0x0302 == 0)
    }

    /// The SHA-256 of the file.
    pub(crate) fn digest(&self) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest((*self.file).as_ref()).into()
    }

    /// How many glyphs the face has.
    pub(crate) fn glyph_count(&self) -> usize {
        self.advances.len()
    }

    /// A program with these glyphs in this order; `gids[0]` must be 0.
    pub(crate) fn program(&self, gids: &[u16]) -> Option<Program> {
        match self.outlines.get_or_init(|| self.outlines()) {
            Outlines::Packed(packed) => {
                let (data, length) = packed.program(gids);
                Some(Program { data, length, cid_to_gid: None })
            }
            Outlines::Subset(font) => subset((**font).as_ref(), gids),
        }
    }
}

impl Face {
    fn outlines(&self) -> Outlines {
        let packed = if self.packable { FontRef::new((*self.file).as_ref()).ok() } else { None };
        packed
            .as_ref()
            .and_then(PackedFace::new)
            .map_or_else(|| Outlines::Subset(Arc::clone(&self.file)), Outlines::Packed)
    }
}

/// Cuts a program out of a face with composites. The `subsetter` crate numbers
/// each glyph once, so glyphs that stand for two texts are mapped.
fn subset(font: &[u8], gids: &[u16]) -> Option<Program> {
    use std::io::Write as _;
    let mut mapper = subsetter::GlyphRemapper::new();
    let map: Vec<u8> = gids.iter().flat_map(|gid| mapper.remap(*gid).to_be_bytes()).collect();
    let program = subsetter::subset(font, 0, &mapper).ok()?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&program).ok()?;
    Some(Program { data: encoder.finish().ok()?, length: program.len(), cid_to_gid: Some(map) })
}

/// The character map as pages of 256, without glyphs that the face does not have.
fn flat_map(charmap: &Charmap<'_>, count: u32) -> Option<(Vec<u16>, Vec<[u16; 256]>)> {
    let mut pages = vec![0u16; (MAPPED >> 8) as usize];
    let mut glyphs = vec![[0u16; 256]];
    for (character, gid) in charmap.mappings() {
        if character >= MAPPED || gid.to_u32() >= count {
            continue;
        }
        let page = &mut pages[(character >> 8) as usize];
        if *page == 0 {
            *page = u16::try_from(glyphs.len()).ok()?;
            glyphs.push([0; 256]);
        }
        glyphs[usize::from(*page)][(character & 0xff) as usize] =
            u16::try_from(gid.to_u32()).ok()?;
    }
    Some((pages, glyphs))
}
