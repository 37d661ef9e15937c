//! From a field or a character to its place in a file.

/// The offset of a field such as `lines[3].amount` in a JSON text; where the
/// text has no such field, that of the innermost part of the path it has.
pub(crate) fn field(text: &str, path: &str) -> usize {
    let mut scanner = Scanner { text, at: 0 };
    scanner.blanks();
    scanner.find(&steps(path))
}

/// The same for names one within the other, which may have any letters.
pub(crate) fn keys(text: &str, path: &[String]) -> usize {
    let mut scanner = Scanner { text, at: 0 };
    scanner.blanks();
    let steps: Vec<Step<'_>> = path.iter().map(|key| Step::Key(key)).collect();
    scanner.find(&steps)
}

/// One step of a path.
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(path: &str) -> Vec<Step<'_>> {
    path.split(['.', '['])
        .filter(|part| !part.is_empty())
        .map(|part| match part.strip_suffix(']').and_then(|index| index.parse().ok()) {
            Some(index) => Step::Index(index),
            None => Step::Key(part),
        })
        .collect()
}

/// Walks through a text that is known to be JSON; anything else only makes it
/// stop early.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.step();
        }
    }

    /// Steps over this byte and the blanks around it, if it is next.
    fn eat(&mut self, wanted: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(wanted);
        if found {
            self.step();
            self.blanks();
        }
        found
    }

    /// A string's inside, escapes as they are written.
    fn string(&mut self) -> &'a str {
        self.step();
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => break,
                b'\\' => {
                    self.step();
                    self.step();
                }
                _ => self.step(),
            }
        }
        let inside = self.text.get(start..self.at).unwrap_or_default();
        self.step();
        inside
    }

    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' | b',' if depth == 0 => return,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.step();
        }
    }

    /// The offset of what `path` leads to from the value that begins here.
    fn find(&mut self, path: &[Step<'_>]) -> usize {
        let here = self.at;
        let Some((first, rest)) = path.split_first() else { return here };
        match first {
            Step::Key(wanted) if self.eat(b'{') => {
                while self.peek() == Some(b'"') {
                    let start = self.at;
                    let key = self.string();
                    self.eat(b':');
                    if key == *wanted {
                        // A value is best shown with its name before it.
                        return if rest.is_empty() { start } else { self.find(rest) };
                    }
                    self.skip_value();
                    if !self.eat(b',') {
                        break;
                    }
                }
                here
            }
            Step::Index(wanted) if self.eat(b'[') => {
                for _ in 0..*wanted {
                    self.skip_value();
                    if !self.eat(b',') {
                        return here;
                    }
                }
                self.find(rest)
            }
            Step::Key(_) | Step::Index(_) => here,
        }
    }
}

/// Line and column of an offset, both from 1, the column in characters.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let lines = before.bytes().filter(|byte| *byte == b'\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
    (number(lines), number(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "number": "A \" }",
  "lines": [
    {"name": "x", "amount": [1, {"y": 2}]},
    {"name": "z",
     "amount": 5}
  ],
  "end": null
}"#;

    fn found(path: &str) -> &str {
        let rest = &TEXT[field(TEXT, path)..];
        rest.split([':', '\n']).next().unwrap()
    }

    #[test]
    fn a_field_is_found_by_its_path() {
        assert_eq!(found("number"), "\"number\"");
        assert_eq!(found("lines[1].amount"), "\"amount\"");
        assert_eq!(line_and_column(TEXT, field(TEXT, "lines[1].amount")), (6, 6));
        assert_eq!(found("lines[0].amount[1].y"), "\"y\"");
        assert_eq!(found("end"), "\"end\"");
    }

    #[test]
    fn a_missing_field_stands_where_it_should_be() {
        assert_eq!(line_and_column(TEXT, field(TEXT, "lines[1].rate")), (5, 5));
        assert_eq!(line_and_column(TEXT, field(TEXT, "lines[7]")), (3, 12));
        assert_eq!(line_and_column(TEXT, field(TEXT, "other")), (1, 1));
        assert_eq!(field("[1", "[3]"), 0, "half a file stops nobody");
        assert_eq!(field("", "x.y[2]"), 0);
    }
}
