//! One byte string for one JSON value, whatever order its sender wrote it in.
//!
//! Keys are sorted by UTF-16 code units, there is no white space, and strings
//! carry the shortest escapes, as in RFC 8785. Numbers are whole and of at most
//! 15 digits wherever a job comes from `intake`, so the RFC's rule for floating
//! point is never needed; a float that gets here all the same is written the
//! shortest way that reads back as the same value.

use serde_json::Value;

/// The canonical bytes of `value`.
pub fn canonical_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write_value(value, &mut out);
    out
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (n, (key, value)) in entries.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                write_value(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
        Value::String(text) => write_text(text, out),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Null => out.extend_from_slice(b"null"),
    }
}

/// The escapes of RFC 8785 §3.2.2.2: two characters where JSON has a short
/// form, lower-case `\u00xx` for the other controls, everything else as it is.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            0x00..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_8785_sorts_by_utf_16() {
        // RFC 8785 §3.2.3.
        let input = "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew\",\
                     \"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji\",\"\\u0080\":\"Control\",\"\\u00f6\":\"O\"}";
        let value: Value = serde_json::from_str(input).unwrap();
        let text = String::from_utf8(canonical_json(&value)).unwrap();
        let order = ["Carriage", "One", "Control", "\"O\"", "Euro", "Emoji", "Hebrew"];
        let places: Vec<_> = order.iter().map(|word| text.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "wrong order: {text}");
    }

    proptest! {
        #[test]
        fn strings_are_written_as_everyone_writes_them(text in any::<String>()) {
            let ours = canonical_json(&Value::String(text.clone()));
            prop_assert_eq!(ours, serde_json::to_vec(&text).unwrap());
        }

        #[test]
        fn the_order_of_keys_does_not_matter(keys in prop::collection::hash_set("\\PC{0,6}", 0..12)) {
            let forward: serde_json::Map<_, _> = keys.iter().map(|k| (k.clone(), Value::from(k.len()))).collect();
            let backward: serde_json::Map<_, _> = forward.clone().into_iter().rev().collect();
            let bytes = canonical_json(&Value::Object(forward.clone()));
            prop_assert_eq!(&bytes, &canonical_json(&Value::Object(backward)));
            let back: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(back, Value::Object(forward));
        }
    }
}
