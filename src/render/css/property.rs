//! Properties: from a name and tokens to declarations. What stands here is what
//! templates can say; docs/TEMPLATES.md has the same list.

use cssparser::{ParseError, Parser, Token};

use super::{
    border::border,
    declaration::{Declaration, Declaration as D},
    names::{INSTEAD, PROPERTIES},
    parse::{Fail, fail, found},
    style::{Align, BOTTOM, Display, LEFT, Marker, Position, RIGHT, TOP, WhiteSpace},
    value::{Length, color, length, number, signed_length, signed_size, size, word},
};
use crate::render::{font::FamilyId, near};

/// Reads one declaration.
pub(super) fn declaration(
    name: &str,
    input: &mut Parser<'_>,
    families: &[String],
    out: &mut Vec<Declaration>,
) -> Result<(), Fail> {
    if let Some(rest) = name.strip_prefix("margin").filter(|rest| is_side(rest)) {
        return sides(rest, input, margin, |side, value| out.push(D::Margin(side, value)));
    }
    if let Some(rest) = name.strip_prefix("padding").filter(|rest| is_side(rest)) {
        return sides(rest, input, length, |side, value| out.push(D::Padding(side, value)));
    }
    if name.starts_with("border") {
        return border(name, input, out);
    }
    match name {
        "inset" => {
            let inset = four(input, signed_size)?;
            out.extend((0..4).map(|side| D::Inset(side, inset[side])));
        }
        "gap" => {
            let row = length(input)?;
            let column = if input.is_exhausted() { row } else { length(input)? };
            out.extend([D::RowGap(row), D::ColumnGap(column)]);
        }
        "flex" => flex(input, out)?,
        "font-family" => out.push(D::Family(family(input, families)?)),
        _ => {
            let one = text(name, input).or_else(|| place(name, input));
            out.push(one.unwrap_or_else(|| unknown(name))?);
        }
    }
    Ok(())
}

/// A property that is not understood, with the nearest that is.
pub(super) fn unknown<T>(name: &str) -> Result<T, Fail> {
    if name.starts_with("--") {
        return fail(
            "unknown property; a custom property stands in `:root`, which holds everywhere",
        );
    }
    let family = |known: &str| name.strip_prefix(known).is_some_and(|rest| rest.starts_with('-'));
    let whole = INSTEAD.iter().find(|(known, _)| *known == name);
    let near = near::meant(name, PROPERTIES.split_ascii_whitespace());
    let instead = whole.or_else(|| INSTEAD.iter().find(|(known, _)| family(known)));
    let hint = match instead.filter(|_| whole.is_some() || near.is_empty()) {
        Some((_, instead)) => format!("; {instead}"),
        None => near,
    };
    fail(format!("unknown property{hint}"))
}

/// Properties of text.
fn text(name: &str, input: &mut Parser<'_>) -> Option<Result<D, Fail>> {
    Some(match name {
        "color" => color(input).map(D::Color),
        "background" | "background-color" => paint(input).map(D::Background),
        "font-size" => match size(input) {
            Ok(Some(size)) => Ok(D::FontSize(size)),
            Ok(None) | Err(_) => fail("a size is expected"),
        },
        "font-weight" => weight(input).map(D::Bold),
        "line-height" => match input.try_parse(number) {
            Ok(times) => Ok(D::LineHeight(Some(times), Length::Points(0.0))),
            Err(_) => length(input).map(|length| D::LineHeight(None, length)),
        },
        "letter-spacing" => match input.try_parse(|input| one_of(input, &["normal"])) {
            Ok(_) => Ok(D::LetterSpacing(Length::Points(0.0))),
            Err(_) => signed_length(input).map(D::LetterSpacing),
        },
        "text-autospace" => {
            one_of(input, &["no-autospace", "normal"]).map(|at| D::Autospace(at == 1))
        }
        "font-kerning" => one_of(input, &["none", "normal"]).map(|at| D::Kerning(at == 1)),
        "text-indent" => length(input).map(D::Indent),
        "text-align" => align(input, "start center end left right").map(D::TextAlign),
        "text-decoration" => one_of(input, &["none", "underline"]).map(|at| D::Underline(at == 1)),
        "text-transform" => one_of(input, &["none", "uppercase"]).map(|at| D::Uppercase(at == 1)),
        "vertical-align" => {
            align(input, "top middle bottom baseline super sub").map(D::VerticalAlign)
        }
        "white-space" => {
            let words = [WhiteSpace::Normal, WhiteSpace::Nowrap, WhiteSpace::PreLine];
            one_of(input, &["normal", "nowrap", "pre-line"]).map(|at| D::WhiteSpace(words[at]))
        }
        "list-style" | "list-style-type" => {
            let markers = [Marker::None, Marker::Disc, Marker::Decimal];
            one_of(input, &["none", "disc", "decimal"]).map(|at| D::Marker(markers[at]))
        }
        "string-set" => string_set(input),
        // What holds here anyway; written for browsers.
        "overflow-wrap" => nothing(input, &["anywhere"]),
        "line-break" => nothing(input, &["strict"]),
        "font-variant-numeric" => nothing(input, &["tabular-nums"]),
        "font-style" => nothing(input, &["normal"]),
        _ => return None,
    })
}

/// Properties of boxes and of their places.
fn place(name: &str, input: &mut Parser<'_>) -> Option<Result<D, Fail>> {
    const CONTENT: &str = "flex-start center flex-end space-between space-around space-evenly";
    const ITEMS: &str = "flex-start center flex-end stretch baseline";
    Some(match name {
        "display" => display(input).map(D::Display),
        "position" => {
            let words = [Position::Static, Position::Relative, Position::Absolute];
            one_of(input, &["static", "relative", "absolute"]).map(|at| D::Position(words[at]))
        }
        "top" => signed_size(input).map(|size| D::Inset(TOP, size)),
        "right" => signed_size(input).map(|size| D::Inset(RIGHT, size)),
        "bottom" => signed_size(input).map(|size| D::Inset(BOTTOM, size)),
        "left" => signed_size(input).map(|size| D::Inset(LEFT, size)),
        "width" => size(input).map(D::Width),
        "height" => height(input).map(D::Height),
        "min-width" => size(input).map(D::MinWidth),
        "max-width" => limit(input, size).map(D::MaxWidth),
        "min-height" => height(input).map(D::MinHeight),
        "max-height" => limit(input, height).map(D::MaxHeight),
        "justify-content" => align(input, CONTENT).map(D::Justify),
        "align-content" => {
            align(input, "flex-start center flex-end stretch space-between").map(D::AlignContent)
        }
        "align-items" => align(input, ITEMS).map(D::AlignItems),
        "align-self" => match input.try_parse(|input| one_of(input, &["auto"])) {
            Ok(_) => Ok(D::AlignSelf(None)),
            Err(_) => align(input, ITEMS).map(|align| D::AlignSelf(Some(align))),
        },
        "flex-direction" => one_of(input, &["row", "column"]).map(|at| D::Column(at == 1)),
        "flex-wrap" => one_of(input, &["nowrap", "wrap"]).map(|at| D::Wrap(at == 1)),
        "column-gap" => length(input).map(D::ColumnGap),
        "row-gap" => length(input).map(D::RowGap),
        "flex-grow" => number(input).map(D::Grow),
        "flex-shrink" => number(input).map(D::Shrink),
        "flex-basis" => size(input).map(D::Basis),
        "table-layout" => one_of(input, &["auto", "fixed"]).map(|at| D::TableFixed(at == 1)),
        "page" => match input.expect_ident() {
            Ok(name) => Ok(D::Page(name.as_ref().into())),
            Err(_) => fail("the name of an @page rule is expected"),
        },
        "break-before" => one_of(input, &["auto", "page"]).map(|at| D::BreakBefore(at == 1)),
        "break-after" => one_of(input, &["auto", "avoid", "page"]).map(|at| match at {
            2 => D::BreakAfter(true),
            at => D::BreakAfterAvoid(at == 1),
        }),
        "break-inside" => one_of(input, &["auto", "avoid"]).map(|at| D::BreakInsideAvoid(at == 1)),
        "orphans" => lines(input).map(D::Orphans),
        "widows" => lines(input).map(D::Widows),
        "box-sizing" => nothing(input, &["border-box"]),
        _ => return None,
    })
}

fn string_set(input: &mut Parser<'_>) -> Result<D, Fail> {
    let name = word(input)?;
    input.expect_function_matching("content").map_err(|_| Fail::of("content() is expected"))?;
    let empty: Result<(), ParseError<()>> = input.parse_nested_block(|_| Ok(()));
    empty.map_err(|_| Fail::of("content() is expected"))?;
    Ok(D::StringSet(name.into()))
}

/// `flex: 1`, `flex: none`, `flex: auto`, or grow, shrink and basis.
fn flex(input: &mut Parser<'_>, out: &mut Vec<D>) -> Result<(), Fail> {
    let word = input.try_parse(|input| one_of(input, &["none", "auto"])).ok();
    let (grow, shrink, basis) = match word {
        Some(0) => (0.0, 0.0, None),
        Some(_) => (1.0, 1.0, None),
        None => {
            let grow = number(input)?;
            let shrink = input.try_parse(number).unwrap_or(1.0);
            let zero = Some(Length::Points(0.0));
            (grow, shrink, if input.is_exhausted() { zero } else { size(input)? })
        }
    };
    out.extend([D::Grow(grow), D::Shrink(shrink), D::Basis(basis)]);
    Ok(())
}

/// `auto`, or a length of at least 0.
fn margin(input: &mut Parser<'_>) -> Result<Option<Length>, Fail> {
    match input.try_parse(|input| one_of(input, &["auto"])) {
        Ok(_) => Ok(None),
        Err(_) => length(input).map(Some),
    }
}

/// A height; there is nothing that a percentage could be of.
fn height(input: &mut Parser<'_>) -> Result<Option<Length>, Fail> {
    match size(input)? {
        Some(Length::Percent(_)) => fail("a height in percent has nothing to refer to"),
        height => Ok(height),
    }
}

fn limit(
    input: &mut Parser<'_>,
    read: impl FnOnce(&mut Parser<'_>) -> Result<Option<Length>, Fail>,
) -> Result<Option<Length>, Fail> {
    match input.try_parse(|input| one_of(input, &["none"])) {
        Ok(_) => Ok(None),
        Err(_) => read(input),
    }
}

pub(super) fn nothing(input: &mut Parser<'_>, words: &[&str]) -> Result<Declaration, Fail> {
    one_of(input, words).map(|_| Declaration::Nothing)
}

pub(super) fn one_of(input: &mut Parser<'_>, words: &[&str]) -> Result<usize, Fail> {
    let word = word(input)?;
    match words.iter().position(|known| *known == word) {
        Some(place) => Ok(place),
        None => fail(unknown_word(&word, words)),
    }
}

fn unknown_word(word: &str, known: &[&str]) -> String {
    format!("unknown word {}{}", near::quote(word), near::expected(word, known))
}

fn lines(input: &mut Parser<'_>) -> Result<u8, Fail> {
    let lines = input.expect_integer().map_err(|_| Fail::of("a number of lines is expected"))?;
    u8::try_from(lines).ok().filter(|lines| (1..=20).contains(lines)).ok_or(Fail::of("1 to 20"))
}

fn display(input: &mut Parser<'_>) -> Result<Display, Fail> {
    let words =
        [Display::Block, Display::Inline, Display::InlineBlock, Display::Flex, Display::None];
    one_of(input, &["block", "inline", "inline-block", "flex", "none"]).map(|at| words[at])
}

fn align(input: &mut Parser<'_>, allowed: &str) -> Result<Align, Fail> {
    let word = word(input)?;
    if !allowed.split(' ').any(|known| known == word) {
        let known: Vec<&str> = allowed.split(' ').collect();
        return fail(unknown_word(&word, &known));
    }
    Ok(match word.as_str() {
        "center" | "middle" => Align::Center,
        "end" | "right" | "flex-end" | "bottom" => Align::End,
        "space-between" => Align::SpaceBetween,
        "space-around" => Align::SpaceAround,
        "space-evenly" => Align::SpaceEvenly,
        "stretch" => Align::Stretch,
        "baseline" => Align::Baseline,
        "super" => Align::Super,
        "sub" => Align::Sub,
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

pub(super) fn weight(input: &mut Parser<'_>) -> Result<bool, Fail> {
    let state = input.state();
    match input.next() {
        Ok(Token::Number { int_value: Some(400), .. }) => Ok(false),
        Ok(Token::Number { int_value: Some(700), .. }) => Ok(true),
        Ok(Token::Ident(name)) if name.as_ref() == "normal" => Ok(false),
        Ok(Token::Ident(name)) if name.as_ref() == "bold" => Ok(true),
        Ok(_) | Err(_) => {
            input.reset(&state);
            let found = found(input);
            fail(format!("unknown weight {found}; `400`, `700`, `normal` or `bold` is expected"))
        }
    }
}

/// The first family decides; the rest is for browsers.
fn family(input: &mut Parser<'_>, families: &[String]) -> Result<FamilyId, Fail> {
    let first = input.expect_ident_or_string().map_err(|_| Fail::of("a family is expected"))?;
    let known = families.iter().position(|family| family == first.as_ref());
    let Some(id) = known.and_then(|id| FamilyId::try_from(id).ok()) else {
        let known: Vec<String> = families.iter().map(|one| format!("\"{one}\"")).collect();
        return fail(format!(
            "unknown family {}; known here are {}",
            near::quote(first),
            known.join(", ")
        ));
    };
    while input.try_parse(Parser::expect_comma).is_ok() {
        input.expect_ident_or_string().map_err(|_| Fail::of("a family is expected"))?;
    }
    Ok(id)
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

fn is_side(rest: &str) -> bool {
    rest.is_empty() || side(rest).is_some()
}

pub(super) fn side(rest: &str) -> Option<usize> {
    match rest {
        "-top" => Some(TOP),
        "-right" => Some(RIGHT),
        "-bottom" => Some(BOTTOM),
        "-left" => Some(LEFT),
        _ => None,
    }
}
