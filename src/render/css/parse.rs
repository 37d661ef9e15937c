//! Reads a stylesheet: rules, declarations and `@page`.

use std::sync::Arc;

use cssparser::{Delimiter, ParseError, Parser, Token};

use super::{Rule, Selector, Sheet, declaration::Declaration, face, page, property::declaration};
use crate::render::error::{At, RenderError};

/// The most bytes of a value after `var()`.
const MAX_VALUE: usize = 4_096;
/// The most custom properties.
const MAX_VARIABLES: usize = 1_000;

/// What was not understood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fail(pub(super) &'static str);

pub(super) fn fail<T>(what: &'static str) -> Result<T, Fail> {
    Err(Fail(what))
}

/// The same with the place it happened at.
type Located<T> = Result<T, RenderError>;

pub(super) fn located(fail: Fail, at: At) -> RenderError {
    RenderError::template("style.css", fail.0, Some(at))
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
        (_, _) => Err(located(Fail("malformed block"), at)),
    }
}

pub(super) fn place(input: &Parser<'_>) -> At {
    let location = input.current_source_location();
    At { line: location.line + 1, column: location.column }
}

/// Reads a whole stylesheet.
pub(super) fn sheet(css: &str, sheet: &mut Sheet) -> Located<()> {
    let (css, variables) = Variables::collect(css)?;
    let variables = &variables;
    let mut input = Parser::new(&css);
    loop {
        input.skip_whitespace();
        let at = place(&input);
        let state = input.state();
        match input.next().cloned() {
            Err(_) => return Ok(()),
            Ok(Token::AtKeyword(name)) => match name.as_ref() {
                "page" => page::rule(&mut input, variables, &mut sheet.pages)?,
                "font-face" => {
                    let face = face::rule(&mut input, variables)?;
                    if !sheet.families.contains(&face.family) {
                        sheet.families.push(face.family.clone());
                    }
                    sheet.faces.push(face);
                }
                _ => return Err(located(Fail("unknown @-rule"), at)),
            },
            Ok(_) => {
                input.reset(&state);
                rule(&mut input, variables, &sheet.families, &mut sheet.rules)?;
            }
        }
    }
}

fn rule(
    input: &mut Parser<'_>,
    variables: &Variables,
    families: &[String],
    rules: &mut Vec<Rule>,
) -> Located<()> {
    let mut selectors = Vec::new();
    loop {
        let at = place(input);
        selectors.push(selector(input).map_err(|fail| located(fail, at))?);
        let at = place(input);
        match input.next() {
            Ok(Token::Comma) => {}
            Ok(Token::CurlyBracketBlock) => break,
            Ok(_) | Err(_) => return Err(located(Fail("selector"), at)),
        }
    }
    let declarations: Arc<[Declaration]> = nested(input, |input| {
        let mut out = Vec::new();
        each_declaration(input, variables, |name, input| {
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
        (_, _) => fail("selector"),
    }
}

/// Hands every `name: value;` of a block to `take`, which must use the value up.
pub(super) fn each_declaration(
    input: &mut Parser<'_>,
    variables: &Variables,
    mut take: impl FnMut(&str, &mut Parser<'_>) -> Result<(), Fail>,
) -> Located<()> {
    loop {
        input.skip_whitespace();
        let at = place(input);
        let name = match input.next() {
            Err(_) => return Ok(()),
            Ok(Token::Semicolon) => continue,
            Ok(Token::Ident(name)) => name.to_ascii_lowercase(),
            Ok(_) => return Err(located(Fail("a property is expected"), at)),
        };
        input.expect_colon().map_err(|_| located(Fail("a colon is expected"), at))?;
        let mut outcome = Ok(());
        let start = input.position();
        let parsed: Result<(), ParseError<()>> =
            input.parse_until_after(Delimiter::Semicolon, |input| {
                let state = input.state();
                while input.next().is_ok() {}
                let text = input.slice_from(start);
                outcome = if text.contains("var(") {
                    variables
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
            return Err(RenderError::template("style.css", format!("`{name}`: {what}"), Some(at)));
        }
    }
}

/// Reads a value from end to end.
fn whole(
    input: &mut Parser<'_>,
    take: impl FnOnce(&mut Parser<'_>) -> Result<(), Fail>,
) -> Result<(), Fail> {
    take(input)?;
    if input.is_exhausted() { Ok(()) } else { fail("more follows the value than is understood") }
}

/// The custom properties of `:root`.
#[derive(Debug, Default)]
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    /// Takes `--name: value;` out of a stylesheet, one a line; all else keeps its
    /// place.
    fn collect(css: &str) -> Located<(String, Self)> {
        let mut variables = Self::default();
        let mut out = String::with_capacity(css.len());
        for (line, text) in (1..).zip(css.lines()) {
            let property = text.trim().strip_prefix("--").and_then(|rest| rest.split_once(':'));
            if let Some((name, value)) = property {
                let what = Fail("a custom property ends its line with a semicolon");
                let ended = value.trim().strip_suffix(';').ok_or(what);
                let value = ended
                    .and_then(|value| variables.put_in(value))
                    .map_err(|fail| located(fail, At { line, column: 1 }))?;
                if variables.0.len() >= MAX_VARIABLES {
                    let at = At { line, column: 1 };
                    return Err(located(Fail("more than 1,000 custom properties"), at));
                }
                variables.0.push((name.trim().to_owned(), value));
            } else {
                out.push_str(text);
            }
            out.push('\n');
        }
        Ok((out, variables))
    }

    /// Puts values where `var()` asks for them. A value may use those before it,
    /// so none can contain itself.
    fn put_in(&self, text: &str) -> Result<String, Fail> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("var(--") {
            let (name, after) = after.split_once(')').ok_or(Fail("unknown custom property"))?;
            let known = self.0.iter().rev().find(|(known, _)| known == name.trim());
            out.push_str(before);
            out.push_str(&known.ok_or(Fail("unknown custom property"))?.1);
            if out.len() > MAX_VALUE {
                return fail("the value is too long");
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}
