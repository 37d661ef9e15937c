//! Backgrounds and borders.

use super::{Area, Item, Round, Shape};
use crate::render::css::style::{BOTTOM, LEFT, Line, RIGHT, Style, TOP};

/// The background and the borders of boxes side by side; equal neighbours
/// become one rectangle. Each box is given with its x, width and style.
pub(super) fn decorate(items: &mut Vec<Item>, boxes: &[(f32, f32, &Style)], height: f32) {
    for (x, w, style) in boxes {
        let Some(color) = style.background else { continue };
        if !is_round(style) {
            push(items, Shape::Fill, Area { x: *x, y: 0.0, w: *w, h: height, color });
        }
    }
    for (x, w, style) in boxes.iter().filter(|(.., style)| is_round(style)) {
        let color = style.background.unwrap_or(style.color);
        let area = Area { x: *x, y: 0.0, w: *w, h: height, color };
        let border = style.border_color[TOP].map(|color| (style.border[TOP], color));
        let round = Round {
            area,
            radius: style.radius.map(|radius| radius.min(w / 2.0).min(height / 2.0)),
            fill: style.background.is_some(),
            border: border.filter(|(width, _)| *width > 0.0),
        };
        items.push(Item::artifact(Shape::Round(Box::new(round))));
    }
    for side in [TOP, BOTTOM, LEFT, RIGHT] {
        for (x, w, style) in boxes {
            if style.border[side] > 0.0 && !is_round(style) {
                edge(items, side, (*x, *w, height), style);
            }
        }
    }
}

/// One side of a border.
pub(super) fn edge(
    items: &mut Vec<Item>,
    side: usize,
    (x, w, height): (f32, f32, f32),
    style: &Style,
) {
    let thick = style.border[side];
    let color = style.border_color[side].unwrap_or(style.color);
    let whole = Area { x, y: 0.0, w, h: height, color };
    let area = match side {
        TOP => Area { h: thick, ..whole },
        BOTTOM => Area { y: height - thick, h: thick, ..whole },
        LEFT => Area { w: thick, ..whole },
        _ => Area { x: x + w - thick, w: thick, ..whole },
    };
    match style.border_line[side] {
        Line::None => {}
        Line::Solid => push(items, Shape::Rule, area),
        Line::Dashed => items.push(Item::artifact(Shape::Dash(area, false))),
        Line::Dotted => items.push(Item::artifact(Shape::Dash(area, true))),
    }
}

/// Whether corners are round. A border around them is drawn as one line, so its
/// sides are those of the upper one.
pub(super) fn is_round(style: &Style) -> bool {
    style.radius.iter().any(|radius| *radius > 0.0) && style.is_decorated()
}

/// Whether a round box has a border that differs from side to side.
pub(super) fn is_uneven(style: &Style) -> bool {
    let first = (style.border[TOP], style.border_line[TOP], style.border_color[TOP]);
    let broken = matches!(style.border_line[TOP], Line::Dashed | Line::Dotted);
    broken
        || (0..4).any(|side| {
            (style.border[side], style.border_line[side], style.border_color[side]) != first
        })
}

fn push(items: &mut Vec<Item>, kind: fn(Area) -> Shape, area: Area) {
    let shape = kind(area);
    let last = items.last_mut().and_then(|item| match (&mut item.shape, &shape) {
        (Shape::Fill(last), Shape::Fill(_)) | (Shape::Rule(last), Shape::Rule(_)) => Some(last),
        _ => None,
    });
    if let Some(last) = last
        && last.color == area.color
        && same(last.y, area.y)
        && same(last.h, area.h)
        && same(last.x + last.w, area.x)
    {
        last.w += area.w;
    } else {
        items.push(Item::artifact(shape));
    }
}

fn same(a: f32, b: f32) -> bool {
    (a - b).abs() < 0.01
}
