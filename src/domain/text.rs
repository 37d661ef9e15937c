//! Which characters may stand in a line that people read, and in a file name.
//!
//! Control characters end up as extra headers, direction marks make
//! `fdp.exe` read `exe.pdf`, invisible ones make two names look like one. They
//! are refused, not repaired: a repaired name is not the one the sender wrote,
//! and printed names are never normalised (NFC turns 神 into another character).

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// Nothing, or nothing but blanks.
    #[error("the text is empty")]
    Empty,
    /// More characters than the limit.
    #[error("the text is too long")]
    TooLong,
    /// A C0 or C1 control character, a line separator or a non-character.
    #[error("the text holds a control character")]
    Control,
    /// A character that changes the direction of what follows.
    #[error("the text holds a direction override")]
    Direction,
    /// A character that cannot be seen.
    #[error("the text holds an invisible character")]
    Invisible,
    /// `=?`, which some mail readers decode wherever it stands.
    #[error("the text holds the start of an encoded word")]
    EncodedWord,
    /// Not a file name that every system can store.
    #[error("the text is no file name")]
    FileName,
}

/// Checks one line that ends up in a header, on an envelope or on a page.
pub fn check_line(text: &str, chars_max: usize) -> Result<(), BadText> {
    if text.chars().nth(chars_max).is_some() {
        return Err(BadText::TooLong);
    }
    if text.trim().is_empty() {
        return Err(BadText::Empty);
    }
    if text.contains("=?") {
        return Err(BadText::EncodedWord);
    }
    text.chars().try_for_each(check_char)
}

/// Checks a text of several lines, as it stands in a document's data: line
/// feeds, carriage returns and tabs are allowed, and it may be empty.
pub fn check_block(text: &str) -> Result<(), BadText> {
    text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\t')).try_for_each(check_char)
}

fn check_char(c: char) -> Result<(), BadText> {
    match c {
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => Err(BadText::Control),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => {
            Err(BadText::Direction)
        }
        // Variation selectors (U+FE00–FE0F, U+E0100–E01EF) stay: they choose
        // between the two shapes of 葛. Tags (U+E0000–E007F) do not.
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => Err(BadText::Invisible),
        _ if u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c) => {
            Err(BadText::Control)
        }
        _ => Ok(()),
    }
}

/// Checks the name under which a recipient saves the document: one path
/// component that Windows, macOS and Linux can all store, ending in `.pdf`.
pub fn check_filename(name: &str, chars_max: usize) -> Result<(), BadText> {
    check_line(name, chars_max)?;
    let (Some(stem), Some(extension)) =
        (name.get(..name.len().saturating_sub(4)), name.get(name.len().saturating_sub(4)..))
    else {
        return Err(BadText::FileName);
    };
    let device = stem.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let reserved = matches!(device.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (device.len() == 4
            && (device.starts_with("COM") || device.starts_with("LPT"))
            && device.ends_with(|c: char| c.is_ascii_digit()));
    let fits = extension.eq_ignore_ascii_case(".pdf")
        && !stem.is_empty()
        // 255 octets is what common file systems take.
        && name.len() <= 255
        && !name.starts_with(['.', ' ', '-', '~'])
        && !stem.ends_with([' ', '.'])
        && !name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|'])
        && !reserved;
    if fits { Ok(()) } else { Err(BadText::FileName) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass_unchanged() {
        for name in [
            "株式会社桔梗製作所",
            "鶴岡 さくら",
            "髙﨑　𠮷郎",
            "葛󠄀城市",
            "O'Brien & Søn",
            "神社㈱①",
        ] {
            assert_eq!(check_line(name, 100), Ok(()), "{name} must pass");
        }
    }

    #[test]
    fn what_hides_or_commands_is_refused() {
        let cases = [
            ("", BadText::Empty),
            ("　 ", BadText::Empty),
            ("a\r\nBcc: x@y.z", BadText::Control),
            ("a\0b", BadText::Control),
            ("a\u{85}b", BadText::Control),
            ("a\u{2028}b", BadText::Control),
            ("a\u{ffff}b", BadText::Control),
            ("a\u{202e}fdp.exe", BadText::Direction),
            ("a\u{2066}b", BadText::Direction),
            ("a\u{200b}b", BadText::Invisible),
            ("a\u{ad}b", BadText::Invisible),
            ("a\u{e0041}b", BadText::Invisible),
            ("=?utf-8?B?4?=", BadText::EncodedWord),
            ("12345678901", BadText::TooLong),
        ];
        for (text, fault) in cases {
            assert_eq!(
                check_line(
                    text,
                    10.max(text.chars().count().min(15) - usize::from(fault == BadText::TooLong))
                ),
                Err(fault),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_block_may_have_lines_and_nothing_else() {
        assert_eq!(check_block("一行目\r\n\t二行目\n"), Ok(()), "lines are allowed");
        assert_eq!(check_block(""), Ok(()), "nothing is allowed");
        assert_eq!(check_block("a\u{b}b"), Err(BadText::Control), "a vertical tab is not");
        assert_eq!(check_block("a\u{202e}b"), Err(BadText::Direction), "an override is not");
    }

    #[test]
    fn a_file_name_is_one_that_every_system_can_store() {
        for name in ["請求書_INV-2026-000042.pdf", "a.PDF", "invoice 2026.11.pdf", "CONTRACT.pdf"]
        {
            assert_eq!(check_filename(name, 120), Ok(()), "{name} must pass");
        }
        for name in [
            "invoice",
            ".pdf",
            "a.exe",
            "../a.pdf",
            "a/b.pdf",
            "a\\b.pdf",
            "C:a.pdf",
            "a?.pdf",
            ".a.pdf",
            "a .pdf",
            "a..pdf",
            "CON.pdf",
            "nul.tar.pdf",
            "com1.pdf",
            "請求書",
            "あpdf",
            "-rf.pdf",
            "~a.pdf",
        ] {
            assert_eq!(check_filename(name, 120), Err(BadText::FileName), "{name} must not pass");
        }
        assert_eq!(check_filename("a\u{202e}fdp.pdf", 120), Err(BadText::Direction), "override");
        let long = format!("{}.pdf", "請".repeat(90));
        assert_eq!(check_filename(&long, 120), Err(BadText::FileName), "274 octets are too many");
    }
}
