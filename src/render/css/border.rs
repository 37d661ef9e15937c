//! Borders: everything whose name begins with `border`.

use cssparser::Parser;

use super::{
    declaration::Declaration as D,
    parse::{Fail, fail, found},
    property::{four, nothing, one_of, side, unknown},
    style::Line,
    value::{Rgb, color, length},
};

/// The colour of a border; of what is none it is not known what it was meant to be.
fn border_color(input: &mut Parser<'_>) -> Result<Rgb, Fail> {
    let state = input.state();
    input.try_parse(color).or_else(|_| {
        input.reset(&state);
        fail(format!(
            "{} is not understood: a width such as `0.5pt`, a line (`solid`, `dashed`, `dotted`, \
             `none`) and a colour (`#rgb`, `#rrggbb` or a name) are",
            found(input)
        ))
    })
}

/// Everything whose name begins with `border`.
pub(super) fn border(name: &str, input: &mut Parser<'_>, out: &mut Vec<D>) -> Result<(), Fail> {
    match name {
        "border-collapse" => return nothing(input, &["collapse"]).map(|none| out.push(none)),
        "border-spacing" => {
            let zero = input.expect_integer().is_ok_and(|value| value == 0);
            return if zero { Ok(()) } else { fail("there is no spacing between cells") };
        }
        "border-color" => {
            let colors = four(input, color)?;
            out.extend((0..4).map(|side| D::BorderColor(side, Some(colors[side]))));
            return Ok(());
        }
        "border-width" => {
            let widths = four(input, length)?;
            out.extend((0..4).map(|side| D::BorderWidth(side, widths[side])));
            return Ok(());
        }
        "border-top-width" | "border-right-width" | "border-bottom-width" | "border-left-width" => {
            let width = length(input)?;
            out.extend(part(name, "-width").map(|side| D::BorderWidth(side, width)));
            return Ok(());
        }
        "border-top-color" | "border-right-color" | "border-bottom-color" | "border-left-color" => {
            let color = color(input)?;
            out.extend(part(name, "-color").map(|side| D::BorderColor(side, Some(color))));
            return Ok(());
        }
        "border-radius" => {
            let corners = four(input, length)?;
            out.extend((0..4).map(|corner| D::Radius(corner, corners[corner])));
            return Ok(());
        }
        _ => {}
    }
    let sides = match name.strip_prefix("border") {
        Some("") => 0..4,
        Some(rest) => match side(rest) {
            Some(side) => side..side + 1,
            None => return unknown(name),
        },
        None => return unknown(name),
    };
    let (mut width, mut line, mut paint) = (None, Line::None, None);
    while !input.is_exhausted() {
        let styles = ["none", "solid", "dashed", "dotted"];
        if let Ok(value) = input.try_parse(length) {
            width = Some(value);
        } else if let Ok(style) = input.try_parse(|input| one_of(input, &styles)) {
            line = [Line::None, Line::Solid, Line::Dashed, Line::Dotted][style];
        } else {
            paint = Some(border_color(input)?);
        }
    }
    for side in sides {
        out.push(D::BorderStyle(side, line));
        if let Some(width) = width {
            out.push(D::BorderWidth(side, width));
        } else if line != Line::None {
            return fail("a width is expected, such as `0.5pt`");
        }
        out.push(D::BorderColor(side, paint));
    }
    Ok(())
}

/// The side in `border-top-width`.
fn part(name: &str, what: &str) -> Option<usize> {
    side(name.strip_prefix("border")?.strip_suffix(what)?)
}
