//! A look at the bytes themselves, past all cross-references.
//!
//! Older revisions, objects that a cross-reference hides from one reader and
//! shows to another, fake streams: whatever the trick, a script needs its name.
//! Long names are looked for in every byte; chance does not write them. Short
//! ones are looked for in the text of object streams that can be unpacked.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use crate::domain::pdf::PdfFlaw;

/// Names that no passive document holds, long enough not to come by chance.
const LONG: [(&[u8], PdfFlaw); 7] = [
    (b"JavaScript", PdfFlaw::Javascript),
    (b"Launch", PdfFlaw::Action),
    (b"SubmitForm", PdfFlaw::Action),
    (b"ImportData", PdfFlaw::Action),
    (b"RichMedia", PdfFlaw::Action),
    (b"EmbeddedFile", PdfFlaw::EmbeddedFile),
    (b"EmbeddedFiles", PdfFlaw::EmbeddedFile),
];
/// The same, but short: only where the bytes are text.
const SHORT: [(&[u8], PdfFlaw); 4] = [
    (b"JS", PdfFlaw::Javascript),
    (b"AA", PdfFlaw::Action),
    (b"EF", PdfFlaw::EmbeddedFile),
    (b"XFA", PdfFlaw::Xfa),
];
const OBJECT_STREAM: &[u8] = b"ObjStm";
/// The longest of these names.
const NAME_MAX: usize = 16;
/// How far behind its name the data of an object stream may begin, in bytes.
const DICTIONARY_MAX: usize = 2_048;
/// What all object streams may unpack to, in bytes.
const UNPACKED_MAX: u64 = 128 << 20;

pub(super) fn check(pdf: &[u8]) -> Result<(), PdfFlaw> {
    let mut left = UNPACKED_MAX;
    each_name(pdf, &mut |name, rest| {
        forbidden(name, &LONG)?;
        if name == OBJECT_STREAM { object_stream(rest, &mut left) } else { Ok(()) }
    })
}

fn forbidden(name: &[u8], list: &[(&[u8], PdfFlaw)]) -> Result<(), PdfFlaw> {
    list.iter().find(|(known, _)| *known == name).map_or(Ok(()), |(_, flaw)| Err(*flaw))
}

/// Looks into the stream whose dictionary holds what comes before `rest`.
fn object_stream(rest: &[u8], left: &mut u64) -> Result<(), PdfFlaw> {
    let head = rest.get(..rest.len().min(DICTIONARY_MAX)).unwrap_or_default();
    let Some(at) = head.windows(6).position(|window| window == b"stream") else { return Ok(()) };
    let data = rest.get(at.saturating_add(6)..).unwrap_or_default();
    let data = data.strip_prefix(b"\r").unwrap_or(data);
    let data = data.strip_prefix(b"\n").unwrap_or(data);
    let mut text = Vec::new();
    let mut unpacking = ZlibDecoder::new(data).take(left.saturating_add(1));
    // What cannot be unpacked to its end is looked at as far as it goes.
    let whole = unpacking.read_to_end(&mut text);
    let unpacked = u64::try_from(text.len()).unwrap_or(u64::MAX);
    *left = left.checked_sub(unpacked).ok_or(PdfFlaw::UnpacksTooLarge)?;
    let text = if whole.is_ok() || !text.is_empty() { text.as_slice() } else { head };
    each_name(text, &mut |name, _| {
        forbidden(name, &LONG)?;
        forbidden(name, &SHORT)
    })
}

/// What is done with a name and with what follows it.
type Act<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), PdfFlaw>;

/// Calls `act` with every name in `bytes`, `#xx` resolved, and with what follows;
/// names longer than those that are looked for are cut.
fn each_name(bytes: &[u8], act: Act<'_>) -> Result<(), PdfFlaw> {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'/') {
        rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
        let mut name = [0; NAME_MAX];
        let mut length = 0_usize;
        let mut tail = rest;
        while let (Some((byte, after)), Some(place)) = (next_byte(tail), name.get_mut(length)) {
            *place = byte;
            length = length.saturating_add(1);
            tail = after;
        }
        act(name.get(..length).unwrap_or_default(), tail)?;
    }
    Ok(())
}

/// The next byte of a name; none where the name ends.
fn next_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let (first, rest) = text.split_first()?;
    if b"\0\t\n\x0c\r ()<>[]{}/%".contains(first) {
        return None;
    }
    let hex = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if *first == b'#'
        && let [high, low, rest @ ..] = rest
        && let (Some(high), Some(low)) = (hex(high), hex(low))
    {
        return Some((high.wrapping_shl(4) | low, rest));
    }
    Some((*first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_spelt() {
        for text in [&b"<</S/JavaScript>>"[..], b"/S /Java#53cript/JS", b"/#4aavaScript"] {
            assert_eq!(check(text), Err(PdfFlaw::Javascript), "{}", text.escape_ascii());
        }
        for text in [&b"/JavaScripts "[..], b"(JavaScript)", b"/JS", b"/", b"/#", b"/#4", b""] {
            assert_eq!(check(text), Ok(()), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn object_streams_are_looked_into_wherever_they_lie() {
        use std::io::Write as _;
        let packed = |text: &[u8]| {
            let mut zip = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            zip.write_all(text).unwrap();
            let mut bytes = b"<</Type/ObjStm/N 1/First 4>>stream\r\n".to_vec();
            bytes.extend(zip.finish().unwrap());
            bytes
        };
        assert_eq!(check(&packed(b"1 0 <</JS(x)>>")), Err(PdfFlaw::Javascript), "a short name");
        assert_eq!(check(&packed(b"1 0 <</XFA[]>>")), Err(PdfFlaw::Xfa), "a form");
        assert_eq!(check(&packed(b"1 0 <</S/GoTo>>")), Ok(()), "a harmless one");
        let bomb = packed(&vec![b' '; (128 << 20) + 1]);
        assert_eq!(check(&bomb), Err(PdfFlaw::UnpacksTooLarge), "a bomb");
    }
}
