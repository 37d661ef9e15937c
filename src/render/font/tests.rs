use std::{io::Read as _, sync::LazyLock};

use proptest::prelude::*;
use skrifa::{
    FontRef, GlyphId, MetadataProvider as _,
    instance::{LocationRef, Size},
    outline::{DrawSettings, pen::PathElement},
    raw::TableProvider as _,
};

use sha2::Digest as _;

use super::{
    FontSet, Source,
    bits::{Adler, checksum},
    face::Face,
};

const NOTO: &[u8] = include_bytes!("../../../fonts/NotoSansJP-Regular.ttf");

static FONTS: LazyLock<FontSet> = LazyLock::new(|| FontSet::bundled().unwrap());

fn unpacked(program: &super::face::Program) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(&*program.data).read_to_end(&mut out).unwrap();
    assert_eq!(out.len(), program.length, "the length that the file states");
    out
}

/// The outline as drawing commands.
fn outline(font: &FontRef<'_>, gid: u16) -> String {
    let mut pen: Vec<PathElement> = Vec::new();
    let glyph = font.outline_glyphs().get(GlyphId::from(gid)).unwrap();
    let settings = DrawSettings::unhinted(Size::unscaled(), LocationRef::default());
    glyph.draw(settings, &mut pen).unwrap();
    format!("{pen:?}")
}

fn assert_same_glyphs(face: &Face, gids: &[u16]) {
    let program = face.program(gids).unwrap();
    let data = unpacked(&program);
    let (made, original) = (FontRef::new(&data).unwrap(), FontRef::new(NOTO).unwrap());
    let hmtx = made.hmtx().unwrap();
    for (index, gid) in (0u16..).zip(gids) {
        let own = match &program.cid_to_gid {
            None => index,
            Some(map) => {
                u16::from_be_bytes([map[usize::from(index) * 2], map[usize::from(index) * 2 + 1]])
            }
        };
        let advance = f32::from(hmtx.advance(own.into()).unwrap()) / face.upem;
        assert!((advance - face.advance(*gid)).abs() < 1e-6, "the width of glyph {gid}");
        assert_eq!(outline(&made, own), outline(&original, *gid), "the outline of glyph {gid}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_packed_program_draws_what_the_face_draws(mut gids in proptest::collection::vec(1u16..17_000, 1..200)) {
        gids.insert(0, 0);
        assert_same_glyphs(FONTS.face(0), &gids);
    }

    #[test]
    fn joined_checksums_are_those_of_the_whole(a in proptest::collection::vec(any::<u8>(), 0..9000), b in proptest::collection::vec(any::<u8>(), 0..9000)) {
        let whole = [a.clone(), b.clone()].concat();
        let joined = Adler::of(&a).then(Adler::of(&b), u32::try_from(b.len()).unwrap());
        prop_assert_eq!(joined.to_be_bytes(), Adler::of(&whole).to_be_bytes());
    }
}

#[test]
fn a_face_that_cannot_be_packed_is_cut_out_instead() {
    let face = Face::load_unpacked(std::sync::Arc::new(NOTO), false).unwrap();
    // Twice the same glyph: it may stand for two texts.
    assert_same_glyphs(&face, &[0, 900, 1_500, 900, 12_000]);
}

#[test]
fn table_checksums_hold() {
    let gids: Vec<u16> = (0..500).collect();
    let data = unpacked(&FONTS.face(3).program(&gids).unwrap());
    let font = FontRef::new(&data).unwrap();
    for record in font.table_directory().table_records() {
        if record.tag() == skrifa::Tag::new(b"head") {
            continue;
        }
        let table = font.table_data(record.tag()).unwrap();
        assert_eq!(checksum(table.as_bytes()), record.checksum(), "{}", record.tag());
    }
    assert_eq!(checksum(&data), 0xB1B0_AFBA, "the whole file");
}

#[test]
fn a_large_subset_spans_several_stored_blocks() {
    let gids: Vec<u16> = (0..17_000).collect();
    let data = unpacked(&FONTS.face(0).program(&gids).unwrap());
    assert_eq!(FontRef::new(&data).unwrap().maxp().unwrap().num_glyphs(), 17_000, "all glyphs");
}

#[test]
fn rare_names_have_their_glyphs() {
    let pick = |base: char, modifier: u32| FONTS.pick(0, Source { base: base.into(), modifier });
    for name in "髙﨑𠮷濵德栁神祥福都塚㈱①㋿～〜－−朗𠮟𩸽".chars() {
        assert!(pick(name, 0).is_some(), "{name} U+{:04X}", u32::from(name));
    }
    assert!(pick('葛', 0xe0100).is_some(), "an ideographic variant");
    let variants: std::collections::HashSet<_> =
        (0xe0100..0xe0110).map(|selector| pick('辻', selector)).collect();
    assert!(variants.len() > 1, "selectors choose between forms");
    assert_eq!(pick('か', 0x3099), pick('が', 0), "a mark is composed");
    assert_eq!(pick('≒', 0).map(|(face, _)| face), Some(2), "from the fallback");
    assert_eq!(pick('ฟ', 0), None, "no Thai");
    assert_eq!(pick('\u{10ffff}', 0), None, "beyond every plane");
}

#[test]
fn nothing_between_kana_and_yi_modifies() {
    for character in (0x30a0..0xa000).filter_map(char::from_u32) {
        let mark = unicode_normalization::char::is_combining_mark(character);
        assert!(!mark && !super::is_modifier(character), "{character:?}");
    }
    assert!(super::is_modifier('\u{3099}') && super::is_modifier('\u{e0100}'), "marks elsewhere");
}

#[test]
fn the_bundled_files_are_those_of_the_list() {
    let sums = include_str!("../../../fonts/SHA256SUMS");
    for line in sums.lines() {
        let (sum, file) = line.split_once("  ").unwrap();
        let path = format!("{}/fonts/{file}", env!("CARGO_MANIFEST_DIR"));
        let digest = sha2::Sha256::digest(std::fs::read(path).unwrap());
        assert_eq!(data_encoding::HEXLOWER.encode(&digest), sum, "{file}");
    }
    assert_eq!(sums.lines().count(), 6, "four faces and two licences");
}
