//! Reads a stylesheet: rules, declarations and `@page`.
//!
//! What is not understood is noted with its place, and reading goes on behind it, so
//! that an author learns of several faults at once.

use std::{borrow::Cow, cell::RefCell, sync::Arc};

use cssparser::{Delimiter, ParseError, Parser, Token};

use super::{
    Rule, Selector, Sheet,
    declaration::Declaration,
    face, page,
    property::declaration,
    variables::{self, Variables},
};
use crate::render::{
    error::{At, RenderError},
    near,
};

/// The most faults of one stylesheet that are noted.
const MAX_FAULTS: usize = 20;

/// What was not understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fail(pub(super) Cow<'static, str>);

impl Fail {
    pub(super) const fn of(what: &'static str) -> Self {
        Self(Cow::Borrowed(what))
    }
}

pub(super) fn fail<T>(what: impl Into<Cow<'static, str>>) -> Result<T, Fail> {
    Err(Fail(what.into()))
}

/// The same with the place it happened at.
type Located<T> = Result<T, RenderError>;

pub(super) fn located(fail: Fail, at: At) -> RenderError {
    RenderError::template("style.css", fail.0, Some(at))
}

/// What all parts of a stylesheet are read with.
pub(super) struct Reader {
    variables: Variables,
    faults: RefCell<Vec<RenderError>>,
}

impl Reader {
    /// Keeps a fault; reading goes on.
    pub(super) fn note(&self, fault: RenderError) {
        let mut faults = self.faults.borrow_mut();
        if faults.len() < MAX_FAULTS {
            faults.push(fault);
        }
    }

    fn is_full(&self) -> bool {
        self.faults.borrow().len() >= MAX_FAULTS
    }
}

/// Runs a reader inside of a block and brings its own error out.
pub(super) fn nested<'i, T>(
    input: &mut Parser<'i>,
    read: impl FnOnce(&mut Parser<'i>) -> Located<T>,
) -> Located<T> {
    let mut outcome = None;
    let at = place(input);
    let parsed: Result<(), ParseError<()>> = input.parse_nested_block(|input| {
        outcome = Some(read(input));
        // What is left in the block was never looked at if the reader failed.
        while input.next().is_ok() {}
        Ok(())
    });
    match (outcome, parsed) {
        (Some(outcome), Ok(())) => outcome,
        (Some(Err(error)), Err(_)) => Err(error),
        (_, _) => Err(located(Fail::of("malformed block"), at)),
    }
}

pub(super) fn place(input: &Parser<'_>) -> At {
    let location = input.current_source_location();
    At { line: location.line + 1, column: location.column }
}

/// Steps over what stands before a block, and into it, so that what is wrong in there is
/// told as well. Where none follows, the fault is the end of it.
pub(super) fn skip_to_block(
    input: &mut Parser<'_>,
    reader: &Reader,
    fault: RenderError,
) -> Located<()> {
    while let Ok(token) = input.next() {
        if matches!(token, Token::CurlyBracketBlock) {
            reader.note(fault);
            return Ok(());
        }
    }
    Err(fault)
}

/// Reads a whole stylesheet; gives what was not understood.
pub(super) fn sheet(css: &str, sheet: &mut Sheet) -> Vec<RenderError> {
    let (variables, faults) = Variables::collect(css);
    let shown = |fault: RenderError| fault.at(|at| in_characters(css, at));
    if !faults.is_empty() {
        return faults.into_iter().map(shown).collect();
    }
    let reader = Reader { variables, faults: RefCell::default() };
    let mut input = Parser::new(css);
    // Whether a part is not there, and with it what it says.
    let mut lost = false;
    while !reader.is_full() {
        input.skip_whitespace();
        let at = place(&input);
        let state = input.state();
        let read = match input.next().cloned() {
            Err(_) => break,
            Ok(Token::AtKeyword(name)) => match name.as_ref() {
                "page" => page::rule(&mut input, &reader, &mut sheet.pages),
                "font-face" => face::rule(&mut input, &reader).map(|face| {
                    if !sheet.families.contains(&face.family) {
                        sheet.families.push(face.family.clone());
                    }
                    sheet.faces.push(face);
                }),
                "import" => {
                    skip_rule(&mut input);
                    lost = true;
                    let what = "`@import \"NAME.css\";` stands before all rules, and names a part";
                    Err(located(Fail(what.into()), at))
                }
                _ => {
                    skip_rule(&mut input);
                    let what = format!(
                        "unknown @-rule {}; `@import`, `@page` and `@font-face` are known",
                        near::quote(&format!("@{name}"))
                    );
                    Err(located(Fail(what.into()), at))
                }
            },
            Ok(_) => {
                input.reset(&state);
                rule(&mut input, &reader, &sheet.families, &mut sheet.rules)
            }
        };
        if let Err(fault) = read {
            reader.note(fault);
        }
    }
    let faults = reader.faults.into_inner().into_iter();
    let faults = faults.filter(|fault| !lost || !fault.to_string().contains(variables::UNKNOWN));
    faults.map(shown).collect()
}

/// The place as an editor shows it: cssparser ends lines also at a form feed and at a lone
/// return, and counts columns in units of UTF-16.
pub(super) fn in_characters(css: &str, at: At) -> At {
    let (mut line, mut column, mut before) = (1_u32, 1_u32, ' ');
    for (offset, letter) in css.char_indices() {
        if (line, column) >= (at.line, at.column) {
            return At::offset(css, offset);
        }
        match letter {
            '\n' if before == '\r' => {}
            '\n' | '\r' | '\u{c}' => (line, column) = (line.saturating_add(1), 1),
            _ => column = column.saturating_add(if letter > '\u{ffff}' { 2 } else { 1 }),
        }
        before = letter;
    }
    At::offset(css, css.len())
}

/// Steps over an @-rule that is not known.
pub(super) fn skip_rule(input: &mut Parser<'_>) {
    while let Ok(token) = input.next() {
        if matches!(token, Token::Semicolon | Token::CurlyBracketBlock) {
            return;
        }
    }
}

fn rule(
    input: &mut Parser<'_>,
    reader: &Reader,
    families: &[String],
    rules: &mut Vec<Rule>,
) -> Located<()> {
    let mut selectors = Vec::new();
    let start = input.position();
    loop {
        let at = place(input);
        match selector(input) {
            Ok(selector) => selectors.push(selector),
            // What is wrong in the block is said too.
            Err(fail) => reader.note(located(fail, at)),
        }
        let at = place(input);
        match input.next() {
            Ok(Token::Comma) => {}
            Ok(Token::CurlyBracketBlock) => break,
            Ok(_) | Err(_) => {
                let what = "a selector and a block `{ … }` are expected";
                skip_to_block(input, reader, located(Fail::of(what), at))?;
                return Ok(());
            }
        }
    }
    let root = variables::is_root(input.slice_from(start));
    let declarations: Arc<[Declaration]> = nested(input, |input| {
        let mut out = Vec::new();
        each_declaration(input, reader, |name, input| {
            if root && name.starts_with("--") {
                // Known from before; what it holds is judged where it is used.
                while input.next().is_ok() {}
                return Ok(());
            }
            declaration(name, input, families, &mut out)
        })?;
        Ok(out.into())
    })?;
    for selector in selectors {
        rules.push(Rule { selector, declarations: Arc::clone(&declarations) });
    }
    Ok(())
}

fn selector(input: &mut Parser<'_>) -> Result<Selector, Fail> {
    let delimiters = Delimiter::CurlyBracketBlock | Delimiter::Comma;
    let mut outcome = None;
    let parsed: Result<(), ParseError<()>> = input.parse_until_before(delimiters, |input| {
        outcome = Some(Selector::parse(input));
        while input.next().is_ok() {}
        Ok(())
    });
    match (outcome, parsed) {
        (Some(outcome), Ok(())) => outcome,
        (_, _) => fail("a selector is expected"),
    }
}

/// Hands every `name: value;` of a block to `take`, which must use the value up. What
/// it does not understand is noted.
pub(super) fn each_declaration(
    input: &mut Parser<'_>,
    reader: &Reader,
    mut take: impl FnMut(&str, &mut Parser<'_>) -> Result<(), Fail>,
) -> Located<()> {
    loop {
        input.skip_whitespace();
        let at = place(input);
        let start = input.position();
        let name = match input.next() {
            Err(_) => return Ok(()),
            Ok(Token::Semicolon) => continue,
            Ok(Token::Ident(name)) => name.to_ascii_lowercase(),
            Ok(_) => {
                let what = format!(
                    "a property is expected, not {}; is a `}}` missing before it?",
                    near::quote(input.slice_from(start))
                );
                return Err(located(Fail(what.into()), at));
            }
        };
        if input.expect_colon().is_err() {
            let what = format!(
                "a colon is expected after {}; is a `}}` missing before it?",
                near::quote(&name)
            );
            return Err(located(Fail(what.into()), at));
        }
        let mut outcome = Ok(());
        let start = input.position();
        let parsed: Result<(), ParseError<()>> =
            input.parse_until_after(Delimiter::Semicolon, |input| {
                let state = input.state();
                while input.next().is_ok() {}
                let text = input.slice_from(start);
                outcome = if text.contains("var(") {
                    reader
                        .variables
                        .put_in(text)
                        .and_then(|text| whole(&mut Parser::new(&text), |input| take(&name, input)))
                } else {
                    input.reset(&state);
                    whole(input, |input| take(&name, input))
                };
                while input.next().is_ok() {}
                Ok(())
            });
        if parsed.is_err() {
            outcome = fail("malformed value");
        }
        if let Err(Fail(what)) = outcome {
            let what = format!("{}: {what}", near::quote(&name));
            reader.note(RenderError::template("style.css", what, Some(at)));
        }
    }
}

/// Reads a value from end to end.
fn whole(
    input: &mut Parser<'_>,
    take: impl FnOnce(&mut Parser<'_>) -> Result<(), Fail>,
) -> Result<(), Fail> {
    take(input)?;
    if input.is_exhausted() {
        return Ok(());
    }
    let start = input.position();
    while input.next().is_ok() {}
    let rest = input.slice_from(start).trim();
    let hint = if rest.starts_with('!') {
        "; there is no `!important`: the more specific rule wins, then the later one"
    } else if rest.contains(['{', '}']) {
        "; is a `}` missing before it?"
    } else if rest.contains(':') {
        "; is a `;` missing before it?"
    } else {
        ""
    };
    fail(format!("more follows the value than is understood: {}{hint}", near::quote(rest)))
}

/// What the next token of a value is, as it was written; it is used up.
pub(super) fn found(input: &mut Parser<'_>) -> String {
    input.skip_whitespace();
    let start = input.position();
    match input.next().cloned() {
        Ok(Token::Function(name)) => near::quote(&format!("{name}()")),
        Ok(_) => near::quote(input.slice_from(start)),
        Err(_) => "nothing".to_owned(),
    }
}
