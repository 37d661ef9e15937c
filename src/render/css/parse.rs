//! Reads a stylesheet: rules, declarations and `@page`.

use std::sync::Arc;

use cssparser::{Delimiter, ParseError, Parser, Token};

use super::{PageRule, Rule, Selector, Sheet, page, property::declaration, style::Declaration};
use crate::render::error::RenderError;

/// What was not understood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fail(pub(super) &'static str);

pub(super) fn fail<T>(what: &'static str) -> Result<T, Fail> {
    Err(Fail(what))
}

/// The same with the line it happened on, counted from 1.
type Located<T> = Result<T, RenderError>;

pub(super) fn located(fail: Fail, line: u32) -> RenderError {
    RenderError::template(format!("style.css: {}", fail.0), Some(line))
}

/// Runs a reader inside of a block and brings its own error out.
pub(super) fn nested<'i, T>(
    input: &mut Parser<'i>,
    read: impl FnOnce(&mut Parser<'i>) -> Located<T>,
) -> Located<T> {
    let mut outcome = None;
    let line = line(input);
    let parsed: Result<(), ParseError<()>> = input.parse_nested_block(|input| {
        outcome = Some(read(input));
        // What is left in the block was never looked at if the reader failed.
        while input.next().is_ok() {}
        Ok(())
    });
    match (outcome, parsed) {
        (Some(outcome), Ok(())) => outcome,
        (Some(Err(error)), Err(_)) => Err(error),
        (_, _) => Err(located(Fail("malformed block"), line)),
    }
}

pub(super) fn line(input: &Parser<'_>) -> u32 {
    input.current_source_location().line + 1
}

/// Reads a whole stylesheet.
pub(super) fn sheet(css: &str) -> Located<Sheet> {
    let mut input = Parser::new(css);
    let mut sheet = Sheet { rules: Vec::new(), page: PageRule::default(), counts_children: false };
    loop {
        input.skip_whitespace();
        let line = line(&input);
        let state = input.state();
        match input.next() {
            Err(_) => return Ok(sheet),
            Ok(Token::AtKeyword(name)) if name.as_ref() == "page" => {
                input.expect_curly_bracket_block().map_err(|_| located(Fail("@page"), line))?;
                nested(&mut input, |input| page::rule(input, &mut sheet.page))?;
            }
            Ok(Token::AtKeyword(_)) => return Err(located(Fail("unknown @-rule"), line)),
            Ok(_) => {
                input.reset(&state);
                rule(&mut input, &mut sheet.rules)?;
            }
        }
    }
}

fn rule(input: &mut Parser<'_>, rules: &mut Vec<Rule>) -> Located<()> {
    let mut selectors = Vec::new();
    loop {
        let at = line(input);
        selectors.push(selector(input).map_err(|fail| located(fail, at))?);
        let at = line(input);
        match input.next() {
            Ok(Token::Comma) => {}
            Ok(Token::CurlyBracketBlock) => break,
            Ok(_) | Err(_) => return Err(located(Fail("selector"), at)),
        }
    }
    let declarations: Arc<[Declaration]> = nested(input, |input| {
        let mut out = Vec::new();
        each_declaration(input, |name, input| declaration(name, input, &mut out))?;
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
    mut take: impl FnMut(&str, &mut Parser<'_>) -> Result<(), Fail>,
) -> Located<()> {
    loop {
        input.skip_whitespace();
        let at = line(input);
        let name = match input.next() {
            Err(_) => return Ok(()),
            Ok(Token::Semicolon) => continue,
            Ok(Token::Ident(name)) => name.to_ascii_lowercase(),
            Ok(_) => return Err(located(Fail("a property is expected"), at)),
        };
        input.expect_colon().map_err(|_| located(Fail("a colon is expected"), at))?;
        let mut outcome = Ok(());
        let parsed: Result<(), ParseError<()>> =
            input.parse_until_after(Delimiter::Semicolon, |input| {
                outcome = take(&name, input);
                if outcome.is_ok() && !input.is_exhausted() {
                    outcome = fail("more follows the value than is understood");
                }
                while input.next().is_ok() {}
                Ok(())
            });
        if parsed.is_err() {
            outcome = fail("malformed value");
        }
        if let Err(Fail(what)) = outcome {
            let what = format!("style.css: `{name}`: {what}");
            return Err(RenderError::template(what, Some(at)));
        }
    }
}

/// Puts the custom properties of `:root` where `var()` asks for them. Lines
/// keep their numbers.
pub(super) fn with_variables(css: &str) -> Located<String> {
    let mut variables: Vec<(&str, &str)> = Vec::new();
    let mut out = String::with_capacity(css.len());
    for (number, text) in (1..).zip(css.lines()) {
        let trimmed = text.trim();
        if let Some((name, value)) =
            trimmed.strip_prefix("--").and_then(|rest| rest.split_once(':'))
        {
            let value = value.trim().strip_suffix(';');
            let what = Fail("a custom property ends its line with a semicolon");
            variables.push((name.trim(), value.ok_or(what).map_err(|fail| located(fail, number))?));
            out.push('\n');
            continue;
        }
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("var(--") {
            let unknown = || located(Fail("unknown custom property"), number);
            let (name, after) = after.split_once(')').ok_or_else(unknown)?;
            let known = variables.iter().find(|(known, _)| *known == name.trim());
            out.push_str(before);
            out.push_str(known.ok_or_else(unknown)?.1);
            rest = after;
        }
        out.push_str(rest);
        out.push('\n');
    }
    Ok(out)
}
