//! Properties: from a name and tokens to declarations. What stands here is what
//! templates can say; docs/TEMPLATES.md has the same list.

use cssparser::{ParseError, Parser, Token};

use super::{
    parse::{Fail, fail},
    style::{Align, BOTTOM, Declaration, Display, LEFT, RIGHT, TOP, WhiteSpace},
    value::{color, length, number, signed_length, size, word},
};
use crate::render::font::Family;

/// Reads one declaration.
pub(super) fn declaration(
    name: &str,
    input: &mut Parser<'_>,
    out: &mut Vec<Declaration>,
) -> Result<(), Fail> {
    use Declaration as D;
    if let Some(rest) = name.strip_prefix("margin") {
        return sides(rest, input, length, |side, value| out.push(D::Margin(side, value)));
    }
    if let Some(rest) = name.strip_prefix("padding") {
        return sides(rest, input, length, |side, value| out.push(D::Padding(side, value)));
    }
    if name.starts_with("border") {
        return border(name, input, out);
    }
    out.push(match name {
        "display" => D::Display(display(&word(input)?)?),
        "color" => D::Color(color(input)?),
        "background" | "background-color" => D::Background(paint(input)?),
        "font-size" => match size(input)? {
            Some(size) => D::FontSize(size),
            None => return fail("a size is expected"),
        },
        "font-weight" => D::Bold(weight(input)?),
        "font-family" => D::Family(family(input)?),
        "line-height" => match input.try_parse(number) {
            Ok(times) => D::LineHeight(Some(times), super::value::Length::Points(0.0)),
            Err(_) => D::LineHeight(None, length(input)?),
        },
        "letter-spacing" => D::LetterSpacing(signed_length(input)?),
        "text-align" => D::TextAlign(align(&word(input)?, "start center end left right")?),
        "vertical-align" => D::VerticalAlign(align(&word(input)?, "top middle bottom baseline")?),
        "white-space" => D::WhiteSpace(match word(input)?.as_str() {
            "normal" => WhiteSpace::Normal,
            "nowrap" => WhiteSpace::Nowrap,
            "pre-line" => WhiteSpace::PreLine,
            _ => return fail("unknown word"),
        }),
        "width" => D::Width(size(input)?),
        "min-height" => D::MinHeight(Some(length(input)?)),
        "justify-content" => {
            D::Justify(align(&word(input)?, "flex-start center flex-end space-between")?)
        }
        "align-items" => {
            D::AlignItems(align(&word(input)?, "flex-start center flex-end stretch baseline")?)
        }
        "gap" | "column-gap" => D::Gap(length(input)?),
        "flex-grow" => D::Grow(number(input)?),
        "break-before" => D::BreakBefore(one_of(input, &["auto", "page"])? == 1),
        "break-after" => D::BreakAfterAvoid(one_of(input, &["auto", "avoid"])? == 1),
        "break-inside" => D::BreakInsideAvoid(one_of(input, &["auto", "avoid"])? == 1),
        "orphans" => D::Orphans(lines(input)?),
        "widows" => D::Widows(lines(input)?),
        "string-set" => {
            let name = word(input)?;
            input.expect_function_matching("content").map_err(|_| Fail("content() is expected"))?;
            let empty: Result<(), ParseError<()>> = input.parse_nested_block(|_| Ok(()));
            empty.map_err(|_| Fail("content() is expected"))?;
            D::StringSet(name.into())
        }
        // What holds here anyway; written for browsers.
        "flex-direction" => nothing(input, &["row"])?,
        "box-sizing" => nothing(input, &["border-box"])?,
        "table-layout" => nothing(input, &["fixed"])?,
        "overflow-wrap" => nothing(input, &["anywhere"])?,
        "line-break" => nothing(input, &["strict"])?,
        "font-variant-numeric" => nothing(input, &["tabular-nums"])?,
        "font-style" => nothing(input, &["normal"])?,
        _ => return fail("unknown property"),
    });
    Ok(())
}

fn nothing(input: &mut Parser<'_>, words: &[&str]) -> Result<Declaration, Fail> {
    one_of(input, words).map(|_| Declaration::Nothing)
}

fn one_of(input: &mut Parser<'_>, words: &[&str]) -> Result<usize, Fail> {
    let word = word(input)?;
    words.iter().position(|known| *known == word).ok_or(Fail("unknown word"))
}

fn lines(input: &mut Parser<'_>) -> Result<u8, Fail> {
    let lines = input.expect_integer().map_err(|_| Fail("a number of lines is expected"))?;
    u8::try_from(lines).ok().filter(|lines| (1..=20).contains(lines)).ok_or(Fail("1 to 20"))
}

fn display(word: &str) -> Result<Display, Fail> {
    Ok(match word {
        "block" => Display::Block,
        "inline" => Display::Inline,
        "flex" => Display::Flex,
        "none" => Display::None,
        _ => return fail("unknown word"),
    })
}

fn align(word: &str, allowed: &str) -> Result<Align, Fail> {
    if !allowed.split(' ').any(|known| known == word) {
        return fail("unknown word");
    }
    Ok(match word {
        "center" | "middle" => Align::Center,
        "end" | "right" | "flex-end" | "bottom" => Align::End,
        "space-between" => Align::SpaceBetween,
        "stretch" => Align::Stretch,
        "baseline" => Align::Baseline,
        _ => Align::Start,
    })
}

fn paint(input: &mut Parser<'_>) -> Result<Option<super::value::Rgb>, Fail> {
    let none = |input: &mut Parser<'_>| one_of(input, &["transparent", "none"]);
    if input.try_parse(none).is_ok() {
        return Ok(None);
    }
    color(input).map(Some)
}

fn weight(input: &mut Parser<'_>) -> Result<bool, Fail> {
    match input.next() {
        Ok(Token::Number { int_value: Some(400), .. }) => Ok(false),
        Ok(Token::Number { int_value: Some(700), .. }) => Ok(true),
        Ok(Token::Ident(name)) if name.as_ref() == "normal" => Ok(false),
        Ok(Token::Ident(name)) if name.as_ref() == "bold" => Ok(true),
        Ok(_) | Err(_) => fail("there are two weights, 400 and 700"),
    }
}

/// The first family decides; the rest is for browsers.
fn family(input: &mut Parser<'_>) -> Result<Family, Fail> {
    let first = match input.expect_ident_or_string() {
        Ok(name) if name.as_ref() == "Noto Sans JP" => Family::Noto,
        Ok(name) if name.as_ref() == "BIZ UDPGothic" => Family::BizUdp,
        Ok(_) | Err(_) => return fail("the families are \"Noto Sans JP\" and \"BIZ UDPGothic\""),
    };
    while input.try_parse(Parser::expect_comma).is_ok() {
        input.expect_ident_or_string().map_err(|_| Fail("a family is expected"))?;
    }
    Ok(first)
}

/// `margin`, `margin-top` and so on: one to four values, or one for a side.
fn sides<T: Copy>(
    rest: &str,
    input: &mut Parser<'_>,
    mut read: impl FnMut(&mut Parser<'_>) -> Result<T, Fail>,
    mut put: impl FnMut(usize, T),
) -> Result<(), Fail> {
    if let Some(side) = side(rest) {
        put(side, read(input)?);
        return Ok(());
    }
    if !rest.is_empty() {
        return fail("unknown property");
    }
    for (side, value) in four(input, read)?.into_iter().enumerate() {
        put(side, value);
    }
    Ok(())
}

/// One to four values, for top, right, bottom and left.
pub(super) fn four<T: Copy>(
    input: &mut Parser<'_>,
    mut read: impl FnMut(&mut Parser<'_>) -> Result<T, Fail>,
) -> Result<[T; 4], Fail> {
    let mut values = Vec::new();
    while values.is_empty() || !input.is_exhausted() {
        values.push(read(input)?);
    }
    Ok(match *values {
        [all] => [all; 4],
        [rows, columns] => [rows, columns, rows, columns],
        [top, columns, bottom] => [top, columns, bottom, columns],
        [top, right, bottom, left] => [top, right, bottom, left],
        _ => return fail("one to four values are expected"),
    })
}

fn side(rest: &str) -> Option<usize> {
    match rest {
        "-top" => Some(TOP),
        "-right" => Some(RIGHT),
        "-bottom" => Some(BOTTOM),
        "-left" => Some(LEFT),
        _ => None,
    }
}

/// `border`, `border-top`, `border-color` and `border-collapse`.
fn border(name: &str, input: &mut Parser<'_>, out: &mut Vec<Declaration>) -> Result<(), Fail> {
    match name {
        "border-collapse" => return nothing(input, &["collapse"]).map(|none| out.push(none)),
        "border-spacing" => {
            let zero = input.expect_integer().is_ok_and(|value| value == 0);
            return if zero { Ok(()) } else { fail("there is no spacing between cells") };
        }
        "border-color" => {
            let colors = four(input, color)?;
            out.extend((0..4).map(|side| Declaration::BorderColor(side, Some(colors[side]))));
            return Ok(());
        }
        _ => {}
    }
    let sides = match name.strip_prefix("border") {
        Some("") => 0..4,
        Some(rest) => side(rest).map(|side| side..side + 1).ok_or(Fail("unknown property"))?,
        None => return fail("unknown property"),
    };
    let (mut width, mut drawn, mut paint) = (None, false, None);
    while !input.is_exhausted() {
        if let Ok(value) = input.try_parse(length) {
            width = Some(value);
        } else if let Ok(style) = input.try_parse(|input| one_of(input, &["none", "solid"])) {
            drawn = style == 1;
        } else {
            paint = Some(color(input)?);
        }
    }
    for side in sides {
        out.push(Declaration::BorderStyle(side, drawn));
        if let Some(width) = width {
            out.push(Declaration::BorderWidth(side, width));
        } else if drawn {
            return fail("a width is expected");
        }
        out.push(Declaration::BorderColor(side, paint));
    }
    Ok(())
}
