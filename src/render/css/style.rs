//! Computed style of an element, and the declarations it is computed from.
//! Lengths in a computed style are points.

use std::sync::Arc;

use super::value::Rgb;
use crate::render::font::FamilyId;

/// The four sides, in the order of CSS.
pub(in crate::render) type Sides<T> = [T; 4];
/// Index of a side in [`Sides`].
pub(in crate::render) const TOP: usize = 0;
/// Index of a side in [`Sides`].
pub(in crate::render) const RIGHT: usize = 1;
/// Index of a side in [`Sides`].
pub(in crate::render) const BOTTOM: usize = 2;
/// Index of a side in [`Sides`].
pub(in crate::render) const LEFT: usize = 3;

/// How an element takes part in layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Display {
    Block,
    Inline,
    InlineBlock,
    Flex,
    Table,
    RowGroup,
    HeadGroup,
    FootGroup,
    Row,
    Cell,
    /// `col` and `colgroup`: widths only.
    Column,
    None,
}

/// Where lines or items stand in the space that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Align {
    Start,
    Center,
    End,
    SpaceBetween,
    SpaceAround,
    SpaceEvenly,
    Stretch,
    Baseline,
    /// Raised or lowered text.
    Super,
    Sub,
}

/// How a border is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(in crate::render) enum Line {
    #[default]
    None,
    Solid,
    Dashed,
    Dotted,
}

/// Whether a box keeps its place in the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Position {
    Static,
    /// In its place, and the origin for absolute boxes inside of it.
    Relative,
    Absolute,
}

/// The sign before an item of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Marker {
    None,
    Disc,
    Decimal,
}

/// What white space means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum WhiteSpace {
    Normal,
    Nowrap,
    PreLine,
}

/// A width or height that may depend on what is around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::render) enum Size {
    Auto,
    Points(f32),
    Percent(f32),
}

impl Size {
    /// The size in points, unless it depends on something else.
    pub(in crate::render) fn points(self) -> Option<f32> {
        match self {
            Self::Points(points) => Some(points),
            Self::Auto | Self::Percent(_) => None,
        }
    }

    /// The size in points within a space.
    pub(in crate::render) fn within(self, space: f32) -> Option<f32> {
        match self {
            Self::Auto => None,
            Self::Points(points) => Some(points),
            Self::Percent(percent) => Some(space * percent / 100.0),
        }
    }
}

/// The distance from line to line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::render) enum LineHeight {
    Times(f32),
    Points(f32),
}

/// Everything layout needs to know of an element's style.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own in CSS")]
pub(in crate::render) struct Style {
    pub(in crate::render) display: Display,
    pub(in crate::render) position: Position,
    pub(in crate::render) inset: Sides<Size>,
    pub(in crate::render) margin: Sides<f32>,
    pub(in crate::render) margin_auto: Sides<bool>,
    pub(in crate::render) padding: Sides<f32>,
    pub(in crate::render) border: Sides<f32>,
    pub(in crate::render) border_color: Sides<Option<Rgb>>,
    pub(in crate::render) border_line: Sides<Line>,
    /// Of the corners, from the upper left clockwise.
    pub(in crate::render) radius: Sides<f32>,
    pub(in crate::render) color: Rgb,
    pub(in crate::render) background: Option<Rgb>,
    pub(in crate::render) size: f32,
    pub(in crate::render) bold: bool,
    pub(in crate::render) family: FamilyId,
    pub(in crate::render) line_height: LineHeight,
    pub(in crate::render) letter_spacing: f32,
    /// A quarter of an em between Japanese and other letters.
    pub(in crate::render) autospace: bool,
    pub(in crate::render) kerning: bool,
    pub(in crate::render) indent: f32,
    pub(in crate::render) text_align: Align,
    pub(in crate::render) underline: bool,
    pub(in crate::render) uppercase: bool,
    pub(in crate::render) vertical_align: Align,
    pub(in crate::render) white_space: WhiteSpace,
    pub(in crate::render) width: Size,
    pub(in crate::render) height: Size,
    pub(in crate::render) min_width: Size,
    pub(in crate::render) max_width: Size,
    pub(in crate::render) min_height: Size,
    pub(in crate::render) max_height: Size,
    pub(in crate::render) justify: Align,
    pub(in crate::render) align_items: Align,
    pub(in crate::render) align_self: Option<Align>,
    pub(in crate::render) align_content: Align,
    pub(in crate::render) column: bool,
    pub(in crate::render) wrap: bool,
    pub(in crate::render) row_gap: f32,
    pub(in crate::render) column_gap: f32,
    pub(in crate::render) grow: f32,
    pub(in crate::render) shrink: f32,
    pub(in crate::render) basis: Size,
    pub(in crate::render) table_fixed: bool,
    pub(in crate::render) marker: Marker,
    pub(in crate::render) page: Option<Arc<str>>,
    pub(in crate::render) break_before: bool,
    pub(in crate::render) break_after: bool,
    pub(in crate::render) keep_next: bool,
    pub(in crate::render) keep_inside: bool,
    pub(in crate::render) orphans: u8,
    pub(in crate::render) widows: u8,
    pub(in crate::render) string_set: Option<Arc<str>>,
}

impl Style {
    /// What holds above the root element.
    pub(in crate::render) fn initial() -> Self {
        Self {
            display: Display::Block,
            position: Position::Static,
            inset: [Size::Auto; 4],
            margin: [0.0; 4],
            margin_auto: [false; 4],
            padding: [0.0; 4],
            border: [0.0; 4],
            border_color: [None; 4],
            border_line: [Line::None; 4],
            radius: [0.0; 4],
            color: Rgb(0, 0, 0),
            background: None,
            size: 9.0,
            bold: false,
            family: 0,
            line_height: LineHeight::Times(1.5),
            letter_spacing: 0.0,
            autospace: false,
            kerning: true,
            indent: 0.0,
            text_align: Align::Start,
            underline: false,
            uppercase: false,
            vertical_align: Align::Baseline,
            white_space: WhiteSpace::Normal,
            width: Size::Auto,
            height: Size::Auto,
            min_width: Size::Auto,
            max_width: Size::Auto,
            min_height: Size::Auto,
            max_height: Size::Auto,
            justify: Align::Start,
            align_items: Align::Stretch,
            align_self: None,
            align_content: Align::Stretch,
            column: false,
            wrap: false,
            row_gap: 0.0,
            column_gap: 0.0,
            grow: 0.0,
            shrink: 1.0,
            basis: Size::Auto,
            table_fixed: false,
            marker: Marker::Disc,
            page: None,
            break_before: false,
            break_after: false,
            keep_next: false,
            keep_inside: false,
            orphans: 2,
            widows: 2,
            string_set: None,
        }
    }

    /// The style of a child before any rule speaks.
    pub(in crate::render) fn inherit(&self, display: Display) -> Self {
        Self {
            display,
            color: self.color,
            size: self.size,
            bold: self.bold,
            family: self.family,
            line_height: self.line_height,
            letter_spacing: self.letter_spacing,
            autospace: self.autospace,
            kerning: self.kerning,
            indent: self.indent,
            text_align: self.text_align,
            underline: self.underline,
            uppercase: self.uppercase,
            white_space: self.white_space,
            marker: self.marker,
            orphans: self.orphans,
            widows: self.widows,
            ..Self::initial()
        }
    }

    /// Whether anything is said about the box itself.
    pub(in crate::render) fn is_boxed(&self) -> bool {
        let none = |sides: &Sides<f32>| sides.iter().all(|side| *side == 0.0);
        let auto = [self.width, self.height, self.min_width, self.min_height];
        !none(&self.margin)
            || !none(&self.padding)
            || self.is_decorated()
            || auto.iter().any(|size| *size != Size::Auto)
    }

    /// Whether a background or a border is drawn.
    pub(in crate::render) fn is_decorated(&self) -> bool {
        self.background.is_some() || self.border.iter().any(|side| *side > 0.0)
    }

    /// Whether the box has a height of its own.
    pub(in crate::render) fn has_height(&self) -> bool {
        [self.height, self.min_height, self.max_height].iter().any(|size| *size != Size::Auto)
    }

    /// A height within what was asked for; the smallest wins over the largest.
    pub(in crate::render) fn clamp_height(&self, height: f32) -> f32 {
        let height = self.height.points().unwrap_or(height);
        let height = self.max_height.points().map_or(height, |max| height.min(max));
        self.min_height.points().map_or(height, |min| height.max(min))
    }

    /// The same for a width within a space.
    pub(in crate::render) fn clamp_width(&self, width: f32, room: f32) -> f32 {
        let within = |size: Size| size.within(room).filter(|size| size.is_finite());
        let width = within(self.max_width).map_or(width, |max| width.min(max));
        within(self.min_width).map_or(width, |min| width.max(min))
    }
}
