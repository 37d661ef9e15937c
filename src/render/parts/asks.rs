//! Where a text asks for parts, and whether a stylesheet is whole in itself.

use std::ops::Range;

use cssparser::{Parser, Token as CssToken};
use minijinja::machinery::{Token, tokenize};

use super::{MOST_BYTES, MOST_TIMES, is_part};
use crate::render::template;

/// Where a text asks for a part.
pub(super) struct Ask {
    /// What the part stands in the place of.
    pub(super) range: Range<usize>,
    /// Where in it the words begin that ask.
    pub(super) tag: usize,
    pub(super) name: String,
}

/// How the texts of one kind ask for their parts.
pub(super) struct Asks {
    /// What the names of its parts end with.
    pub(super) ending: &'static str,
    pub(super) find: fn(&str) -> Vec<Ask>,
    /// Says what is open at the end of a file, which would swallow what follows it in
    /// the whole, and where it was opened.
    pub(super) sound: fn(&str) -> Result<(), (String, usize)>,
    /// Where a part ends, without the line's end that every editor writes.
    pub(super) end: fn(&str) -> usize,
}

/// Those of templates; whether one is sound, minijinja says.
pub(super) const INCLUDES: Asks =
    Asks { ending: ".html", find: includes, sound: |_| Ok(()), end: without_last_line_end };

/// Those of stylesheets.
pub(super) const IMPORTS: Asks =
    Asks { ending: ".css", find: imports, sound: closed, end: str::len };

/// The names of the parts that a file of a template asks for.
pub fn asked(file: &str, bytes: &[u8]) -> Vec<String> {
    let find = match file {
        "template.html" => includes,
        "style.css" => imports,
        part if is_part(part) && part.ends_with(INCLUDES.ending) => includes,
        part if is_part(part) => imports,
        _ => return Vec::new(),
    };
    let text = str::from_utf8(bytes).ok().filter(|text| text.len() <= MOST_BYTES);
    let asks = text.map(find).unwrap_or_default();
    asks.into_iter().map(|ask| ask.name).filter(|name| !name.contains('/')).collect()
}

/// `{% include "NAME" %}`, as far as the text can be read: what cannot is told by those
/// who read it next. White space goes as with every tag: `-` takes all on its side;
/// otherwise the line's end behind it goes, and what it is indented by.
fn includes(source: &str) -> Vec<Ask> {
    let Ok(syntax) = template::syntax() else { return Vec::new() };
    let mut last: [Option<(Token<'_>, usize, usize)>; 4] = [None, None, None, None];
    let mut asks = Vec::new();
    for token in tokenize(source, false, syntax) {
        let Ok((token, span)) = token else { break };
        let offset = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
        last.rotate_left(1);
        last[3] = Some((token, offset(span.start_offset), offset(span.end_offset)));
        if let [
            Some((Token::BlockStart, from, _)),
            Some((Token::Ident("include"), ..)),
            Some((Token::Str(name), ..)),
            Some((Token::BlockEnd, _, to)),
        ] = &last
        {
            // The white space between two tags goes once.
            let behind = asks.last().map_or(0, |before: &Ask| before.range.end);
            asks.extend(tag(source, *from..*to).map(|range| Ask {
                range: range.start.max(behind)..range.end,
                tag: *from,
                name: (*name).to_owned(),
            }));
            if asks.len() > MOST_TIMES {
                break;
            }
        }
    }
    asks
}

/// What goes with a tag.
fn tag(source: &str, tag: Range<usize>) -> Option<Range<usize>> {
    // The line's end may or may not count as the tag's.
    let words = source.get(tag.clone())?.trim_end();
    let end = tag.start.saturating_add(words.len());
    let (before, after) = (source.get(..tag.start)?, source.get(end..)?);
    let line = before.trim_end_matches([' ', '\t']);
    let start = if words.starts_with("{%-") {
        before.trim_end().len()
    } else if !words.starts_with("{%+") && (line.is_empty() || line.ends_with('\n')) {
        line.len()
    } else {
        tag.start
    };
    let rest = if words.ends_with("-%}") {
        after.trim_start()
    } else if words.ends_with("+%}") {
        after
    } else {
        let rest = after.strip_prefix('\r').unwrap_or(after);
        rest.strip_prefix('\n').unwrap_or(after)
    };
    Some(start..source.len().saturating_sub(rest.len()))
}

fn without_last_line_end(source: &str) -> usize {
    let text = source.strip_suffix('\n').unwrap_or(source);
    text.strip_suffix('\r').filter(|_| text.len() < source.len()).unwrap_or(text).len()
}

/// `@import "NAME";` before everything else.
fn imports(source: &str) -> Vec<Ask> {
    let mut input = Parser::new(source);
    let mut asks = Vec::new();
    while asks.len() <= MOST_TIMES {
        input.skip_whitespace();
        let start = input.position().byte_index();
        match input.next() {
            Ok(CssToken::AtKeyword(name)) if name.as_ref() == "import" => {}
            _ => return asks,
        }
        let Ok(name) = input.expect_string().map(ToString::to_string) else { return asks };
        if input.expect_semicolon().is_err() {
            return asks;
        }
        asks.push(Ask { range: start..input.position().byte_index(), tag: start, name });
    }
    asks
}

/// Whether every comment, text and bracket of a stylesheet is closed: what is open at
/// its end would swallow what stands behind it in the whole.
fn closed(source: &str) -> Result<(), (String, usize)> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut letters = source.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '/' if letters.peek().is_some_and(|(_, next)| *next == '*') => {
                let rest = source.get(at.saturating_add(2)..).unwrap_or_default();
                let end = rest.find("*/").ok_or(("a comment is never closed".to_owned(), at))?;
                let end = at.saturating_add(end).saturating_add(4);
                while letters.next_if(|(at, _)| *at < end).is_some() {}
            }
            '"' | '\'' => {
                let mut ended = false;
                while let Some((_, inside)) = letters.next() {
                    match inside {
                        '\\' => drop(letters.next()),
                        '\n' => break,
                        _ if inside == letter => {
                            ended = true;
                            break;
                        }
                        _ => {}
                    }
                }
                if !ended {
                    return Err((format!("`{letter}` is never closed"), at));
                }
            }
            '\\' => drop(letters.next()),
            '{' | '(' | '[' => open.push((letter, at)),
            '}' | ')' | ']' => match open.pop() {
                Some(('{', _)) if letter == '}' => {}
                Some(('(', _)) if letter == ')' => {}
                Some(('[', _)) if letter == ']' => {}
                Some((other, at)) => return Err((format!("`{other}` is never closed"), at)),
                None => return Err((format!("`{letter}` closes nothing"), at)),
            },
            _ => {}
        }
    }
    open.pop().map_or(Ok(()), |(letter, at)| Err((format!("`{letter}` is never closed"), at)))
}
