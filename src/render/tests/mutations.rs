//! Hostile bytes at every entrance: good files, damaged in many small ways. What
//! libFuzzer does in `fuzz/` without end is done here for a moment in every run,
//! and for minutes with `KAKITOME_TEST_LONG`.

use super::*;
use crate::render::{font, hostile};

/// Numbers that only the seed decides (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(below.max(1)).unwrap()).unwrap()
    }
}

/// Pieces that mean something to one of the formats.
const PIECES: [&[u8]; 24] = [
    b"<div class=\"flex\">",
    b"</div>",
    b"<table>",
    b"<td colspan=\"100\">",
    b"</td>",
    b"<br>",
    b"{{ x",
    b"{% for a in list %}",
    b"{% endfor %}",
    b"|",
    b"position: absolute;",
    b"width: -1pt;",
    b"height: 1e9pt;",
    b"font-size: 0;",
    b"99999999",
    b"0.0000001pt",
    b"var(--a)",
    b"{",
    b"}",
    "\u{301}\u{e0100}".as_bytes(),
    "漢".as_bytes(),
    &[0],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
];

/// Damages a file in one to eight places.
fn damaged(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.roll(8) {
        let at = dice.roll(bytes.len());
        let end = (at + dice.roll(64)).min(bytes.len());
        match dice.roll(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(dice.roll(256)).unwrap(),
            1 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].to_vec();
                let to = dice.roll(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => {
                let piece = PIECES[dice.roll(PIECES.len())];
                let over = if dice.roll(2) == 0 { at } else { (at + piece.len()).min(bytes.len()) };
                bytes.splice(at..over, piece.iter().copied());
            }
        }
    }
    bytes
}

/// Hands damaged files to an entrance for as long as there is time. A panic is
/// named by the number that makes it again.
fn drive(entrance: fn(&[u8]), seeds: &[Vec<u8>], cases: u64) {
    let long = std::env::var_os("KAKITOME_TEST_LONG").is_some();
    let cases = if long { cases * 100 } else { cases };
    let slow = Duration::from_secs(20);
    for seed in seeds {
        entrance(seed);
    }
    for case in 0..cases {
        let mut dice = Dice(case);
        let seed = &seeds[dice.roll(seeds.len())];
        let bytes = damaged(seed, &mut dice);
        let started = Instant::now();
        let outcome = std::panic::catch_unwind(|| entrance(&bytes));
        assert!(outcome.is_ok(), "case {case} panics");
        assert!(started.elapsed() < slow, "case {case} takes {:?}", started.elapsed());
    }
}

fn files(ending: &str) -> Vec<Vec<u8>> {
    let bundles = Renderer::bundles();
    let all = bundles.into_iter().flat_map(|bundle| bundle.files);
    all.filter(|(name, _)| name.ends_with(ending)).map(|(_, bytes)| bytes).collect()
}

#[test]
fn damaged_html_makes_a_document_or_an_error() {
    let blocks = "<html lang=\"ja\"><body><h1 id=\"a\">題</h1><div class=\"flex\"><div class=\"abs\">右</div><p>文 1,234円</p></div>\
        <ol><li>一<ul><li>二</li></ul></li></ol><span class=\"box\">箱 <a href=\"#a\">先</a></span><table class=\"fixed\"><thead><tr><th>頭</th>\
        <th>x</th></tr></thead><tbody><tr data-amount=\"12\"><td colspan=\"2\">胴</td></tr></tbody></table><kakitome-qr value=\"q\"></kakitome-qr>\
        <kakitome-barcode postcode=\"1000013\" address=\"1-3-2-503\"></kakitome-barcode></body></html>";
    let table = format!(
        "<html><body><table><tbody>{}</tbody></table></body></html>",
        "<tr><td>あ</td><td><div class=\"keep flex\">い</div></td></tr>".repeat(60)
    );
    drive(hostile::html, &[blocks.into(), table.into()], 400);
}

#[test]
fn a_damaged_stylesheet_makes_a_document_or_an_error() {
    let mut seeds = files("style.css");
    seeds.push(b".a { display: flex } .b { display: inline-block; position: relative } p { position: absolute; left: 1pt } div { height: 10pt }".to_vec());
    drive(hostile::css, &seeds, 300);
}

#[test]
fn a_damaged_template_makes_a_document_or_an_error() {
    let mut seeds = files("template.html");
    seeds.push(b"<html><body>{% for a in list %}<p>{{ a.a|upper }}{{ x|int + 1 }}</p>{% else %}-{% endfor %}</body></html>".to_vec());
    seeds.push(b"<html><body>{% for a in d.list %}{% include 'a.html' %}{% endfor %}{% include \"b.html\" %}</body></html>".to_vec());
    drive(hostile::template, &seeds, 150);
}

#[test]
fn a_damaged_picture_is_drawn_or_refused() {
    let svg = "\u{2}<svg xmlns='http://www.w3.org/2000/svg' width='40' height='4'><defs><g id='a'><rect width='1' height='2' fill='red'/></g></defs>\
        <use href='#a' x='3'/><path d='M0 0h4v4c1 1 2 2 3 3z' stroke='#123' stroke-dasharray='1 2' transform='scale(0.5)'/></svg>";
    let mut png = vec![0];
    let mut encoder = png::Encoder::new(&mut png, 4, 4);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header().unwrap().write_image_data(&[7; 64]).unwrap();
    drive(hostile::picture, &[svg.into(), png, b"\x01\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\xd9".to_vec()], 2_000);
}

/// A face of a few glyphs, cut out of a bundled one; `cmap` and the rest as they were.
fn small_face() -> Vec<u8> {
    let whole = font::FILES[2];
    let count = usize::from(u16::from_be_bytes([whole[4], whole[5]]));
    let word = |at: usize| u32::from_be_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    // Without outlines and layout rules: those are most of the file.
    let tables: Vec<(usize, Vec<u8>)> = (0..count)
        .map(|number| 12 + 16 * number)
        .filter(|at| {
            !matches!(&whole[*at..*at + 4], b"GSUB" | b"GPOS" | b"vmtx" | b"prep" | b"fpgm")
        })
        .map(|at| {
            let data = &whole[word(at + 8)..word(at + 8) + word(at + 12)];
            let kept =
                if &whole[at..at + 4] == b"glyf" { &data[..data.len().min(60_000)] } else { data };
            (at, kept.to_vec())
        })
        .collect();
    let mut out = whole[..4].to_vec();
    out.extend(u16::try_from(tables.len()).unwrap().to_be_bytes());
    out.extend([0; 6]);
    let mut place = 12 + 16 * tables.len();
    for (at, data) in &tables {
        out.extend(&whole[*at..*at + 8]);
        out.extend(u32::try_from(place).unwrap().to_be_bytes());
        out.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        place += data.len();
    }
    tables.iter().for_each(|(_, data)| out.extend(data));
    out
}

#[test]
fn a_damaged_font_is_used_or_refused() {
    // Damage where it hurts: the directory and the small tables stand at the front.
    let face = small_face();
    let source = font::FontSource { family: "F".into(), bold: false, bytes: face.clone().into() };
    font::FontSet::bundled().unwrap().add(&source).unwrap();
    drive(hostile::font, std::slice::from_ref(&face), 25);
    let long = std::env::var_os("KAKITOME_TEST_LONG").is_some();
    for case in 0..if long { 2_000 } else { 25 } {
        let mut dice = Dice(case);
        let mut bytes = face.clone();
        for _ in 0..=dice.roll(6) {
            let directory = 12 + 16 * usize::from(bytes[5]);
            let at = match dice.roll(3) {
                0 => dice.roll(directory),
                1 => directory + dice.roll(2_000),
                _ => dice.roll(bytes.len()),
            };
            bytes[at] = [0, 0xff, 0x80, 0x7f, 1][dice.roll(5)];
        }
        let outcome = std::panic::catch_unwind(|| hostile::font(&bytes));
        assert!(outcome.is_ok(), "case {case} panics");
    }
}

/// Sets a big-endian word of a table.
fn with_table(face: &[u8], tag: &[u8; 4], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let count = usize::from(u16::from_be_bytes([face[4], face[5]]));
    let entry =
        (0..count).map(|number| 12 + 16 * number).find(|at| &face[*at..*at + 4] == tag).unwrap();
    let word = |at: usize| u32::from_be_bytes(face[at..at + 4].try_into().unwrap()) as usize;
    let mut table = face[word(entry + 8)..word(entry + 8) + word(entry + 12)].to_vec();
    change(&mut table);
    let mut out = face.to_vec();
    let (at, len) = (u32::try_from(out.len()).unwrap(), u32::try_from(table.len()).unwrap());
    out[entry + 8..entry + 12].copy_from_slice(&at.to_be_bytes());
    out[entry + 12..entry + 16].copy_from_slice(&len.to_be_bytes());
    out.extend(table);
    out
}

#[test]
fn a_font_that_names_glyphs_it_has_not_is_no_panic() {
    let few = |maxp: &mut Vec<u8>| maxp[4..6].copy_from_slice(&40u16.to_be_bytes());
    hostile::font(&with_table(&small_face(), b"maxp", few));
}

#[test]
fn a_font_of_no_size_is_refused() {
    let face = with_table(&small_face(), b"head", |head| head[18..20].fill(0));
    let source = font::FontSource { family: "F".into(), bold: false, bytes: face.into() };
    assert!(
        font::FontSet::bundled().unwrap().add(&source).is_err(),
        "units per em are 16 to 16384"
    );
}

#[test]
fn glyphs_that_share_their_bytes_take_no_more_memory_than_the_file() {
    // Every second glyph is all of `glyf`: half a gigabyte if each had its own copy.
    let long = small_face();
    let glyf = 60_000u32;
    let face = with_table(&long, b"loca", |loca| {
        for (number, place) in loca.chunks_exact_mut(4).enumerate() {
            place.copy_from_slice(&(if number % 2 == 0 { 0 } else { glyf }).to_be_bytes());
        }
    });
    let started = Instant::now();
    hostile::font(&face);
    assert!(started.elapsed() < Duration::from_secs(20), "in bounded time");
}
