//! Writes a document out, byte for byte as `lopdf` would: each number, name and
//! key straight into one buffer, where `lopdf` formats them through a `dyn Write`.
//! A test holds the two to the same bytes.
//!
//! Leaves to `lopdf` what is not as simple as a document of ours: other than a
//! plain cross-reference table, later generations, objects that are not written.

use std::io::Write as _;

use lopdf::{Dictionary, Document, Object, StringFormat, xref::XrefType};

/// Writes a document at the end of `out`.
pub(super) fn document(document: &mut Document, out: &mut Vec<u8>) -> Result<(), lopdf::Error> {
    if !is_plain(document) {
        return Ok(document.save_to(out)?);
    }
    let begin = out.len();
    let at = |out: &Vec<u8>| out.len().saturating_sub(begin);
    out.extend_from_slice(b"%PDF-");
    out.extend_from_slice(document.version.as_bytes());
    out.extend_from_slice(b"\n%");
    out.extend_from_slice(&document.binary_mark);
    out.push(b'\n');
    let mut places = Vec::with_capacity(document.objects.len());
    for ((number, _), object) in &document.objects {
        places.push((*number, at(out)));
        whole(out, (*number).into());
        out.extend_from_slice(b" 0 obj\n");
        if is_word(object) {
            out.push(b' ');
        }
        put(out, object);
        if is_word(object) || matches!(object, Object::Name(_) | Object::Stream(_)) {
            out.push(b' ');
        }
        out.extend_from_slice(b"\nendobj\n");
    }
    let table = at(out);
    out.extend_from_slice(b"xref\n");
    sections(out, &places);
    document.trailer.set("Size", i64::from(document.max_id).saturating_add(1));
    out.extend_from_slice(b"trailer\n");
    dictionary(out, &document.trailer);
    out.extend_from_slice(b"\nstartxref\n");
    whole(out, u64::try_from(table).unwrap_or(u64::MAX));
    out.extend_from_slice(b"\n%%EOF");
    Ok(())
}

/// Whether a document is written from its first object to its last.
fn is_plain(document: &Document) -> bool {
    matches!(document.reference_table.cross_reference_type, XrefType::CrossReferenceTable)
        && document.binary_mark.iter().all(|byte| *byte >= 128)
        && document
            .objects
            .keys()
            .all(|(number, generation)| (1..=document.max_id).contains(number) && *generation == 0)
        && !document.objects.values().any(is_left_out)
}

/// Whether `lopdf` leaves an object out, because of its type.
fn is_left_out(object: &Object) -> bool {
    let dictionary = match object {
        Object::Dictionary(dictionary) => dictionary,
        Object::Stream(stream) => &stream.dict,
        Object::Null
        | Object::Boolean(_)
        | Object::Integer(_)
        | Object::Real(_)
        | Object::Name(_)
        | Object::String(..)
        | Object::Array(_)
        | Object::Reference(_) => return false,
    };
    dictionary.iter().any(|(key, value)| match key.as_slice() {
        b"Type" => matches!(value, Object::Name(name) if name == b"ObjStm" || name == b"XRef" || name == b"Linearized"),
        key => key == b"Linearized",
    })
}

/// The cross-reference table: a section for each run of numbers.
fn sections(out: &mut Vec<u8>, places: &[(u32, usize)]) {
    let mut rest = places;
    let mut first = true;
    while first || !rest.is_empty() {
        let start = if first { 0 } else { rest.first().map_or(0, |(number, _)| *number) };
        let from = start.saturating_add(u32::from(first));
        let run = (from..).zip(rest).take_while(|(number, (own, _))| number == own).count();
        let (own, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
        whole(out, start.into());
        out.push(b' ');
        whole(out, u64::try_from(run).unwrap_or(u64::MAX).saturating_add(u64::from(first)));
        out.push(b'\n');
        if first {
            out.extend_from_slice(b"0000000000 65535 f \n");
        }
        for (_, place) in own {
            digits(out, u64::try_from(*place).unwrap_or(u64::MAX), 10);
            out.extend_from_slice(b" 00000 n \n");
        }
        (first, rest) = (false, after);
    }
}

/// Whether an object is parted from what stands before it.
fn is_word(object: &Object) -> bool {
    matches!(
        object,
        Object::Null
            | Object::Boolean(_)
            | Object::Integer(_)
            | Object::Real(_)
            | Object::Reference(_)
    )
}

fn put(out: &mut Vec<u8>, object: &Object) {
    match object {
        Object::Null => out.extend_from_slice(b"null"),
        Object::Boolean(true) => out.extend_from_slice(b"true"),
        Object::Boolean(false) => out.extend_from_slice(b"false"),
        Object::Integer(value) => {
            if *value < 0 {
                out.push(b'-');
            }
            whole(out, value.unsigned_abs());
        }
        Object::Real(value) => real(out, *value),
        Object::Name(value) => name(out, value),
        Object::String(text, StringFormat::Literal) => literal(out, text),
        Object::String(text, StringFormat::Hexadecimal) => hexadecimal(out, text),
        Object::Array(items) => {
            out.push(b'[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 && is_word(item) {
                    out.push(b' ');
                }
                put(out, item);
            }
            out.push(b']');
        }
        Object::Dictionary(value) => dictionary(out, value),
        Object::Stream(stream) => {
            dictionary(out, &stream.dict);
            out.extend_from_slice(b"stream\n");
            out.extend_from_slice(&stream.content);
            out.extend_from_slice(b"\nendstream");
        }
        Object::Reference((number, generation)) => {
            whole(out, (*number).into());
            out.push(b' ');
            whole(out, (*generation).into());
            out.extend_from_slice(b" R");
        }
    }
}

fn dictionary(out: &mut Vec<u8>, dictionary: &Dictionary) {
    out.extend_from_slice(b"<<");
    for (key, value) in dictionary {
        name(out, key);
        if is_word(value) {
            out.push(b' ');
        }
        put(out, value);
    }
    out.extend_from_slice(b">>");
}

/// Bytes that stand in a name as they are.
const PLAIN: [bool; 256] = plain();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "made once, by the compiler, which would see it"
)]
const fn plain() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        let sign = matches!(
            byte as u8,
            b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%' | b'#'
        );
        table[byte] = (byte as u8).is_ascii_graphic() && !sign;
        byte += 1;
    }
    table
}

fn name(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b'/');
    let plain = |byte: u8| PLAIN.get(usize::from(byte)).is_some_and(|plain| *plain);
    if name.iter().all(|byte| plain(*byte)) {
        out.extend_from_slice(name);
        return;
    }
    for byte in name {
        if plain(*byte) {
            out.push(*byte);
        } else {
            out.push(b'#');
            out.extend_from_slice(&pair(*byte));
        }
    }
}

/// A text in parentheses; those in it that have no partner are escaped.
fn literal(out: &mut Vec<u8>, text: &[u8]) {
    let mut escaped = Vec::new();
    let mut open = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'(' => open.push(at),
            b')' if open.pop().is_none() => escaped.push(at),
            b'\\' | b'\r' => escaped.push(at),
            _ => {}
        }
    }
    escaped.append(&mut open);
    escaped.sort_unstable();
    out.push(b'(');
    let mut rest = (0, text);
    for at in escaped {
        let (from, text) = rest;
        let parts = at.checked_sub(from).and_then(|before| text.split_at_checked(before));
        let Some((before, [byte, after @ ..])) = parts else { continue };
        out.extend_from_slice(before);
        out.extend_from_slice(&[b'\\', if *byte == b'\r' { b'r' } else { *byte }]);
        rest = (at.saturating_add(1), after);
    }
    out.extend_from_slice(rest.1);
    out.push(b')');
}

fn hexadecimal(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'<');
    for byte in text {
        out.extend_from_slice(&pair(*byte));
    }
    out.push(b'>');
}

fn pair(byte: u8) -> [u8; 2] {
    let digit = |value: u8| if value < 10 { b'0' | value } else { (b'A' - 10).wrapping_add(value) };
    [digit(byte >> 4), digit(byte & 15)]
}

/// The shortest digits that are read as the same number.
fn real(out: &mut Vec<u8>, value: f32) {
    let hundredths = (value * 100.0).round();
    // Six digits are never ambiguous, so that no shorter ones are this number's.
    let exact = (hundredths / 100.0).to_bits() == value.to_bits();
    if exact && hundredths != 0.0 && hundredths.abs() < 1_000_000.0 {
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "a whole number of six digits"
        )]
        let rounded = hundredths as i64;
        if value < 0.0 {
            out.push(b'-');
        }
        let all = rounded.unsigned_abs();
        whole(out, all / 100);
        match (all / 10 % 10, all % 10) {
            (0, 0) => {}
            (tenths, 0) => {
                out.push(b'.');
                digits(out, tenths, 1);
            }
            _ => {
                out.push(b'.');
                digits(out, all % 100, 2);
            }
        }
        return;
    }
    // Writing into memory cannot fail.
    write!(out, "{value}").unwrap_or_default();
}

fn whole(out: &mut Vec<u8>, value: u64) {
    digits(out, value, 1);
}

/// A whole number with at least so many digits.
fn digits(out: &mut Vec<u8>, mut value: u64, least: usize) {
    let mut text = [b'0'; 20];
    let mut from = text.len();
    for (at, place) in text.iter_mut().enumerate().rev() {
        if value == 0 {
            break;
        }
        *place = b'0' | u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        from = at;
    }
    let from = from.min(text.len().saturating_sub(least));
    out.extend_from_slice(text.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lopdf::{Stream, dictionary};
    use proptest::prelude::*;

    use super::*;

    fn object() -> impl Strategy<Value = Object> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..12);
        let written = || "[ -~\\r\\n]{0,12}".prop_map(String::into_bytes);
        let leaf = prop_oneof![
            Just(Object::Null),
            any::<bool>().prop_map(Object::Boolean),
            any::<i64>().prop_map(Object::Integer),
            any::<f32>().prop_map(Object::Real),
            (-2_000_000..2_000_000i32).prop_map(|value| Object::Real(value as f32 / 100.0)),
            (-2_000_000..2_000_000i32).prop_map(|value| Object::Real(value as f32 / 1000.0)),
            prop_oneof![bytes(), written()].prop_map(Object::Name),
            (prop_oneof![bytes(), written(), "[()\\\\]{0,9}".prop_map(String::into_bytes)])
                .prop_map(|text| Object::String(text, StringFormat::Literal)),
            bytes().prop_map(|text| Object::String(text, StringFormat::Hexadecimal)),
            (any::<u32>(), any::<u16>()).prop_map(Object::Reference),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            let entries = proptest::collection::vec(("[!-~]{1,6}", inner.clone()), 0..6);
            prop_oneof![
                proptest::collection::vec(inner, 0..6).prop_map(Object::Array),
                entries.prop_map(|entries| Object::Dictionary(Dictionary::from_iter(entries))),
            ]
        })
    }

    fn same(objects: BTreeMap<(u32, u16), Object>, trailer: &[(&str, Object)]) {
        let mut theirs = Document::with_version("1.7");
        theirs.reference_table.cross_reference_type = XrefType::CrossReferenceTable;
        theirs.max_id = objects.keys().map(|(number, _)| *number).max().unwrap_or(0);
        theirs.objects = objects;
        for (key, value) in trailer {
            theirs.trailer.set(*key, value.clone());
        }
        let mut ours = theirs.clone();
        let (mut wanted, mut found) = (Vec::new(), b"before".to_vec());
        theirs.save_to(&mut wanted).unwrap();
        document(&mut ours, &mut found).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&found[6..]),
            String::from_utf8_lossy(&wanted),
            "the bytes that lopdf writes"
        );
        assert_eq!(&found[6..], &*wanted, "the bytes that lopdf writes");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn a_document_is_written_as_lopdf_writes_it(
            objects in proptest::collection::btree_map(1..40u32, object(), 0..12),
            content in proptest::collection::vec(any::<u8>(), 0..40),
            root in object(),
        ) {
            let mut objects: BTreeMap<(u32, u16), Object> =
                objects.into_iter().map(|(number, object)| ((number, 0), object)).collect();
            objects.insert((17, 0), Stream::new(dictionary! { "A" => 1 }, content).into());
            same(objects, &[("Root", root)]);
        }
    }

    #[test]
    fn reals_are_as_short_as_those_of_lopdf() {
        for value in (0..1_000_000).step_by(7).chain(999_900..1_000_100) {
            for value in [value as f32 / 100.0, -(value as f32) / 100.0, value as f32 / 1000.0] {
                let mut out = Vec::new();
                real(&mut out, value);
                assert_eq!(String::from_utf8(out).unwrap(), format!("{value}"), "{value:?}");
            }
        }
    }

    #[test]
    fn what_lopdf_leaves_out_is_left_to_it() {
        let left = [
            dictionary! { "Type" => "ObjStm" },
            dictionary! { "Type" => "XRef" },
            dictionary! { "Linearized" => 1 },
        ];
        for left in left {
            let objects = [((1, 0), Object::Null), ((2, 0), left.into())];
            same(BTreeMap::from(objects), &[]);
        }
        same(BTreeMap::from([((3, 1), Object::Null), ((3, 0), Object::Null)]), &[]);
    }
}
