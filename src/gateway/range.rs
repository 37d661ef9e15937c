//! One byte range of a request (RFC 9110 §14).
//!
//! Only a single range is served; a list is answered with the whole file,
//! which the standard allows and which leaves nothing to amplify. A range that
//! is not of the known form is ignored, as the standard asks.

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// What a request wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The file.
    Whole,
    /// These bytes of it: 206.
    Part(Range<u64>),
    /// Bytes it does not have: 416.
    Nothing,
}

/// What the headers want of a file of `length` bytes that is now `etag`.
pub(super) fn wanted(headers: &HeaderMap, etag: &str, length: u64) -> Wanted {
    let mut values = headers.get_all(header::RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Wanted::Whole };
    // Resuming another file's download would join two files.
    if let Some(condition) = headers.get(header::IF_RANGE)
        && condition.as_bytes() != etag.as_bytes()
    {
        return Wanted::Whole;
    }
    value.to_str().ok().and_then(|text| part(text, length)).unwrap_or(Wanted::Whole)
}

fn part(text: &str, length: u64) -> Option<Wanted> {
    let (unit, spec) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    let range = match (number(first)?, number(last)?) {
        (None, None) => return None,
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
        (Some(first), None) => first..length,
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
    };
    Some(if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) })
}

/// Digits as a number, nothing as none; anything else is no range.
#[expect(clippy::option_option, reason = "nothing said, and nothing sensible said")]
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a length can have mean "to the end", not "refuse".
    digits.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(range: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        wanted(&headers, "\"e\"", 1_000)
    }

    #[test]
    fn one_range_is_served_and_never_past_the_end() {
        for (text, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-499", 0..500),
            ("bytes=500-", 500..1_000),
            ("bytes=-1", 999..1_000),
            ("bytes=-5000", 0..1_000),
            ("bytes=990-99999999999999999999999", 990..1_000),
            ("Bytes=7-9", 7..10),
        ] {
            assert_eq!(ask(text), Wanted::Part(range), "{text}");
        }
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for text in [
            "bytes=0-0,5-9",
            "bytes=0-,0-",
            "bytes=-",
            "bytes=9-7",
            "bytes=a-b",
            "bytes=+1-2",
            "lines=1-2",
            "bytes 1-2",
            "bytes=--1",
            "",
        ] {
            assert_eq!(ask(text), Wanted::Whole, "{text}");
        }
    }

    #[test]
    fn bytes_that_do_not_exist_are_said_not_to_exist() {
        for text in ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=18446744073709551615-"] {
            assert_eq!(ask(text), Wanted::Nothing, "{text}");
        }
    }

    #[test]
    fn a_resumed_download_needs_the_same_file() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=1-2".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"other\"".parse().unwrap());
        assert_eq!(wanted(&headers, "\"e\"", 9), Wanted::Whole, "another file starts anew");
        headers.insert(header::IF_RANGE, "\"e\"".parse().unwrap());
        assert_eq!(wanted(&headers, "\"e\"", 9), Wanted::Part(1..3), "the same file goes on");
        headers.append(header::RANGE, "bytes=3-4".parse().unwrap());
        assert_eq!(wanted(&headers, "\"e\"", 9), Wanted::Whole, "two headers are a list");
    }
}
