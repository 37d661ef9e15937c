//! Which text may enter a mail's headers and body.
//!
//! lettre panics on some control characters in display names, a line break in
//! a subject comes out again at the reader, and an ASCII text holding `=?` is
//! decoded into something else than what was checked. So every input passes
//! here first, whatever checked it before.

use super::compose::{Fault, Field};

/// The longest text of one field, in characters.
const LENGTH_MAX: usize = 200;

/// The longest subject: the standard one holds three other fields.
const SUBJECT_MAX: usize = 700;

/// Checks one line of text that people will read.
///
/// Refused: nothing at all or only blanks, more than 200 characters, control
/// characters of both sets, line and paragraph separators, invisible marks and
/// changes of direction, tag characters, and `=?`, which opens an encoded word.
pub(super) fn check(field: Field, text: &str) -> Result<(), Fault> {
    let length_max = if field == Field::Subject { SUBJECT_MAX } else { LENGTH_MAX };
    let fits = !text.trim().is_empty()
        && text.chars().take(length_max.saturating_add(1)).count() <= length_max
        && !text.contains("=?")
        && !text.chars().any(is_hostile);
    if fits { Ok(()) } else { Err(Fault::BadText { field }) }
}

/// Characters that change how the text around them is read, or that a mail
/// program could take for a line end. Variation selectors are not among them:
/// Japanese names need them.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Whether `text` is a Message-ID as we write it: `<left@right>`, printable
/// ASCII without blanks, at most 200 octets.
pub(super) fn is_message_id(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) else {
        return false;
    };
    let safe = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    text.len() <= 200
        && inner.split_once('@').is_some_and(|(left, right)| safe(left) && safe(right))
}

/// The host of a link as we make them, or none if the link holds anything but
/// the characters of an `https` URL that need no escaping in text or HTML.
/// `http` is for the demo on the own machine.
pub(super) fn link_host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let safe = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b'#')
    };
    let host = rest.split(['/', '#']).next()?;
    let fits = !host.is_empty() && url.len() <= 500 && rest.bytes().all(safe);
    fits.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "山田 太郎",
            "株式会社髙﨑商事",
            "葛󠄀城市",
            "𠮷野家",
            "Zoë O'Neil, Ltd.",
            "㈱ア・イ・ウ",
            "a=b?",
            "請求書（2026年11月分）",
            "(comment) <angle> \"quote\" @;:,\\",
        ] {
            assert_eq!(check(Field::ToName, name), Ok(()), "{name} is a fine name");
        }
    }

    #[test]
    fn hostile_text_is_refused() {
        for text in [
            "",
            "   ",
            "a\r\nBcc: x@y.z",
            "a\nb",
            "a\0b",
            "a\tb",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{9f}",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{2028}b",
            "a\u{2029}b",
            "a\u{200b}b",
            "a\u{feff}",
            "=?UTF-8?B?5bGx?=",
            "請求 =?x",
            "a\u{e0041}b",
        ] {
            let refused = Err(Fault::BadText { field: Field::Subject });
            assert_eq!(check(Field::Subject, text), refused, "{text:?} must be refused");
        }
        assert!(check(Field::Title, &"あ".repeat(200)).is_ok(), "200 characters fit");
        assert!(check(Field::Title, &"あ".repeat(201)).is_err(), "201 do not");
    }

    #[test]
    fn a_link_is_plain_or_refused() {
        assert_eq!(link_host("https://send.example.jp/d/AbC-_9"), Some("send.example.jp"));
        assert_eq!(link_host("http://127.0.0.1:8080/d/x"), Some("127.0.0.1:8080"));
        for url in [
            "",
            "ftp://x/y",
            "https://",
            "https:///d",
            "https://a/\"><b",
            "https://a/ b",
            "https://a/?x&y",
            "https://a/é",
            "https://u@h/",
        ] {
            assert_eq!(link_host(url), None, "{url} must be refused");
        }
    }

    #[test]
    fn a_message_id_is_plain_or_refused() {
        assert!(is_message_id("<0190-ab.1@mail.example.jp>"), "ours is fine");
        for id in ["", "<>", "a@b", "<a@b", "<a b@c>", "<a@b\r\n>", "<a@b@c>", "<あ@b>"] {
            assert!(!is_message_id(id), "{id:?} must be refused");
        }
    }
}
