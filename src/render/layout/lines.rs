//! Where lines may end.
//!
//! The classes are those of UAX #14 as the `unicode-linebreak` crate has them,
//! which keeps every character of the kinsoku table off the place where it may
//! not stand. On top of that a number keeps its unit: neither UAX #14 nor JIS
//! X 4051 would hold `1,234` and `円` together.
//!
//! Text that has no opportunity within the width is broken where it overflows
//! (`overflow-wrap: anywhere`); nothing ever runs off the sheet.

use std::ops::Range;

use super::{Glyph, Kind};

/// A line that fits by less than this is full.
const TOLERANCE: f32 = 0.01;

/// What lines must fit.
#[derive(Clone, Copy, Debug)]
pub(in crate::render) struct Fit {
    /// In points.
    pub(in crate::render) width: f32,
    /// The first line is shorter by this.
    pub(in crate::render) indent: f32,
    /// Text without an opportunity is broken where it overflows. When the
    /// narrowest width is asked for, it is not.
    pub(in crate::render) anywhere: bool,
}

/// Breaks glyphs into lines. Trailing spaces are left out, and each glyph but
/// spaces and breaks is in exactly one line. `may_end` is empty, or what it was
/// made the last time for the same glyphs. The lines are added to `lines`.
pub(in crate::render) fn break_lines(
    glyphs: &[Glyph],
    fit: Fit,
    may_end: &mut Vec<bool>,
    lines: &mut Vec<Range<usize>>,
) {
    let width = fit.width;
    let total: f32 = fit.indent + glyphs.iter().map(|glyph| glyph.advance).sum::<f32>();
    let breaks = glyphs.iter().any(|glyph| glyph.kind == Kind::Break);
    if glyphs.is_empty() {
        return;
    }
    // Most text is a short cell: it fits, and no class is ever looked up.
    if total <= width + TOLERANCE && !breaks {
        lines.push(0..trimmed(glyphs, 0, glyphs.len()));
        return;
    }
    if may_end.len() != glyphs.len() {
        *may_end = opportunities(glyphs);
    }
    let mut start = 0;
    while start < glyphs.len() {
        let indent = if start == 0 { fit.indent } else { 0.0 };
        let room = Fit { width: width - indent, ..fit };
        let (end, next) = one_line(glyphs, may_end, start, room);
        lines.push(start..trimmed(glyphs, start, end));
        start = next;
    }
}

/// Where the line that begins at `start` ends, and where the next one begins.
fn one_line(glyphs: &[Glyph], may_end: &[bool], start: usize, fit: Fit) -> (usize, usize) {
    let mut x = 0.0;
    let mut best = None;
    for (at, glyph) in glyphs.iter().enumerate().skip(start) {
        if glyph.kind == Kind::Break {
            return (at, at + 1);
        }
        x += glyph.advance;
        if x > fit.width + TOLERANCE
            && at > start
            && glyph.kind != Kind::Space
            && let Some(end) = best.or(fit.anywhere.then_some(at))
        {
            return (end, skip_spaces(glyphs, end));
        }
        if may_end[at] {
            best = Some(at + 1);
        }
    }
    (glyphs.len(), glyphs.len())
}

fn skip_spaces(glyphs: &[Glyph], from: usize) -> usize {
    let spaces = glyphs[from..].iter().take_while(|glyph| glyph.kind == Kind::Space).count();
    from + spaces
}

fn trimmed(glyphs: &[Glyph], start: usize, end: usize) -> usize {
    let spaces = glyphs[start..end].iter().rev().take_while(|glyph| glyph.kind == Kind::Space);
    end - spaces.count()
}

/// For each glyph, whether a line may end after it.
fn opportunities(glyphs: &[Glyph]) -> Vec<bool> {
    let mut text = String::with_capacity(3 * glyphs.len());
    let mut ends = Vec::with_capacity(glyphs.len());
    for glyph in glyphs {
        text.extend(char::from_u32(glyph.base));
        if glyph.modifier != 0 {
            text.extend(char::from_u32(glyph.modifier));
        }
        ends.push(text.len());
    }
    let mut may_end = vec![false; glyphs.len()];
    let mut at = 0;
    for (offset, _) in unicode_linebreak::linebreaks(&text) {
        while at < ends.len() && ends[at] < offset {
            at += 1;
        }
        if at < ends.len() && ends[at] == offset {
            may_end[at] = true;
        }
    }
    for (pair, end) in glyphs.windows(2).zip(&mut may_end) {
        let glued = pair[0].glued && pair[1].glued;
        *end = *end && !glued && !belongs_together(pair[0].base, pair[1].base);
    }
    may_end
}

/// A digit and the unit after it.
fn belongs_together(before: u32, after: u32) -> bool {
    let digit = |code| matches!(code, 0x30..=0x39 | 0xff10..=0xff19);
    let unit = |code| {
        char::from_u32(code)
            .is_some_and(|unit| "円年月日時分秒個件名枚本台式回箱袋冊人%％℃㎏㎡".contains(unit))
    };
    digit(before) && unit(after)
}
