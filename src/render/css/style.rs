//! Computed style of an element, and the declarations it is computed from.
//! Lengths in a computed style are points.

use std::sync::Arc;

use super::value::{Length, Rgb};
use crate::render::font::Family;

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
    Flex,
    Table,
    RowGroup,
    HeadGroup,
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
    Stretch,
    Baseline,
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

/// One declaration of a stylesheet.
#[derive(Clone, Debug)]
pub(in crate::render) enum Declaration {
    Display(Display),
    Margin(usize, Length),
    Padding(usize, Length),
    BorderWidth(usize, Length),
    BorderColor(usize, Option<Rgb>),
    BorderStyle(usize, bool),
    Color(Rgb),
    Background(Option<Rgb>),
    FontSize(Length),
    Bold(bool),
    Family(Family),
    LineHeight(Option<f32>, Length),
    LetterSpacing(Length),
    TextAlign(Align),
    VerticalAlign(Align),
    WhiteSpace(WhiteSpace),
    Width(Option<Length>),
    MinHeight(Option<Length>),
    Justify(Align),
    AlignItems(Align),
    Gap(Length),
    Grow(f32),
    BreakBefore(bool),
    BreakAfterAvoid(bool),
    BreakInsideAvoid(bool),
    Orphans(u8),
    Widows(u8),
    StringSet(Arc<str>),
    /// Understood, and nothing to do: this renderer does it anyway.
    Nothing,
}

/// Everything layout needs to know of an element's style.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own in CSS")]
pub(in crate::render) struct Style {
    pub(in crate::render) display: Display,
    pub(in crate::render) margin: Sides<f32>,
    pub(in crate::render) padding: Sides<f32>,
    pub(in crate::render) border: Sides<f32>,
    pub(in crate::render) border_color: Sides<Option<Rgb>>,
    /// Whether a border is drawn at all.
    bordered: Sides<bool>,
    pub(in crate::render) color: Rgb,
    pub(in crate::render) background: Option<Rgb>,
    pub(in crate::render) size: f32,
    pub(in crate::render) bold: bool,
    pub(in crate::render) family: Family,
    pub(in crate::render) line_height: LineHeight,
    pub(in crate::render) letter_spacing: f32,
    pub(in crate::render) text_align: Align,
    pub(in crate::render) vertical_align: Align,
    pub(in crate::render) white_space: WhiteSpace,
    pub(in crate::render) width: Size,
    pub(in crate::render) min_height: f32,
    pub(in crate::render) justify: Align,
    pub(in crate::render) align_items: Align,
    pub(in crate::render) gap: f32,
    pub(in crate::render) grow: f32,
    pub(in crate::render) break_before: bool,
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
            margin: [0.0; 4],
            padding: [0.0; 4],
            border: [0.0; 4],
            border_color: [None; 4],
            bordered: [false; 4],
            color: Rgb(0, 0, 0),
            background: None,
            size: 9.0,
            bold: false,
            family: Family::Noto,
            line_height: LineHeight::Times(1.5),
            letter_spacing: 0.0,
            text_align: Align::Start,
            vertical_align: Align::Start,
            white_space: WhiteSpace::Normal,
            width: Size::Auto,
            min_height: 0.0,
            justify: Align::Start,
            align_items: Align::Stretch,
            gap: 0.0,
            grow: 0.0,
            break_before: false,
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
            text_align: self.text_align,
            white_space: self.white_space,
            orphans: self.orphans,
            widows: self.widows,
            ..Self::initial()
        }
    }

    /// Whether anything is said about the box itself.
    pub(in crate::render) fn is_boxed(&self) -> bool {
        let none = |sides: &Sides<f32>| sides.iter().all(|side| *side == 0.0);
        let plain = none(&self.margin) && none(&self.padding);
        !plain || self.is_decorated() || self.width != Size::Auto || self.min_height > 0.0
    }

    /// Whether a background or a border is drawn.
    pub(in crate::render) fn is_decorated(&self) -> bool {
        self.background.is_some() || self.border.iter().any(|side| *side > 0.0)
    }

    /// Takes declarations over, in their order. `root` is the root's font size.
    pub(super) fn apply<'a>(
        &mut self,
        parent_size: f32,
        root: f32,
        declarations: impl Iterator<Item = &'a Declaration> + Clone,
    ) {
        // The font size first: everything in em depends on it.
        for declaration in declarations.clone() {
            if let Declaration::FontSize(length) = declaration {
                self.size = match length {
                    Length::Percent(percent) => parent_size * percent / 100.0,
                    other => other.points(parent_size, root),
                };
            }
        }
        for declaration in declarations {
            self.set(declaration, root);
        }
        for side in 0..4 {
            if !self.bordered[side] {
                self.border[side] = 0.0;
            }
            self.border_color[side] = self.border_color[side].or(Some(self.color));
        }
    }

    fn set(&mut self, declaration: &Declaration, root: f32) {
        use Declaration as D;
        let size = self.size;
        let points = |length: &Length| length.points(size, root);
        match declaration {
            D::Display(display) => self.display = *display,
            D::Margin(side, length) => self.margin[*side] = points(length),
            D::Padding(side, length) => self.padding[*side] = points(length),
            D::BorderWidth(side, length) => self.border[*side] = points(length),
            D::BorderColor(side, color) => self.border_color[*side] = *color,
            D::BorderStyle(side, drawn) => self.bordered[*side] = *drawn,
            D::Color(color) => self.color = *color,
            D::Background(color) => self.background = *color,
            D::Bold(bold) => self.bold = *bold,
            D::Family(family) => self.family = *family,
            D::LineHeight(Some(times), _) => self.line_height = LineHeight::Times(*times),
            D::LineHeight(None, length) => self.line_height = LineHeight::Points(points(length)),
            D::LetterSpacing(length) => self.letter_spacing = points(length),
            D::TextAlign(align) => self.text_align = *align,
            D::VerticalAlign(align) => self.vertical_align = *align,
            D::WhiteSpace(white_space) => self.white_space = *white_space,
            D::Width(length) => self.width = sized(*length, size, root),
            D::MinHeight(length) => self.min_height = length.as_ref().map_or(0.0, points),
            D::Justify(align) => self.justify = *align,
            D::AlignItems(align) => self.align_items = *align,
            D::Gap(length) => self.gap = points(length),
            D::Grow(grow) => self.grow = *grow,
            D::BreakBefore(page) => self.break_before = *page,
            D::BreakAfterAvoid(avoid) => self.keep_next = *avoid,
            D::BreakInsideAvoid(avoid) => self.keep_inside = *avoid,
            D::Orphans(lines) => self.orphans = *lines,
            D::Widows(lines) => self.widows = *lines,
            D::StringSet(name) => self.string_set = Some(Arc::clone(name)),
            D::FontSize(_) | D::Nothing => {}
        }
    }
}

fn sized(length: Option<Length>, size: f32, root: f32) -> Size {
    match length {
        None => Size::Auto,
        Some(Length::Percent(percent)) => Size::Percent(percent),
        Some(length) => Size::Points(length.points(size, root)),
    }
}
