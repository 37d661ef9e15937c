//! `@page`: the margins of the sheet and what stands in them.

use cssparser::{Parser, Token};

use super::{
    parse::{Fail, each_declaration, fail, line, located, nested},
    property::four,
    value::{Length, Rgb, color, length, word},
};
use crate::render::error::RenderError;

/// Where a margin box stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) struct Slot {
    /// In the upper margin, or in the lower one.
    pub(in crate::render) top: bool,
    /// 0 at the left, 1 in the middle, 2 at the right.
    pub(in crate::render) column: u8,
}

/// A piece of `content`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::render) enum Content {
    Text(String),
    Page,
    Pages,
    Named(String),
}

/// A line in the margin of every page.
#[derive(Clone, Debug)]
pub(in crate::render) struct MarginBox {
    pub(in crate::render) slot: Slot,
    pub(in crate::render) content: Vec<Content>,
    /// In points.
    pub(in crate::render) size: f32,
    pub(in crate::render) color: Rgb,
}

/// The sheet: A4 upright, and its margins in points.
#[derive(Debug)]
pub(in crate::render) struct PageRule {
    pub(in crate::render) margin: [f32; 4],
    pub(in crate::render) boxes: Vec<MarginBox>,
}

impl Default for PageRule {
    fn default() -> Self {
        Self { margin: [20.0 * 72.0 / 25.4; 4], boxes: Vec::new() }
    }
}

/// Reads the block of an `@page` rule.
pub(super) fn rule(input: &mut Parser<'_>, page: &mut PageRule) -> Result<(), RenderError> {
    loop {
        input.skip_whitespace();
        let at = line(input);
        let state = input.state();
        match input.next().cloned() {
            Err(_) => return Ok(()),
            Ok(Token::AtKeyword(name)) => {
                let slot = slot(&name).ok_or_else(|| located(Fail("unknown margin box"), at))?;
                input
                    .expect_curly_bracket_block()
                    .map_err(|_| located(Fail("a block is expected"), at))?;
                let margin_box = nested(input, |input| margin_box(input, slot))?;
                page.boxes.push(margin_box);
            }
            Ok(_) => {
                input.reset(&state);
                one_declaration(input, page)?;
            }
        }
    }
}

/// Reads the declarations up to the next margin box.
fn one_declaration(input: &mut Parser<'_>, page: &mut PageRule) -> Result<(), RenderError> {
    let at = line(input);
    let mut outcome = Ok(());
    let parsed: Result<(), cssparser::ParseError<()>> =
        input.parse_until_after(cssparser::Delimiter::Semicolon, |input| {
            outcome = each_declaration(input, |name, input| declaration(name, input, page));
            while input.next().is_ok() {}
            Ok(())
        });
    if parsed.is_err() {
        return Err(located(Fail("malformed @page"), at));
    }
    outcome
}

fn declaration(name: &str, input: &mut Parser<'_>, page: &mut PageRule) -> Result<(), Fail> {
    match name {
        "size" => match word(input)?.as_str() {
            "a4" => Ok(()),
            _ => fail("the only size is A4"),
        },
        "margin" => {
            page.margin = four(input, length)?.map(|side| side.points(9.0, 9.0));
            let [top, right, bottom, left] = page.margin;
            let fits = page.margin.iter().all(|side| *side >= 0.0)
                && top + bottom < 600.0
                && left + right < 400.0;
            if fits { Ok(()) } else { fail("too little is left of the sheet") }
        }
        _ => fail("unknown property"),
    }
}

fn slot(name: &str) -> Option<Slot> {
    let (row, column) = name.split_once('-')?;
    let top = match row {
        "top" => true,
        "bottom" => false,
        _ => return None,
    };
    let column = ["left", "center", "right"].iter().position(|known| *known == column)?;
    Some(Slot { top, column: u8::try_from(column).ok()? })
}

fn margin_box(input: &mut Parser<'_>, slot: Slot) -> Result<MarginBox, RenderError> {
    let mut out = MarginBox { slot, content: Vec::new(), size: 7.0, color: Rgb(0, 0, 0) };
    each_declaration(input, |name, input| {
        match name {
            "content" => out.content = content(input)?,
            "font-size" => match length(input)? {
                Length::Points(points) => out.size = points,
                Length::Em(_) | Length::Rem(_) | Length::Percent(_) => {
                    return fail("an absolute length is expected");
                }
            },
            "color" => out.color = color(input)?,
            _ => return fail("unknown property"),
        }
        Ok(())
    })?;
    Ok(out)
}

fn content(input: &mut Parser<'_>) -> Result<Vec<Content>, Fail> {
    let mut out = Vec::new();
    while !input.is_exhausted() {
        out.push(match input.next().cloned() {
            Ok(Token::QuotedString(text)) => Content::Text(text.to_string()),
            Ok(Token::Function(function)) => {
                let mut name = String::new();
                let parsed: Result<(), cssparser::ParseError<()>> =
                    input.parse_nested_block(|input| {
                        input.expect_ident()?.as_ref().clone_into(&mut name);
                        Ok(())
                    });
                parsed.map_err(|_| Fail("a name is expected"))?;
                match (function.as_ref(), name.as_str()) {
                    ("counter", "page") => Content::Page,
                    ("counter", "pages") => Content::Pages,
                    ("string", _) => Content::Named(name),
                    _ => return fail("unknown function"),
                }
            }
            Ok(_) | Err(_) => return fail("text, counter() or string() is expected"),
        });
    }
    Ok(out)
}
