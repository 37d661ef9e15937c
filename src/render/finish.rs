//! What `printpdf` leaves out: our own fonts with exact widths and their text,
//! a document id that depends on the content alone, and compression.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "byte formats of PDF over numbers that layout hands out itself"
)]

use std::{ops::Range, sync::Arc};

use flate2::{Compress, Compression, FlushCompress, Status};
use lopdf::{Dictionary, Document, Object, ObjectId, Stream, StringFormat, dictionary};
use sha2::{Digest as _, Sha256};

use super::{
    archive,
    error::RenderError,
    font::{CLUSTER, Source, face::Face},
    layout::{Layout, pages::Page},
    outline,
    paint::{Drawn, picture_name},
    used::{Used, UsedFace, font_name},
    write,
};
use crate::domain::plain::Plain;

/// Smaller streams of digits are left as they are: packing one costs as much as
/// drawing ten lines of text.
const WORTH_PACKING: usize = 6 << 10;

/// The program that made the file, as the file says it.
pub(super) const PRODUCER: &str = "Kakitome";

/// What the file says about itself.
pub(super) struct About<'a> {
    pub(super) title: &'a str,
    /// The BCP 47 tag of the language.
    pub(super) language: &'a str,
    /// Tagged, with metadata and an output intent.
    pub(super) archive: bool,
    /// A file to be attached: its name and its bytes.
    pub(super) attachment: Option<(&'a str, &'a [u8])>,
}

/// Completes a drawn document and writes it out.
pub(super) fn finish(
    drawn: Drawn<'_>,
    pages: &[Page],
    layout: &Layout<'_>,
    about: &About<'_>,
) -> Result<Plain, RenderError> {
    let mut document = complete(drawn, pages, layout, about).ok_or(RenderError::Fonts)?;
    write(&mut document)
}

/// Puts fonts, pictures, links and metadata into a drawn document.
pub(super) fn complete(
    mut drawn: Drawn<'_>,
    pages: &[Page],
    layout: &Layout<'_>,
    about: &About<'_>,
) -> Option<Document> {
    let mut document = std::mem::take(&mut drawn.document);
    let mut packer = Packer::new();
    let fonts = embed_fonts(&mut document, &drawn.used, layout.fonts.faces(), &mut packer)?;
    let resources = resources(&mut document, fonts, &drawn, layout);
    let resources = document.add_object(resources);
    let ids: Vec<ObjectId> = document.get_pages().into_values().collect();
    let mut hash = Sha256::new();
    hash.update(about.title);
    for page in &ids {
        let dictionary = document.get_dictionary_mut(*page).ok()?;
        dictionary.remove(b"Annots");
        let contents = dictionary.get(b"Contents").ok()?.as_reference().ok()?;
        dictionary.set("Resources", resources);
        let stream = document.get_object_mut(contents).ok()?.as_stream_mut().ok()?;
        hash.update(&stream.content);
        let packed = packer.pack(&stream.content)?;
        stream.set_content(packed);
        stream.dict.set("Filter", "FlateDecode");
    }
    let digest = hash.finalize();
    let id = Object::String(digest[..16].to_vec(), StringFormat::Hexadecimal);
    document.trailer.set("ID", vec![id.clone(), id]);
    let info = document.add_object(dictionary! {
        "Title" => text_string(about.title),
        "Producer" => Object::string_literal(PRODUCER),
    });
    document.trailer.set("Info", info);
    let annotations = outline::links(&mut document, &ids, &drawn, pages, layout)?;
    let contents = outline::outline(&mut document, &ids, pages, layout);
    let catalog = document.catalog_mut().ok()?;
    catalog.remove(b"PageLayout");
    catalog.remove(b"PageMode");
    if let Some(contents) = contents {
        catalog.set("Outlines", contents);
        catalog.set("PageMode", "UseOutlines");
    }
    catalog.set("Lang", Object::string_literal(about.language));
    catalog.set("ViewerPreferences", dictionary! { "DisplayDocTitle" => true });
    if about.archive {
        archive::tag(&mut document, &ids, &drawn, &annotations, layout)?;
        archive::declare(&mut document, about, &mut packer)?;
    }
    if let Some((name, bytes)) = about.attachment {
        archive::attach(&mut document, name, bytes, &mut packer)?;
    }
    "1.7".clone_into(&mut document.version);
    drop_unused(&mut document);
    document.max_id = document.objects.keys().map(|(number, _)| *number).max()?;
    Some(document)
}

/// Removes what nothing refers to; in one walk, where lopdf's own takes a time
/// that grows with the square of the objects.
fn drop_unused(document: &mut Document) {
    // Every number is ours, and of the first generation.
    let mut used = vec![false; document.max_id as usize + 1];
    let mut waiting: Vec<&Object> = document.trailer.iter().map(|(_, value)| value).collect();
    while let Some(object) = waiting.pop() {
        match object {
            Object::Reference(id) => {
                let known = used.get_mut(id.0 as usize);
                if known.is_some_and(|known| !std::mem::replace(known, true)) {
                    waiting.extend(document.objects.get(id));
                }
            }
            Object::Array(items) => waiting.extend(items),
            Object::Dictionary(dictionary) => {
                waiting.extend(dictionary.iter().map(|(_, value)| value));
            }
            Object::Stream(stream) => waiting.extend(stream.dict.iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    document.objects.retain(|id, _| used.get(id.0 as usize).is_some_and(|used| *used));
}

/// What the pages draw with: fonts and pictures.
fn resources(
    document: &mut Document,
    fonts: Dictionary,
    drawn: &Drawn<'_>,
    layout: &Layout<'_>,
) -> Dictionary {
    let mut resources = dictionary! { "Font" => fonts };
    let mut pictures = Dictionary::new();
    for number in &drawn.pictures {
        let Some(picture) = layout.assets.picture(*number) else { continue };
        let mut stream = picture.stream.clone();
        if let Some(mask) = &picture.mask {
            let mask = document.add_object(mask.clone());
            stream.dict.set("SMask", mask);
        }
        pictures.set(picture_name(*number), document.add_object(stream));
    }
    if !pictures.is_empty() {
        resources.set("XObject", pictures);
    }
    resources
}

/// Writes a document into memory that is wiped when it is dropped.
pub(super) fn write(document: &mut Document) -> Result<Plain, RenderError> {
    // Large enough that the buffer never moves and leaves a copy behind.
    let streams = document.objects.values().map(|object| match object {
        Object::Stream(stream) => stream.content.len() + 512,
        _ => 1_024,
    });
    let mut out = Plain::with_capacity(streams.sum::<usize>() + 4_096);
    write::document(document, &mut out)
        .map_err(|_| RenderError::BadPdf(crate::domain::pdf::PdfFlaw::Damaged))?;
    Ok(out)
}

fn embed_fonts(
    document: &mut Document,
    used: &Used<'_>,
    faces: &[Arc<Face>],
    packer: &mut Packer,
) -> Option<Dictionary> {
    let mut resources = Dictionary::new();
    for (number, face) in (0u8..).zip(faces) {
        let own = &used.faces[usize::from(number)];
        if !own.gids.is_empty() {
            let font = embed(document, own, used.clusters, face, packer)?;
            resources.set(font_name(number), font);
        }
    }
    Some(resources)
}

/// One face as a composite font: Type 0, Identity-H, TrueType (ISO 32000-1 §9.7).
fn embed(
    document: &mut Document,
    used: &UsedFace,
    clusters: &[String],
    face: &Face,
    packer: &mut Packer,
) -> Option<ObjectId> {
    let program = face.program(&used.gids)?;
    let name = format!("{}+{}", subset_tag(&used.gids), face.name);
    let mille = |em: f32| (em * 1000.0).round();
    let file = document.add_object(Stream::new(
        dictionary! { "Filter" => "FlateDecode", "Length1" => program.length as i64 },
        program.data,
    ));
    let bounds: Vec<Object> = face.bounds.iter().map(|edge| Object::Real(*edge)).collect();
    let descriptor = document.add_object(dictionary! {
        "Type" => "FontDescriptor",
        "FontName" => Object::Name(name.clone().into_bytes()),
        "Flags" => 4,
        "FontBBox" => bounds,
        "ItalicAngle" => 0,
        "Ascent" => mille(face.ascent),
        "Descent" => -mille(face.descent),
        "CapHeight" => mille(face.cap_height),
        "StemV" => if face.bold { 140 } else { 80 },
        "FontFile2" => file,
    });
    let widths: Vec<Object> =
        used.gids.iter().map(|gid| number(face.advance(*gid) * 1000.0)).collect();
    let map = match program.cid_to_gid {
        None => Object::Name(b"Identity".to_vec()),
        Some(map) => document.add_object(Stream::new(Dictionary::new(), map)).into(),
    };
    let descendant = document.add_object(dictionary! {
        "Type" => "Font",
        "Subtype" => "CIDFontType2",
        "BaseFont" => Object::Name(name.clone().into_bytes()),
        "CIDSystemInfo" => dictionary! {
            "Registry" => Object::string_literal("Adobe"),
            "Ordering" => Object::string_literal("Identity"),
            "Supplement" => 0,
        },
        "FontDescriptor" => descriptor,
        "DW" => 1000,
        "W" => vec![0.into(), widths.into()],
        "CIDToGIDMap" => map,
    });
    let text = to_unicode(used, clusters);
    let text = if text.len() < WORTH_PACKING {
        Stream::new(Dictionary::new(), text)
    } else {
        Stream::new(dictionary! { "Filter" => "FlateDecode" }, packer.pack(&text)?)
    };
    let text = document.add_object(text);
    Some(document.add_object(dictionary! {
        "Type" => "Font",
        "Subtype" => "Type0",
        "BaseFont" => Object::Name(name.into_bytes()),
        "Encoding" => "Identity-H",
        "DescendantFonts" => vec![Object::Reference(descendant)],
        "ToUnicode" => text,
    }))
}

/// Whole numbers without a point, others to a hundredth.
fn number(value: f32) -> Object {
    let rounded = (value * 100.0).round() / 100.0;
    if rounded.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number of font units")]
        let whole = rounded as i64;
        Object::Integer(whole)
    } else {
        Object::Real(rounded)
    }
}

/// Which text each glyph stands for (ISO 32000-1 §9.10.3).
fn to_unicode(used: &UsedFace, clusters: &[String]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + 14 * used.gids.len());
    out.extend_from_slice(
        b"/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n\
         /CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n\
         /CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n\
         1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n",
    );
    let cluster = |source: &Source| {
        let number = source.modifier.checked_sub(CLUSTER);
        number.and_then(|number| clusters.get(number as usize)).map(String::as_str)
    };
    // A glyph that only completes another stands for no text.
    let stands = |one: &Source| cluster(one) != Some("");
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (code, _) in used.sources.iter().enumerate().skip(1).filter(|(_, one)| stands(one)) {
        match ranges.last_mut() {
            // A range never leaves its first byte.
            Some(last) if last.end == code && code & 0xff != 0 => last.end = code + 1,
            _ => ranges.push(code..code + 1),
        }
    }
    for block in ranges.chunks(100) {
        out.extend_from_slice(block.len().to_string().as_bytes());
        out.extend_from_slice(b" beginbfrange\n");
        for range in block {
            for code in [range.start, range.end - 1] {
                out.push(b'<');
                push_digits(&mut out, u16::try_from(code).unwrap_or(u16::MAX));
                out.extend_from_slice(b"> ");
            }
            out.push(b'[');
            for (number, source) in used.sources[range.clone()].iter().enumerate() {
                if number > 0 {
                    out.push(b' ');
                }
                push_text(&mut out, *source, cluster(source));
            }
            out.extend_from_slice(b"]\n");
        }
        out.extend_from_slice(b"endbfrange\n");
    }
    out.extend_from_slice(b"endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend");
    out
}

/// The text of a glyph in UTF-16.
fn push_text(out: &mut Vec<u8>, source: Source, cluster: Option<&str>) {
    out.push(b'<');
    let own = [source.base, source.modifier].into_iter().filter(|code| *code != 0);
    let own = own.filter_map(char::from_u32).filter(|_| cluster.is_none());
    for character in cluster.unwrap_or_default().chars().chain(own) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            push_digits(out, *unit);
        }
    }
    out.push(b'>');
}

fn push_digits(out: &mut Vec<u8>, code: u16) {
    let digit = |shift: u32| b"0123456789ABCDEF"[usize::from(code >> shift & 15)];
    out.extend_from_slice(&[digit(12), digit(8), digit(4), digit(0)]);
}

/// Six capitals that differ with the subset (ISO 32000-1 §9.6.4).
fn subset_tag(gids: &[u16]) -> String {
    let mut hash = gids.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, gid| {
        (hash ^ u64::from(*gid)).wrapping_mul(0x0100_0000_01b3)
    });
    (0..6)
        .map(|_| {
            let letter = (hash % 26) as u8;
            hash /= 26;
            char::from(b'A' + letter)
        })
        .collect()
}

/// Packs the streams of one document: beginning anew for each stream would cost
/// more than packing most of them.
pub(super) struct Packer {
    compress: Compress,
    /// Nothing was packed yet: there is nothing to clear.
    fresh: bool,
}

impl Packer {
    pub(super) fn new() -> Self {
        Self { compress: Compress::new(Compression::fast(), true), fresh: true }
    }

    /// A zlib stream (RFC 1950).
    pub(super) fn pack(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.fresh) {
            self.compress.reset();
        }
        let mut out = Vec::with_capacity(data.len() / 2 + 64);
        loop {
            let taken = usize::try_from(self.compress.total_in()).ok()?;
            let rest = data.get(taken..)?;
            match self.compress.compress_vec(rest, &mut out, FlushCompress::Finish).ok()? {
                Status::StreamEnd => return Some(out),
                Status::Ok | Status::BufError => out.reserve(out.len() / 2 + 64),
            }
        }
    }
}

/// A text string in UTF-16 (ISO 32000-1 §7.9.2).
pub(super) fn text_string(text: &str) -> Object {
    let mut bytes = vec![0xfe, 0xff];
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&unit.to_be_bytes());
    }
    Object::String(bytes, StringFormat::Hexadecimal)
}
