//! Declarations, and how they make the style of an element.

use std::sync::Arc;

use super::{
    style::{Align, Display, Line, LineHeight, Marker, Position, Size, Style, WhiteSpace},
    value::{Length, Rgb},
};
use crate::render::font::FamilyId;

/// One declaration of a stylesheet.
#[derive(Clone, Debug)]
pub(in crate::render) enum Declaration {
    Display(Display),
    Position(Position),
    Inset(usize, Option<Length>),
    /// `None` is `auto`.
    Margin(usize, Option<Length>),
    Padding(usize, Length),
    BorderWidth(usize, Length),
    BorderColor(usize, Option<Rgb>),
    BorderStyle(usize, Line),
    Radius(usize, Length),
    Color(Rgb),
    Background(Option<Rgb>),
    FontSize(Length),
    Bold(bool),
    Family(FamilyId),
    LineHeight(Option<f32>, Length),
    LetterSpacing(Length),
    Autospace(bool),
    Kerning(bool),
    Indent(Length),
    TextAlign(Align),
    Underline(bool),
    Uppercase(bool),
    VerticalAlign(Align),
    WhiteSpace(WhiteSpace),
    Width(Option<Length>),
    Height(Option<Length>),
    MinWidth(Option<Length>),
    MaxWidth(Option<Length>),
    MinHeight(Option<Length>),
    MaxHeight(Option<Length>),
    Justify(Align),
    AlignItems(Align),
    AlignSelf(Option<Align>),
    AlignContent(Align),
    Column(bool),
    Wrap(bool),
    RowGap(Length),
    ColumnGap(Length),
    Grow(f32),
    Shrink(f32),
    Basis(Option<Length>),
    TableFixed(bool),
    Marker(Marker),
    Page(Arc<str>),
    BreakBefore(bool),
    BreakAfter(bool),
    BreakAfterAvoid(bool),
    BreakInsideAvoid(bool),
    Orphans(u8),
    Widows(u8),
    StringSet(Arc<str>),
    /// Understood, and nothing to do: this renderer does it anyway.
    Nothing,
}

impl Style {
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
            if self.border_line[side] == Line::None {
                self.border[side] = 0.0;
            }
            self.border_color[side] = self.border_color[side].or(Some(self.color));
        }
    }

    fn set(&mut self, declaration: &Declaration, root: f32) {
        use Declaration as D;
        let size = self.size;
        let points = |length: &Length| length.points(size, root);
        let sized = |length: &Option<Length>| sized(*length, size, root);
        match declaration {
            D::Display(display) => self.display = *display,
            D::Position(position) => self.position = *position,
            D::Inset(side, length) => self.inset[*side] = sized(length),
            D::Margin(side, length) => {
                self.margin[*side] = length.as_ref().map_or(0.0, points);
                self.margin_auto[*side] = length.is_none();
            }
            D::Padding(side, length) => self.padding[*side] = points(length),
            D::BorderWidth(side, length) => self.border[*side] = points(length),
            D::BorderColor(side, color) => self.border_color[*side] = *color,
            D::BorderStyle(side, line) => self.border_line[*side] = *line,
            D::Radius(corner, length) => self.radius[*corner] = points(length),
            D::Color(color) => self.color = *color,
            D::Background(color) => self.background = *color,
            D::Bold(bold) => self.bold = *bold,
            D::Family(family) => self.family = *family,
            D::LineHeight(Some(times), _) => self.line_height = LineHeight::Times(*times),
            D::LineHeight(None, length) => self.line_height = LineHeight::Points(points(length)),
            D::LetterSpacing(length) => self.letter_spacing = points(length),
            D::Autospace(normal) => self.autospace = *normal,
            D::Kerning(normal) => self.kerning = *normal,
            D::Indent(length) => self.indent = points(length),
            D::TextAlign(align) => self.text_align = *align,
            D::Underline(drawn) => self.underline = *drawn,
            D::Uppercase(upper) => self.uppercase = *upper,
            D::VerticalAlign(align) => self.vertical_align = *align,
            D::WhiteSpace(white_space) => self.white_space = *white_space,
            D::Width(length) => self.width = sized(length),
            D::Height(length) => self.height = sized(length),
            D::MinWidth(length) => self.min_width = sized(length),
            D::MaxWidth(length) => self.max_width = sized(length),
            D::MinHeight(length) => self.min_height = sized(length),
            D::MaxHeight(length) => self.max_height = sized(length),
            D::Basis(length) => self.basis = sized(length),
            D::Justify(align) => self.justify = *align,
            D::AlignItems(align) => self.align_items = *align,
            D::AlignSelf(align) => self.align_self = *align,
            D::AlignContent(align) => self.align_content = *align,
            D::Column(column) => self.column = *column,
            D::Wrap(wrap) => self.wrap = *wrap,
            D::RowGap(length) => self.row_gap = points(length),
            D::ColumnGap(length) => self.column_gap = points(length),
            D::Grow(grow) => self.grow = *grow,
            D::Shrink(shrink) => self.shrink = *shrink,
            D::TableFixed(fixed) => self.table_fixed = *fixed,
            D::Marker(marker) => self.marker = *marker,
            D::Page(name) => self.page = Some(Arc::clone(name)),
            D::BreakBefore(page) => self.break_before = *page,
            D::BreakAfter(page) => self.break_after = *page,
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
