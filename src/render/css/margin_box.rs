//! What stands in the margins of a page: six boxes with a line each.

use cssparser::{Parser, Token};

use super::{
    parse::{Fail, Reader, each_declaration, fail, found, place},
    value::{Length, Rgb, color, length},
};
use crate::render::{
    error::{At, RenderError},
    near,
};

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
    Named(String, At),
}

/// A line in the margin of every page.
#[derive(Clone, Debug)]
pub(in crate::render) struct MarginBox {
    pub(in crate::render) slot: Slot,
    pub(in crate::render) content: Vec<Content>,
    /// In points.
    pub(in crate::render) size: f32,
    pub(in crate::render) bold: bool,
    pub(in crate::render) color: Rgb,
}

pub(super) fn unknown_slot(name: &str) -> Fail {
    let known =
        ["top-left", "top-center", "top-right", "bottom-left", "bottom-center", "bottom-right"];
    Fail(format!("unknown margin box {}{}", near::quote(name), near::expected(name, &known)).into())
}

pub(super) fn slot(name: &str) -> Option<Slot> {
    let (row, column) = name.split_once('-')?;
    let top = match row {
        "top" => true,
        "bottom" => false,
        _ => return None,
    };
    let column = ["left", "center", "right"].iter().position(|known| *known == column)?;
    Some(Slot { top, column: u8::try_from(column).ok()? })
}

pub(super) fn margin_box(
    input: &mut Parser<'_>,
    reader: &Reader,
    slot: Slot,
) -> Result<MarginBox, RenderError> {
    let mut out =
        MarginBox { slot, content: Vec::new(), size: 7.0, bold: false, color: Rgb(0, 0, 0) };
    each_declaration(input, reader, |name, input| {
        match name {
            "content" => out.content = content(input)?,
            "font-size" => match length(input)? {
                Length::Points(points) => out.size = points,
                Length::Em(_) | Length::Rem(_) | Length::Percent(_) => {
                    return fail("an absolute length is expected");
                }
            },
            "font-weight" => out.bold = super::property::weight(input)?,
            "color" => out.color = color(input)?,
            _ => {
                return fail(
                    "unknown property in a margin box; `content`, `font-size`, `font-weight` and \
                     `color` are known",
                );
            }
        }
        Ok(())
    })?;
    Ok(out)
}

fn content(input: &mut Parser<'_>) -> Result<Vec<Content>, Fail> {
    let mut out = Vec::new();
    if input.try_parse(|input| input.expect_ident_matching("none")).is_ok() {
        return Ok(out);
    }
    while !input.is_exhausted() {
        let state = input.state();
        input.skip_whitespace();
        let at = place(input);
        out.push(match input.next().cloned() {
            Ok(Token::QuotedString(text)) => Content::Text(text.to_string()),
            Ok(Token::Function(function)) => {
                let mut name = String::new();
                let parsed: Result<(), cssparser::ParseError<()>> =
                    input.parse_nested_block(|input| {
                        input.expect_ident()?.as_ref().clone_into(&mut name);
                        Ok(())
                    });
                parsed.map_err(|_| Fail::of("a name is expected"))?;
                match (function.as_ref(), name.as_str()) {
                    ("counter", "page") => Content::Page,
                    ("counter", "pages") => Content::Pages,
                    ("string", _) => Content::Named(name, at),
                    _ => {
                        return fail(format!(
                            "{} is not understood; `counter(page)`, `counter(pages)` and \
                             `string(name)` are",
                            near::quote(&format!("{function}({name})"))
                        ));
                    }
                }
            }
            Ok(_) | Err(_) => {
                input.reset(&state);
                let found = found(input);
                return fail(format!("text, counter() or string() is expected, not {found}"));
            }
        });
    }
    Ok(out)
}
