//! The quick way through what templates write: plain tags, quoted attributes, and
//! the five characters that minijinja escapes.
//!
//! It is a shortcut and no second opinion. Whatever it does not know (comments,
//! named characters, unquoted values, control characters, anything malformed) it
//! leaves to `html5gum`, which begins anew and has the last word; a test holds the
//! two to the same tree.

/// What becomes of the tokens; any error ends the quick way.
pub(super) trait Sink {
    /// Text between tags, decoded.
    fn text(&mut self, text: &str) -> Result<(), &'static str>;
    /// The name of a start tag.
    fn start(&mut self, name: &[u8]) -> Result<(), &'static str>;
    /// The name of an attribute.
    fn name(&mut self, name: &[u8]) -> Result<(), &'static str>;
    /// Its value, decoded; not called for an empty one.
    fn value(&mut self, value: &str) -> Result<(), &'static str>;
    /// The end of a start tag.
    fn started(&mut self) -> Result<(), &'static str>;
    /// An end tag.
    fn end(&mut self, name: &[u8]) -> Result<(), &'static str>;
}

const DOCTYPE: &str = "<!DOCTYPE html>";

/// Bytes of text that need a closer look.
const SPECIAL: [bool; 256] = special();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "made once, by the compiler, which would see it"
)]
const fn special() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        let control = byte < 0x20 && byte != 0x09 && byte != 0x0a || byte == 0x7f;
        // The first bytes of C1 controls and of noncharacters.
        let perhaps = byte == 0xc2 || byte == 0xef || byte >= 0xf0;
        let sign = byte == 0x26 || byte == 0x3c || byte == 0x22;
        table[byte] = control || perhaps || sign;
        byte += 1;
    }
    table
}

/// Reads a document; false if it is not as simple as that, and whatever the sink
/// was given is to be thrown away.
pub(super) fn read(html: &str, sink: &mut impl Sink) -> bool {
    let mut rest = Rest { html, decoded: String::new() };
    if let Some(after) = html.strip_prefix(DOCTYPE) {
        rest.html = after;
    }
    rest.document(sink).is_some()
}

/// What is still to be read.
struct Rest<'h> {
    html: &'h str,
    /// Kept for the next text that has escapes.
    decoded: String,
}

impl<'h> Rest<'h> {
    fn document(&mut self, sink: &mut impl Sink) -> Option<()> {
        while !self.html.is_empty() {
            if let Some(tag) = self.html.strip_prefix('<') {
                self.html = tag;
                self.tag(sink)?;
            } else {
                self.run(b'<', |text| sink.text(text))?;
            }
        }
        Some(())
    }

    fn tag(&mut self, sink: &mut impl Sink) -> Option<()> {
        if let Some(after) = self.html.strip_prefix('/') {
            self.html = after;
            let name = self.word()?;
            self.html = self.html.strip_prefix('>')?;
            return sink.end(name).ok();
        }
        let name = self.word()?;
        sink.start(name).ok()?;
        loop {
            if let Some(after) = self.html.strip_prefix('>') {
                self.html = after;
                return sink.started().ok();
            }
            let after = self.html.trim_start_matches([' ', '\n']);
            if let Some(after) = after.strip_prefix('>') {
                self.html = after;
                return sink.started().ok();
            }
            if after.len() == self.html.len() {
                return None;
            }
            self.html = after;
            let name = self.word()?;
            sink.name(name).ok()?;
            self.html = self.html.strip_prefix("=\"")?;
            if !self.html.starts_with('"') {
                self.run(b'"', |value| sink.value(value))?;
            }
            self.html = self.html.strip_prefix('"')?;
        }
    }

    /// The name of a tag or an attribute.
    fn word(&mut self) -> Option<&'h [u8]> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let end = self.html.bytes().position(|byte| !word(byte))?;
        let (name, after) = self.html.split_at_checked(end)?;
        self.html = after;
        name.starts_with(|first: char| first.is_ascii_lowercase()).then_some(name.as_bytes())
    }

    /// Gives away what comes before `end`, or before the end of the document.
    fn run(&mut self, end: u8, give: impl FnOnce(&str) -> Result<(), &'static str>) -> Option<()> {
        let bytes = self.html.as_bytes();
        self.decoded.clear();
        // What stands decoded already begins here.
        let (mut from, mut at) = (0, 0);
        let is_special =
            |byte: &u8| SPECIAL.get(usize::from(*byte)).is_some_and(|special| *special);
        while let Some(next) = bytes.get(at..)?.iter().position(is_special) {
            at = at.checked_add(next)?;
            let byte = *bytes.get(at)?;
            if byte == end {
                break;
            }
            match byte {
                b'&' => {
                    let (sign, length) = escape(self.html.get(at..)?)?;
                    self.decoded.push_str(self.html.get(from..at)?);
                    self.decoded.push(sign);
                    at = at.checked_add(length)?;
                    from = at;
                }
                // Only the quotation mark of a text, and what stands for a letter.
                b'"' | 0x80.. => at = at.checked_add(letter(self.html.get(at..)?)?)?,
                _ => return None,
            }
        }
        if bytes.get(at).is_none_or(|byte| *byte != end) {
            at = bytes.len();
        }
        let (text, after) = self.html.split_at_checked(at)?;
        let tail = text.get(from..)?;
        self.html = after;
        if from == 0 {
            return give(tail).ok();
        }
        self.decoded.push_str(tail);
        give(&self.decoded).ok()
    }
}

/// What minijinja writes for the characters that mean something in HTML.
fn escape(text: &str) -> Option<(char, usize)> {
    const ESCAPES: [(&str, char); 6] = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&#x27;", '\''),
        ("&#x2f;", '/'),
    ];
    let known = ESCAPES.iter().find(|(escape, _)| text.starts_with(escape));
    known.map(|(escape, sign)| (*sign, escape.len()))
}

/// The length of the first letter, unless it is a control or no character at all.
fn letter(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let code = u32::from(first);
    let noncharacter = code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code);
    (!noncharacter && !first.is_control()).then_some(first.len_utf8())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::render::dom::Tree;

    /// Pieces from which documents are put together, good and bad.
    fn piece() -> impl Strategy<Value = String> {
        let fixed = [
            "<div>",
            "</div>",
            "<p class=\"a b\">",
            "</p>",
            "<br>",
            "<td colspan=\"2\">",
            "</td>",
            "<a href=\"https://example.jp/?a=1&amp;b=2\">",
            "</a>",
            "<img src=\"\" alt=\"\">",
            "<",
            ">",
            "\"",
            "'",
            "&amp;",
            "&lt;",
            "&#x27;",
            "&nbsp;",
            "&",
            "&bogus;",
            "&#65;",
            "&amp",
            "<!-- c -->",
            "<DIV>",
            "<br/>",
            "<p id=x>",
            "<p\n class=\"x\"\n>",
            "<p class='q'>",
            "<p class=\"a\"id=\"b\">",
            "<p class>",
            "</p >",
            "< p>",
            "<>",
            "</>",
            "\r\n",
            "\t",
            "\0",
            "\u{85}",
            "\u{a0}",
            "\u{fdd0}",
            "\u{ffff}",
            "\u{20bb7}",
            "請求書",
            "　",
            "<title>",
            "</title>",
            "<p class=\"<\">",
            "<p class=\"&quot;\">",
            "\u{feff}",
        ];
        prop_oneof![
            proptest::sample::select(fixed.to_vec()).prop_map(str::to_owned),
            "[ -~]{0,6}",
            "\\PC{0,4}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn the_quick_way_ends_where_the_long_one_does(
            pieces in proptest::collection::vec(piece(), 0..12),
        ) {
            for html in [
                format!("<!DOCTYPE html><html><body>{}</body></html>", pieces.concat()),
                format!("<html><p>{}</p></html>\n", pieces.concat()),
                pieces.concat(),
            ] {
                if let Some(quick) = Tree::read_quickly(&html) {
                    let slow = Tree::read_carefully(&html);
                    prop_assert_eq!(
                        format!("{quick:?}"),
                        format!("{:?}", slow.expect("what the quick way takes is right")),
                        "the same tree of {:?}", html
                    );
                }
            }
        }
    }

    #[test]
    fn the_bundled_documents_go_the_quick_way() {
        for html in crate::render::tests::sample_pages() {
            assert!(Tree::read_quickly(&html).is_some(), "{}", html.get(..200).unwrap_or(&html));
        }
    }
}
