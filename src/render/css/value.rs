//! Values: lengths, colours and words.

use cssparser::{Parser, Token};

use super::parse::{Fail, fail, found};
use crate::render::near;

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) struct Rgb(
    pub(in crate::render) u8,
    pub(in crate::render) u8,
    pub(in crate::render) u8,
);

/// A length as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::render) enum Length {
    Points(f32),
    Em(f32),
    Rem(f32),
    Percent(f32),
}

/// The units of lengths.
const UNITS: &str = "pt, mm, cm, in, px, em and rem";

impl Length {
    fn is_negative(self) -> bool {
        let (Self::Points(value) | Self::Em(value) | Self::Rem(value) | Self::Percent(value)) =
            self;
        value < 0.0
    }

    /// In points, for an element with this font size.
    pub(in crate::render) fn points(self, size: f32, root: f32) -> f32 {
        match self {
            Self::Points(points) => points,
            Self::Em(times) => times * size,
            Self::Rem(times) => times * root,
            // Only sizes take percentages; the parser lets none through here.
            Self::Percent(_) => 0.0,
        }
    }
}

/// A length of at least 0, without percentages.
pub(super) fn length(input: &mut Parser<'_>) -> Result<Length, Fail> {
    let length = signed_length(input)?;
    if length.is_negative() { fail("a negative length is not understood here") } else { Ok(length) }
}

/// A length without percentages.
pub(super) fn signed_length(input: &mut Parser<'_>) -> Result<Length, Fail> {
    match length_or_percent(input)? {
        Length::Percent(_) => fail("a percentage is not understood here; a length is expected"),
        length => Ok(length),
    }
}

/// A length or a percentage.
pub(super) fn length_or_percent(input: &mut Parser<'_>) -> Result<Length, Fail> {
    let state = input.state();
    match input.next().cloned() {
        Ok(Token::Number { value: 0.0, .. }) => Ok(Length::Points(0.0)),
        Ok(Token::Number { .. }) => {
            input.reset(&state);
            fail(format!("a length has a unit, and {} has none: {UNITS}", found(input)))
        }
        Ok(Token::Percentage { unit_value, .. }) => Ok(Length::Percent(unit_value * 100.0)),
        Ok(Token::Dimension { value, unit, .. }) => {
            if !value.is_finite() || value.abs() > 10_000.0 {
                return fail("a length is at most 10,000 of its units");
            }
            Ok(match unit.to_ascii_lowercase().as_str() {
                "pt" => Length::Points(value),
                "mm" => Length::Points(value * 72.0 / 25.4),
                "cm" => Length::Points(value * 72.0 / 2.54),
                "in" => Length::Points(value * 72.0),
                "px" => Length::Points(value * 0.75),
                "em" => Length::Em(value),
                "rem" => Length::Rem(value),
                _ => {
                    return fail(format!("unknown unit {}; {UNITS} are known", near::quote(&unit)));
                }
            })
        }
        Ok(_) | Err(_) => {
            input.reset(&state);
            fail(format!("a length is expected, not {}", found(input)))
        }
    }
}

/// `auto`, or a size.
pub(super) fn size(input: &mut Parser<'_>) -> Result<Option<Length>, Fail> {
    if input.try_parse(|input| input.expect_ident_matching("auto")).is_ok() {
        return Ok(None);
    }
    let size = length_or_percent(input)?;
    if size.is_negative() { fail("a negative size is not understood") } else { Ok(Some(size)) }
}

/// `auto`, or a length or percentage of either sign.
pub(super) fn signed_size(input: &mut Parser<'_>) -> Result<Option<Length>, Fail> {
    if input.try_parse(|input| input.expect_ident_matching("auto")).is_ok() {
        return Ok(None);
    }
    length_or_percent(input).map(Some)
}

/// `#rgb`, `#rrggbb` or a named colour, opaque.
pub(super) fn color(input: &mut Parser<'_>) -> Result<Rgb, Fail> {
    let state = input.state();
    let parsed = match input.next().cloned() {
        Ok(Token::Hash(value) | Token::IDHash(value)) => {
            match cssparser::color::parse_hash_color(value.as_bytes()) {
                Ok((red, green, blue, 1.0)) => Some((red, green, blue)),
                Ok(_) | Err(()) => None,
            }
        }
        Ok(Token::Ident(name)) => cssparser::color::parse_named_color(&name).ok(),
        Ok(_) | Err(_) => None,
    };
    if let Some((red, green, blue)) = parsed {
        return Ok(Rgb(red, green, blue));
    }
    input.reset(&state);
    let found = found(input);
    fail(format!("an opaque colour is expected, not {found}: `#rgb`, `#rrggbb` or a name of CSS"))
}

/// A word, lower case.
pub(super) fn word(input: &mut Parser<'_>) -> Result<String, Fail> {
    let state = input.state();
    if let Ok(Token::Ident(name)) = input.next() {
        return Ok(name.to_ascii_lowercase());
    }
    input.reset(&state);
    fail(format!("a word is expected, not {}", found(input)))
}

/// A number of at least 0.
pub(super) fn number(input: &mut Parser<'_>) -> Result<f32, Fail> {
    let state = input.state();
    match input.expect_number() {
        Ok(value) if (0.0..=1_000.0).contains(&value) => Ok(value),
        Ok(_) | Err(_) => {
            input.reset(&state);
            fail(format!("a number from 0 to 1,000 is expected, not {}", found(input)))
        }
    }
}
