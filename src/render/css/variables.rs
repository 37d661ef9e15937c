//! The variables of a stylesheet: `--name: value` in `:root`, and `var(--name)`.

use cssparser::{Delimiter, ParseError, Parser, Token};

use super::parse::{Fail, fail, located, place, skip_rule};
use crate::render::{error::RenderError, near};

/// The most bytes of a value after `var()`.
const MAX_VALUE: usize = 4_096;
/// What is said of a property that nothing before defines.
pub(super) const UNKNOWN: &str = "unknown custom property";
/// The most custom properties.
const MAX_VARIABLES: usize = 1_000;
/// The most faults that are told.
const MAX_FAULTS: usize = 20;

/// The custom properties of `:root`.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Names and values, in the order of the stylesheet.
    known: Vec<(String, String)>,
    faults: Vec<RenderError>,
    /// There are as many as may be.
    full: bool,
}

impl Variables {
    /// Reads them before all else: they hold everywhere. Gives what is wrong with
    /// them; what is wrong with the rest is not said here.
    pub(super) fn collect(css: &str) -> (Self, Vec<RenderError>) {
        let mut variables = Self::default();
        let mut input = Parser::new(css);
        loop {
            input.skip_whitespace();
            let start = input.position();
            match input.next() {
                Err(_) => break,
                Ok(Token::AtKeyword(_)) => {
                    skip_rule(&mut input);
                    continue;
                }
                Ok(Token::CurlyBracketBlock) => continue,
                Ok(_) => {}
            }
            while let Ok(token) = input.next() {
                if matches!(token, Token::CurlyBracketBlock) {
                    if is_root(input.slice_from(start)) {
                        let read: Result<(), ParseError<()>> = input.parse_nested_block(|input| {
                            variables.block(input);
                            Ok(())
                        });
                        drop(read);
                    }
                    break;
                }
            }
        }
        let faults = std::mem::take(&mut variables.faults);
        (variables, faults)
    }

    fn block(&mut self, input: &mut Parser<'_>) {
        while self.faults.len() < MAX_FAULTS && !self.full {
            input.skip_whitespace();
            let at = place(input);
            let name = match input.next() {
                Err(_) => return,
                Ok(Token::Semicolon) => continue,
                Ok(Token::Ident(name)) => name.strip_prefix("--").map(str::to_owned),
                Ok(_) => None,
            };
            let name = name.filter(|_| input.try_parse(Parser::expect_colon).is_ok());
            let start = input.position();
            let (mut value, mut glued) = ("", None);
            let read: Result<(), ParseError<()>> =
                input.parse_until_after(Delimiter::Semicolon, |input| {
                    let mut before = None;
                    while let Ok(token) = input.next() {
                        let colon = matches!(token, Token::Colon);
                        glued = glued.take().or(before.take().filter(|_| colon));
                        before = match token {
                            Token::Ident(name) if name.starts_with("--") => Some(name.to_string()),
                            _ => None,
                        };
                    }
                    value = input.slice_from(start);
                    Ok(())
                });
            drop(read);
            let Some(name) = name else { continue };
            if let Some(next) = glued {
                let what = format!("is a `;` missing before {}?", near::quote(&next));
                self.faults.push(located(Fail(what.into()), at));
                continue;
            }
            match self.put_in(value.trim()) {
                Ok(_) if self.known.len() >= MAX_VARIABLES => {
                    let many = Fail::of("more than 1,000 custom properties");
                    self.faults.push(located(many, at));
                    self.full = true;
                }
                Ok(value) => self.known.push((name, value)),
                Err(fail) => self.faults.push(located(fail, at)),
            }
        }
    }

    /// Puts values where `var()` asks for them. A value may use those before it,
    /// so none can contain itself.
    pub(super) fn put_in(&self, text: &str) -> Result<String, Fail> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("var(") {
            out.push_str(before);
            let Some(after) = after.trim_start().strip_prefix("--") else {
                out.push_str("var(");
                rest = after;
                continue;
            };
            let (name, after) =
                after.split_once(')').ok_or(Fail::of("unknown custom property: no `)` follows"))?;
            out.push_str(self.named(name.trim())?);
            if out.len() > MAX_VALUE {
                return fail("the value is too long");
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn named(&self, name: &str) -> Result<&str, Fail> {
        if let Some((_, value)) = self.known.iter().rev().find(|(known, _)| known == name) {
            return Ok(value);
        }
        if name.contains(',') {
            return fail("`var()` takes a custom property alone: there are no fallbacks");
        }
        let known = self.known.iter().map(|(known, _)| known.as_str());
        fail(match near::nearest(name, known) {
            Some(near) => format!("{UNKNOWN} `--{name}`; did you mean `--{near}`?"),
            None => format!(
                "{UNKNOWN} {}; it stands in `:root`, before its use in another",
                near::quote(&format!("--{name}"))
            ),
        })
    }
}

/// Whether the head of a rule, with its bracket, is that of the root alone.
pub(super) fn is_root(head: &str) -> bool {
    let mut input = Parser::new(head);
    matches!(input.next(), Ok(Token::Colon))
        && matches!(input.next(), Ok(Token::Ident(name)) if &**name == "root")
        && matches!(input.next(), Ok(Token::CurlyBracketBlock))
}
