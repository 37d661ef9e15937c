//! Font programs that are ready before the document is known.
//!
//! When a face is loaded, the hints of every glyph are dropped, the outlines
//! are padded to four bytes and written with one Huffman code trained on the
//! whole face. The program for a document is then one zlib stream: a stored
//! block with the small tables, and one dynamic block in which the glyphs'
//! ready bit strings are joined by shifting. Nothing is compressed and no
//! outline is copied while a document waits; that is what makes a page cost
//! well under a millisecond.
//!
//! Refuses faces with composite glyphs (their parts would have to be renumbered)
//! and faces without `glyf`; `subset.rs` takes the former.

use std::{cmp::Reverse, collections::BinaryHeap};

use skrifa::{
    FontRef, GlyphId, Tag,
    raw::{TableProvider, types::GlyphId16},
};

use super::bits::{Adler, BitWriter, checksum};

/// Literals 0–255 and the end of the block.
const SYMBOLS: usize = 257;
/// DEFLATE allows no longer code.
const LONGEST: u8 = 15;

/// A face whose every glyph is already entropy-coded.
#[derive(Debug)]
pub(super) struct PackedFace {
    /// The bit strings of all glyphs, each beginning at a word.
    words: Vec<u64>,
    glyphs: Vec<PackedGlyph>,
    /// The header of the dynamic block, the same for every document: its words and
    /// how many bits they are.
    header: (Vec<u64>, u32),
    end_of_block: (u32, u8),
    head: Vec<u8>,
    hhea: Vec<u8>,
    maxp: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct PackedGlyph {
    word: u32,
    bits: u32,
    len: u16,
    sum: u32,
    adler: Adler,
    metrics: [u8; 4],
}

impl PackedFace {
    /// Prepares a face; `None` if it has composite glyphs or no `glyf` table.
    pub(super) fn new(font: &FontRef<'_>) -> Option<Self> {
        let outlines = unhinted(font)?;
        let mut frequencies = [0u64; SYMBOLS];
        for byte in outlines.iter().flatten() {
            frequencies[usize::from(*byte)] += 1;
        }
        frequencies[256] = outlines.len() as u64 / 200;
        let lengths = code_lengths(&frequencies);
        let codes = codes(&lengths);

        let hmtx = font.hmtx().ok()?;
        let mut words = Vec::new();
        let mut glyphs = Vec::with_capacity(outlines.len());
        for (index, outline) in outlines.iter().enumerate() {
            let mut writer = BitWriter::default();
            let word = u32::try_from(words.len()).ok()?;
            for byte in outline {
                writer.put(codes[usize::from(*byte)]);
            }
            let bits = writer.bits();
            words.extend(writer.into_words());
            let id = GlyphId::new(u32::try_from(index).ok()?);
            let [a, b] = hmtx.advance(id).unwrap_or(0).to_be_bytes();
            let [c, d] = hmtx.side_bearing(id).unwrap_or(0).to_be_bytes();
            glyphs.push(PackedGlyph {
                word,
                bits,
                len: u16::try_from(outline.len()).ok()?,
                sum: checksum(outline),
                adler: Adler::of(outline),
                metrics: [a, b, c, d],
            });
        }
        // Shorter tables lack the fields that are set for every document.
        let table = |tag: &[u8; 4], least: usize| {
            let data = font.table_data(Tag::new(tag))?;
            (data.len() >= least).then(|| data.as_bytes().to_vec())
        };
        Some(Self {
            words,
            glyphs,
            header: block_header(&lengths),
            end_of_block: codes[256],
            head: table(b"head", 54)?,
            hhea: table(b"hhea", 36)?,
            maxp: table(b"maxp", 6)?,
        })
    }

    /// A TrueType program with exactly these glyphs in this order, as a zlib
    /// stream, and its length when decoded. `gids[0]` must be 0; a glyph may
    /// occur more than once.
    pub(super) fn program(&self, gids: &[u16]) -> (Vec<u8>, usize) {
        let chosen: Vec<&PackedGlyph> =
            gids.iter().map(|gid| &self.glyphs[usize::from(*gid)]).collect();
        let tables = self.tables(&chosen);
        let outlines: usize = chosen.iter().map(|glyph| usize::from(glyph.len)).sum();
        let mut out = Vec::with_capacity(tables.len() + outlines + 512);
        out.extend_from_slice(&[0x78, 0x01]);
        // Stored blocks hold at most 65,535 bytes each.
        for block in tables.chunks(0xffff) {
            let len = block.len() as u16;
            out.push(0);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&(!len).to_le_bytes());
            out.extend_from_slice(block);
        }
        let mut adler = Adler::of(&tables);
        let mut writer = BitWriter::after(out);
        writer.put_words(&self.header.0, self.header.1);
        for glyph in &chosen {
            writer.put_words(&self.words[glyph.word as usize..], glyph.bits);
            adler = adler.then(glyph.adler, u32::from(glyph.len));
        }
        writer.put(self.end_of_block);
        let mut out = writer.into_bytes();
        out.extend_from_slice(&adler.to_be_bytes());
        (out, tables.len() + outlines)
    }

    /// Everything before the outlines: the table directory, `head`, `hhea`,
    /// `hmtx`, `loca` and `maxp`; `glyf` comes last.
    fn tables(&self, chosen: &[&PackedGlyph]) -> Vec<u8> {
        let count = (chosen.len() as u16).to_be_bytes();
        let mut loca = Vec::with_capacity(4 * chosen.len() + 4);
        let mut hmtx = Vec::with_capacity(4 * chosen.len());
        let (mut length, mut sum) = (0u32, 0u32);
        for glyph in chosen {
            loca.extend_from_slice(&length.to_be_bytes());
            hmtx.extend_from_slice(&glyph.metrics);
            length += u32::from(glyph.len);
            sum = sum.wrapping_add(glyph.sum);
        }
        loca.extend_from_slice(&length.to_be_bytes());
        let mut head = self.head.clone();
        head[8..12].fill(0); // checkSumAdjustment, set below
        head[50..52].copy_from_slice(&[0, 1]); // long loca
        let mut hhea = self.hhea.clone();
        hhea[34..36].copy_from_slice(&count);
        let mut maxp = self.maxp.clone();
        maxp[4..6].copy_from_slice(&count);
        if maxp.len() >= 28 {
            maxp[26..28].fill(0); // maxSizeOfInstructions
        }
        let small: [(&[u8; 4], &[u8]); 5] = [
            (b"head", &head),
            (b"hhea", &hhea),
            (b"hmtx", &hmtx),
            (b"loca", &loca),
            (b"maxp", &maxp),
        ];
        assemble(&small, length, sum)
    }
}

/// The sfnt header, the directory (sorted, so `glyf` first) and the small tables.
fn assemble(small: &[(&[u8; 4], &[u8]); 5], glyf_len: u32, glyf_sum: u32) -> Vec<u8> {
    let padded = |len: usize| (len + 3) & !3;
    let size = 12 + 16 * 6 + small.iter().map(|(_, data)| padded(data.len())).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&[0, 1, 0, 0, 0, 6, 0, 64, 0, 2, 0, 32]);
    let mut record = |tag: &[u8; 4], sum: u32, at: usize, len: u32| {
        out.extend_from_slice(tag);
        out.extend_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(&(at as u32).to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
    };
    record(b"glyf", glyf_sum, size, glyf_len);
    let mut at = 12 + 16 * 6;
    let mut whole = glyf_sum;
    for (tag, data) in small {
        let sum = checksum(data);
        record(tag, sum, at, data.len() as u32);
        whole = whole.wrapping_add(sum);
        at += padded(data.len());
    }
    whole = whole.wrapping_add(checksum(&out));
    for (_, data) in small {
        out.extend_from_slice(data);
        out.resize(padded(out.len()), 0);
    }
    let adjustment = 0xB1B0_AFBA_u32.wrapping_sub(whole).to_be_bytes();
    let head = 12 + 16 * 6;
    out[head + 8..head + 12].copy_from_slice(&adjustment);
    out
}

/// Every glyph's outline without its instructions, padded to four bytes.
fn unhinted(font: &FontRef<'_>) -> Option<Vec<Vec<u8>>> {
    let (loca, glyf) = (font.loca(None).ok()?, font.glyf().ok()?);
    let data = glyf.offset_data().as_bytes();
    let count = font.maxp().ok()?.num_glyphs();
    let mut outlines = Vec::with_capacity(usize::from(count));
    let mut total = 0usize;
    for id in 0..count {
        let index = usize::from(GlyphId16::new(id).to_u16());
        let (start, end) = (loca.get_raw(index)? as usize, loca.get_raw(index + 1)? as usize);
        let glyph = data.get(start..end)?;
        // Glyphs that share their bytes could take a thousand times the file.
        total += glyph.len();
        if total > data.len() {
            return None;
        }
        let mut outline = Vec::with_capacity(glyph.len() + 3);
        if glyph.len() >= 12 {
            let contours = i16::from_be_bytes([glyph[0], glyph[1]]);
            let ends = 10 + 2 * usize::try_from(contours).ok()?; // composite: -1
            let hints = usize::from(u16::from_be_bytes([*glyph.get(ends)?, *glyph.get(ends + 1)?]));
            outline.extend_from_slice(&glyph[..ends]);
            outline.extend_from_slice(&[0, 0]);
            outline.extend_from_slice(glyph.get(ends + 2 + hints..)?);
            outline.resize((outline.len() + 3) & !3, 0);
        }
        outlines.push(outline);
    }
    Some(outlines)
}

/// Lengths of a Huffman code for these frequencies, none above [`LONGEST`].
/// Every symbol gets a code, so that any glyph can be written.
fn code_lengths(frequencies: &[u64; SYMBOLS]) -> Vec<u8> {
    let mut weights: Vec<u64> = frequencies.iter().map(|weight| (*weight).max(1)).collect();
    let mut shift = 13;
    loop {
        let lengths = huffman(&weights);
        if lengths.iter().all(|length| *length <= LONGEST) {
            return lengths;
        }
        // Too deep: lift the rarest, higher every time, until all are alike.
        let floor = weights.iter().sum::<u64>() >> shift;
        shift = (shift - 1).max(0);
        for weight in &mut weights {
            *weight = (*weight).max(floor);
        }
    }
}

fn huffman(weights: &[u64]) -> Vec<u8> {
    let leaves = weights.len();
    let mut parent = vec![usize::MAX; 2 * leaves];
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> =
        weights.iter().enumerate().map(|(leaf, weight)| Reverse((*weight, leaf))).collect();
    let mut next = leaves;
    while let (Some(Reverse(a)), Some(Reverse(b))) = (heap.pop(), heap.pop()) {
        parent[a.1] = next;
        parent[b.1] = next;
        heap.push(Reverse((a.0 + b.0, next)));
        next += 1;
        if heap.len() == 1 {
            break;
        }
    }
    (0..leaves)
        .map(|leaf| {
            let (mut depth, mut node) = (0, leaf);
            while parent[node] != usize::MAX {
                node = parent[node];
                depth += 1;
            }
            depth
        })
        .collect()
}

/// Canonical codes (RFC 1951 §3.2.2), bit-reversed as DEFLATE writes them.
fn codes(lengths: &[u8]) -> Vec<(u32, u8)> {
    let mut counts = [0u32; 16];
    for length in lengths {
        counts[usize::from(*length)] += 1;
    }
    counts[0] = 0;
    let mut next = [0u32; 16];
    let mut code = 0;
    for length in 1..16 {
        code = (code + counts[length - 1]) << 1;
        next[length] = code;
    }
    lengths
        .iter()
        .map(|length| {
            let value = next[usize::from(*length)];
            next[usize::from(*length)] += 1;
            (reversed(value, *length), *length)
        })
        .collect()
}

fn reversed(code: u32, length: u8) -> u32 {
    code.reverse_bits() >> (32 - u32::from(length.max(1)))
}

/// BFINAL, BTYPE = dynamic, 257 literal codes, one distance code, and the code
/// lengths written plainly with four bits each.
fn block_header(lengths: &[u8]) -> (Vec<u64>, u32) {
    let mut header = vec![(1, 1), (2, 2), (0, 5), (0, 5), (15, 4)];
    for symbol in [16u8, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
        header.push((if symbol > 15 { 0 } else { 4 }, 3));
    }
    for length in lengths.iter().chain(&[1]) {
        header.push((reversed(u32::from(*length), 4), 4));
    }
    let mut writer = BitWriter::default();
    for code in header {
        writer.put(code);
    }
    let bits = writer.bits();
    (writer.into_words().collect(), bits)
}
