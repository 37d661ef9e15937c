//! Layout: from the styled tree to rectangles and runs of glyphs on pages.
//!
//! Blocks become *strips*, horizontal slices that are never cut: a line of
//! text, a row of a table, a box with a background. Pagination then stacks
//! strips onto pages, repeats the head of a table where one continues, and keeps
//! together what must not be parted. Only a strip taller than a page is sliced,
//! between its lines.
//!
//! Lengths are points, y grows downwards, and the origin is where the parent
//! says; the arithmetic is plain IEEE and so the same everywhere.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "layout code: lengths in points, and arena numbers that this module hands out itself"
)]

pub(super) mod flex;
pub(super) mod flow;
pub(super) mod inline;
pub(super) mod lines;
pub(super) mod pages;
pub(super) mod table;
#[cfg(test)]
mod tests;

use super::{
    css::{
        cascade::{StyleId, Styles},
        style::{BOTTOM, LEFT, RIGHT, Style, TOP},
        value::Rgb,
    },
    dom::Tree,
    error::RenderError,
    font::{FaceId, FontSet},
};

/// Something to draw.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    /// A background.
    Fill(Area),
    /// A line of a border; drawn over all backgrounds.
    Rule(Area),
    /// A run of glyphs.
    Text(Run),
}

/// A coloured rectangle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) w: f32,
    pub(super) h: f32,
    pub(super) color: Rgb,
}

/// Glyphs of one face, size and colour on one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) x: f32,
    /// The baseline.
    pub(super) y: f32,
    pub(super) size: f32,
    pub(super) spacing: f32,
    pub(super) color: Rgb,
    /// Into [`Layout::glyphs`].
    pub(super) first: u32,
    pub(super) count: u32,
}

impl Item {
    /// Moves the item.
    pub(super) fn shift(&mut self, dx: f32, dy: f32) {
        match self {
            Self::Fill(area) | Self::Rule(area) => {
                area.x += dx;
                area.y += dy;
            }
            Self::Text(run) => {
                run.x += dx;
                run.y += dy;
            }
        }
    }
}

/// A piece of the document with its own origin at the upper left.
#[derive(Clone, Debug, Default)]
pub(super) struct Fragment {
    pub(super) height: f32,
    /// The width that the content asks for.
    pub(super) used: f32,
    /// The first baseline, if there is text.
    pub(super) baseline: Option<f32>,
    pub(super) items: Vec<Item>,
}

impl Fragment {
    /// Puts another fragment's items at a place in this one.
    pub(super) fn place(&mut self, mut other: Self, dx: f32, dy: f32) {
        for item in &mut other.items {
            item.shift(dx, dy);
        }
        if self.items.is_empty() {
            self.items = other.items;
        } else {
            self.items.append(&mut other.items);
        }
        if self.baseline.is_none() {
            self.baseline = other.baseline.map(|baseline| baseline + dy);
        }
    }
}

/// What a glyph is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Drawn,
    Space,
    /// Guides line breaks only.
    Invisible,
    /// Ends the line.
    Break,
}

/// One glyph of the document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyph {
    /// The character it stands for.
    pub(super) base: u32,
    /// What modifies the character, or 0.
    pub(super) modifier: u32,
    /// With letter spacing, in points.
    pub(super) advance: f32,
    pub(super) style: StyleId,
    pub(super) gid: u16,
    pub(super) face: FaceId,
    pub(super) kind: Kind,
}

/// The state of one layout.
pub(super) struct Layout<'a> {
    pub(super) fonts: &'a FontSet,
    pub(super) tree: &'a Tree,
    pub(super) styles: &'a Styles,
    /// All glyphs; runs point in here.
    pub(super) glyphs: Vec<Glyph>,
    /// Characters that no font has.
    pub(super) missing: Vec<u32>,
    /// A style that would be ignored; said once, at the end.
    ignored: Option<&'static str>,
    flex_depth: u32,
}

impl<'a> Layout<'a> {
    /// A layout of this tree; nothing is laid out yet.
    pub(super) fn new(fonts: &'a FontSet, tree: &'a Tree, styles: &'a Styles) -> Self {
        let glyphs = Vec::with_capacity(4 * tree.nodes.len());
        Self { fonts, tree, styles, glyphs, missing: Vec::new(), ignored: None, flex_depth: 0 }
    }

    /// An error if any character could not be drawn or any style not honoured.
    pub(super) fn check(&mut self) -> Result<(), RenderError> {
        if let Some(what) = self.ignored {
            return Err(RenderError::template(format!("style.css: {what}"), None));
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        self.missing.sort_unstable();
        self.missing.dedup();
        self.missing.truncate(20);
        Err(RenderError::GlyphMissing(std::mem::take(&mut self.missing)))
    }
}

/// The background and the borders of boxes side by side; equal neighbours
/// become one rectangle. Each box is given with its x, width and style.
fn decorate(items: &mut Vec<Item>, boxes: &[(f32, f32, &Style)], height: f32) {
    for (x, w, style) in boxes {
        if let Some(color) = style.background {
            push(items, Item::Fill, Area { x: *x, y: 0.0, w: *w, h: height, color });
        }
    }
    for side in [TOP, BOTTOM, LEFT, RIGHT] {
        for (x, w, style) in boxes {
            let thick = style.border[side];
            if thick <= 0.0 {
                continue;
            }
            let color = style.border_color[side].unwrap_or(style.color);
            let whole = Area { x: *x, y: 0.0, w: *w, h: height, color };
            let area = match side {
                TOP => Area { h: thick, ..whole },
                BOTTOM => Area { y: height - thick, h: thick, ..whole },
                LEFT => Area { w: thick, ..whole },
                _ => Area { x: x + w - thick, w: thick, ..whole },
            };
            push(items, Item::Rule, area);
        }
    }
}

fn push(items: &mut Vec<Item>, kind: fn(Area) -> Item, area: Area) {
    let mergeable = match (items.last_mut(), kind(area)) {
        (Some(Item::Fill(last)), Item::Fill(_)) | (Some(Item::Rule(last)), Item::Rule(_)) => {
            Some(last)
        }
        _ => None,
    };
    if let Some(last) = mergeable
        && last.color == area.color
        && same(last.y, area.y)
        && same(last.h, area.h)
        && same(last.x + last.w, area.x)
    {
        last.w += area.w;
    } else {
        items.push(kind(area));
    }
}

fn same(a: f32, b: f32) -> bool {
    (a - b).abs() < 0.01
}
