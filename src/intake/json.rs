//! JSON that can be read in one way only.
//!
//! `serde_json` keeps the last of two equal keys without a word, so two readers
//! of one message could see two different recipients. Here a key that comes
//! twice, at any depth, refuses the whole body. Depth and the number of values
//! are counted while reading: a body of a megabyte cannot become a tree of a
//! hundred.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::parse::ParseLimits;
use crate::domain::refusal::Refusal;

/// Reads one JSON text, or says why not: `too_large`, `bad_json`, `dup_key`.
pub(super) fn read(body: &[u8], limits: &ParseLimits) -> Result<Value, Refusal> {
    if body.len() > limits.body_bytes_max {
        return Err(Refusal::TooLarge);
    }
    let text = std::str::from_utf8(body).map_err(|_| Refusal::BadJson)?;
    if text.starts_with('\u{feff}') {
        return Err(Refusal::BadJson);
    }
    let fault = Cell::new(None);
    let values_left = Cell::new(limits.values_max);
    let seed = Strict { depth_left: limits.depth_max, values_left: &values_left, fault: &fault };
    let mut reader = serde_json::Deserializer::from_str(text);
    let outcome = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    outcome.map_err(|_| fault.get().unwrap_or(Refusal::BadJson))
}

/// Reads one value and everything in it.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth_left: usize,
    values_left: &'a Cell<usize>,
    fault: &'a Cell<Option<Refusal>>,
}

impl Strict<'_> {
    fn fail<E: serde::de::Error>(self, refusal: Refusal) -> E {
        self.fault.set(Some(refusal));
        E::custom("refused")
    }

    /// The seed for what is inside.
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.fail(Refusal::BadJson)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.values_left.get().checked_sub(1) {
            Some(left) => self.values_left.set(left),
            None => return Err(self.fail(Refusal::TooLarge)),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(self.fail(Refusal::DupKey));
            }
            let value = entries.next_value_seed(inside)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(text: &str) -> Result<Value, Refusal> {
        read(text.as_bytes(), &ParseLimits::default())
    }

    #[test]
    fn a_key_that_comes_twice_refuses_the_body_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":[{"c":1,"d":2,"c":3}]}}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[[[{"":0,"":0}]]]"#,
        ] {
            assert_eq!(outcome(text), Err(Refusal::DupKey), "{text}");
        }
        assert!(outcome(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok(), "other objects may use the key");
    }

    #[test]
    fn what_is_not_one_json_text_is_bad() {
        for text in [
            "",
            " ",
            "{",
            "{}{}",
            "{} x",
            "[1,]",
            "NaN",
            "[Infinity]",
            "1e400",
            "01",
            "'a'",
            "\"\\ud800\"",
            "\"\n\"",
            "\u{feff}{}",
            "{1:2}",
            "nul",
            "// c\n{}",
            "\"\\x\"",
        ] {
            assert_eq!(outcome(text), Err(Refusal::BadJson), "{text:?}");
        }
        assert_eq!(read(b"\"\xff\"", &ParseLimits::default()), Err(Refusal::BadJson), "not UTF-8");
        assert_eq!(
            read(b"\"\xc0\x80\"", &ParseLimits::default()),
            Err(Refusal::BadJson),
            "overlong"
        );
    }

    #[test]
    fn depth_and_size_have_limits() {
        let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(outcome(&nest(64)).is_ok(), "64 deep is allowed");
        assert_eq!(outcome(&nest(65)), Err(Refusal::BadJson), "65 is not");
        assert_eq!(outcome(&"[".repeat(1_000_000)), Err(Refusal::BadJson), "nor a million");
        let many = format!("[{}0]", "0,".repeat(200_000));
        assert_eq!(outcome(&many), Err(Refusal::TooLarge), "too many values");
        let text = |octets: usize| format!("\"{}\"", "a".repeat(octets.saturating_sub(2)));
        assert_eq!(outcome(&text((1 << 20) + 1)), Err(Refusal::TooLarge), "over a mebibyte");
        assert!(outcome(&text(1 << 20)).is_ok(), "a mebibyte");
    }

    proptest! {
        #[test]
        fn nothing_panics(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _outcome = read(&body, &ParseLimits::default());
        }

        #[test]
        fn what_has_no_double_key_reads_as_everywhere(text in "[\\[\\]{},:\"a-c0-9. \\\\tfn-]{0,24}") {
            if let Ok(ours) = outcome(&text) {
                prop_assert_eq!(ours, serde_json::from_str::<Value>(&text).unwrap());
            } else if outcome(&text) != Err(Refusal::DupKey) {
                prop_assert!(serde_json::from_str::<Value>(&text).is_err(), "{}", text);
            }
        }
    }
}
