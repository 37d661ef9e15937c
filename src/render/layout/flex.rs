//! `display: flex`: rows and columns, by the `taffy` crate. It asks us what an
//! item comes to at a width and says where each one goes.

use taffy::{
    AlignContent, AlignItems, AvailableSpace, Baselines, Dimension, FlexDirection, FlexWrap,
    JustifyContent, LayoutFlexboxContainer, LayoutInput, LayoutOutput, LayoutPartialTree,
    LengthPercentage, LengthPercentageAuto, Line, Rect, RequestedAxis, RunMode, SizingMode,
    TraversePartialTree,
};

use super::{Fragment, Layout, NARROWEST, flow::is_definite};
use crate::render::{
    css::style::{Align, BOTTOM, Display, LEFT, Position, RIGHT, Size, Style, TOP},
    dom::NodeId,
    error::RenderError,
};

/// The container's number; the items have those of their places.
const CONTAINER: usize = usize::MAX;

/// One item of a container.
struct Part {
    node: NodeId,
    style: taffy::Style,
    place: taffy::Layout,
}

/// What `taffy` sees: one container and its items.
struct Container<'l, 'a> {
    layout: &'l mut Layout<'a>,
    style: taffy::Style,
    parts: Vec<Part>,
    failed: Option<RenderError>,
}

impl Layout<'_> {
    /// Lays out the children of a flex container; `height` where it is known.
    pub(super) fn flex(
        &mut self,
        node: NodeId,
        width: f32,
        height: Option<f32>,
    ) -> Result<Fragment, RenderError> {
        let styles = self.styles;
        let style = styles.style(node);
        let mut parts = self.parts(node);
        if self.has_room(&parts, style, width)? {
            // Nothing shrinks, so nobody needs to know how far it could.
            for part in parts.iter_mut().filter(|part| part.style.min_size.width.is_auto()) {
                part.style.min_size.width = LengthPercentageAuto::length(0.0);
            }
        }
        let mut container =
            Container { layout: self, style: container(style), parts, failed: None };
        let space = match width {
            NARROWEST => AvailableSpace::MinContent,
            width if width.is_finite() => AvailableSpace::Definite(width),
            _ => AvailableSpace::MaxContent,
        };
        let definite = is_definite(width).then_some(width);
        let known = taffy::Size { width: definite, height };
        let out = taffy::compute_flexbox_layout(
            &mut container,
            taffy::NodeId::from(CONTAINER),
            LayoutInput {
                run_mode: RunMode::PerformLayout,
                sizing_mode: SizingMode::InherentSize,
                axis: RequestedAxis::Both,
                known_dimensions: known,
                known_dimensions_are_definite: taffy::Size { width: true, height: true },
                parent_size: known,
                available_space: taffy::Size { width: space, height: AvailableSpace::MaxContent },
                vertical_margins_are_collapsible: Line::FALSE,
            },
        );
        let Container { parts, failed, .. } = container;
        if let Some(error) = failed {
            return Err(error);
        }
        let mut fragment =
            Fragment { height: out.size.height, used: out.size.width, ..Fragment::default() };
        for part in parts {
            let taffy::Layout { location, size, .. } = part.place;
            let piece = self.boxed(part.node, size.width, Some(size.height))?;
            fragment.place(piece, location.x, location.y);
            // Its size is known; the first baseline is all that is missing.
            if self.is_measuring() && fragment.baseline.is_some() {
                break;
            }
        }
        Ok(fragment)
    }

    /// Whether all items of a row fit beside each other at the size of their
    /// content, so that the least size of each (CSS Flexbox §4.5) has no effect.
    fn has_room(&mut self, parts: &[Part], style: &Style, width: f32) -> Result<bool, RenderError> {
        if style.column || width == NARROWEST {
            return Ok(false);
        }
        let styles = self.styles;
        let mut taken = style.column_gap * parts.len().saturating_sub(1) as f32;
        for part in parts {
            let own = styles.style(part.node);
            let text = self.tree.node(part.node).tag.is_none();
            taken += match (own.basis, own.width) {
                _ if text => self.measure(part.node, f32::INFINITY)?.used,
                (Size::Auto, Size::Points(points)) => points,
                (Size::Auto, Size::Auto) => self.measure(part.node, f32::INFINITY)?.used,
                (..) => return Ok(false),
            };
            taken += 0.02 + if text { 0.0 } else { own.margin[LEFT] + own.margin[RIGHT] };
            if taken > width {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn parts(&mut self, node: NodeId) -> Vec<Part> {
        let mut parts = Vec::new();
        for child in self.tree.children(node) {
            if self.tree.node(child).tag.is_none() {
                if self.is_blank(&[child]) {
                    continue;
                }
                // Text without an element around it is an item of its own.
                let style = taffy::Style::default();
                parts.push(Part { node: child, style, place: taffy::Layout::with_order(0) });
                continue;
            }
            let style = self.styles.style(child);
            match (style.display, style.position) {
                (Display::None, _) => {}
                (_, Position::Absolute) => self.postpone(child),
                _ => parts.push(Part {
                    node: child,
                    style: item(style),
                    place: taffy::Layout::with_order(0),
                }),
            }
        }
        parts
    }
}

impl Container<'_, '_> {
    fn part(&self, id: taffy::NodeId) -> Option<&Part> {
        self.parts.get(usize::from(id))
    }

    /// What an item comes to, asked with what is known of its size.
    fn measured(&mut self, id: taffy::NodeId, input: &LayoutInput) -> LayoutOutput {
        let Some(node) = self.part(id).map(|part| part.node) else { return LayoutOutput::HIDDEN };
        let mut measure = |width: f32| match self.layout.measure(node, width) {
            Ok(measured) => Some(measured),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        };
        let known = input.known_dimensions;
        let at = match (known.width, input.available_space.width) {
            (Some(width), _) => width.max(0.0),
            (None, AvailableSpace::MinContent) => NARROWEST,
            (None, AvailableSpace::MaxContent) => f32::INFINITY,
            (None, AvailableSpace::Definite(room)) => {
                let widest = measure(f32::INFINITY).map_or(0.0, |measured| measured.used);
                if widest <= room { f32::INFINITY } else { room.max(0.0) }
            }
        };
        let Some(measured) = measure(at) else { return LayoutOutput::HIDDEN };
        // A hair more, so that rounding does not wrap what just fits.
        let used = if is_definite(at) { at } else { measured.used + 0.02 };
        let size = taffy::Size {
            width: known.width.unwrap_or(used),
            height: known.height.unwrap_or(measured.height),
        };
        let first = measured.baseline.filter(|_| size.height >= measured.height - 0.01);
        LayoutOutput::from_sizes_and_baselines(size, Rect::ZERO, Baselines { first, last: first })
    }
}

impl TraversePartialTree for Container<'_, '_> {
    type ChildIter<'c>
        = std::iter::Map<std::ops::Range<usize>, fn(usize) -> taffy::NodeId>
    where
        Self: 'c;

    fn child_ids(&self, _parent: taffy::NodeId) -> Self::ChildIter<'_> {
        (0..self.parts.len()).map(taffy::NodeId::from)
    }

    fn child_count(&self, _parent: taffy::NodeId) -> usize {
        self.parts.len()
    }

    fn get_child_id(&self, _parent: taffy::NodeId, index: usize) -> taffy::NodeId {
        taffy::NodeId::from(index)
    }
}

impl LayoutPartialTree for Container<'_, '_> {
    type CoreContainerStyle<'c>
        = &'c taffy::Style
    where
        Self: 'c;
    type CustomIdent = String;

    fn get_core_container_style(&self, _id: taffy::NodeId) -> Self::CoreContainerStyle<'_> {
        &self.style
    }

    fn set_unrounded_layout(&mut self, id: taffy::NodeId, layout: &taffy::Layout) {
        if let Some(part) = self.parts.get_mut(usize::from(id)) {
            part.place = *layout;
        }
    }

    fn compute_child_layout(&mut self, id: taffy::NodeId, input: LayoutInput) -> LayoutOutput {
        let Some(style) = self.part(id).map(|part| part.style.clone()) else {
            return LayoutOutput::HIDDEN;
        };
        let mut baselines = Baselines::NONE;
        let mut out = taffy::compute_leaf_layout(
            input,
            &style,
            |_, _| 0.0,
            |known, available| {
                let inner =
                    LayoutInput { known_dimensions: known, available_space: available, ..input };
                let out = self.measured(id, &inner);
                baselines = out.baselines;
                out.size
            },
        );
        out.baselines = baselines;
        out
    }
}

impl LayoutFlexboxContainer for Container<'_, '_> {
    type FlexboxContainerStyle<'c>
        = &'c taffy::Style
    where
        Self: 'c;
    type FlexboxItemStyle<'c>
        = &'c taffy::Style
    where
        Self: 'c;

    fn get_flexbox_container_style(&self, _id: taffy::NodeId) -> &taffy::Style {
        &self.style
    }

    fn get_flexbox_child_style(&self, id: taffy::NodeId) -> &taffy::Style {
        self.part(id).map_or(&self.style, |part| &part.style)
    }
}

/// The container without its own box, which is our part.
fn container(style: &Style) -> taffy::Style {
    taffy::Style {
        display: taffy::Display::Flex,
        flex_direction: if style.column { FlexDirection::Column } else { FlexDirection::Row },
        flex_wrap: if style.wrap { FlexWrap::Wrap } else { FlexWrap::NoWrap },
        justify_content: match style.justify {
            Align::Center => JustifyContent::CENTER,
            Align::End => JustifyContent::FLEX_END,
            Align::SpaceBetween => JustifyContent::SPACE_BETWEEN,
            Align::SpaceAround => JustifyContent::SPACE_AROUND,
            Align::SpaceEvenly => JustifyContent::SPACE_EVENLY,
            _ => JustifyContent::FLEX_START,
        },
        align_items: items(style.align_items),
        align_content: match style.align_content {
            Align::Center => AlignContent::CENTER,
            Align::End => AlignContent::FLEX_END,
            Align::SpaceBetween => AlignContent::SPACE_BETWEEN,
            Align::Start => AlignContent::FLEX_START,
            _ => AlignContent::STRETCH,
        },
        gap: taffy::Size {
            width: LengthPercentage::length(style.column_gap),
            height: LengthPercentage::length(style.row_gap),
        },
        ..taffy::Style::default()
    }
}

/// An item as a border box without insides: they are our part.
fn item(style: &Style) -> taffy::Style {
    let margin = |side: usize| {
        if style.margin_auto[side] {
            LengthPercentageAuto::auto()
        } else {
            LengthPercentageAuto::length(style.margin[side])
        }
    };
    taffy::Style {
        size: taffy::Size { width: dimension(style.width), height: dimension(style.height) },
        min_size: taffy::Size { width: limit(style.min_width), height: limit(style.min_height) },
        max_size: taffy::Size { width: limit(style.max_width), height: limit(style.max_height) },
        margin: Rect {
            left: margin(LEFT),
            right: margin(RIGHT),
            top: margin(TOP),
            bottom: margin(BOTTOM),
        },
        flex_grow: style.grow,
        flex_shrink: style.shrink,
        flex_basis: dimension(style.basis),
        align_self: style.align_self.map(items),
        ..taffy::Style::default()
    }
}

fn items(align: Align) -> AlignItems {
    match align {
        Align::Center => AlignItems::CENTER,
        Align::End => AlignItems::FLEX_END,
        Align::Baseline => AlignItems::BASELINE,
        Align::Stretch => AlignItems::STRETCH,
        _ => AlignItems::FLEX_START,
    }
}

fn dimension(size: Size) -> Dimension {
    match size {
        Size::Auto => Dimension::auto(),
        Size::Points(points) => Dimension::length(points),
        Size::Percent(percent) => Dimension::percent(percent / 100.0),
    }
}

fn limit(size: Size) -> LengthPercentageAuto {
    match size {
        Size::Auto => LengthPercentageAuto::auto(),
        Size::Points(points) => LengthPercentageAuto::length(points),
        Size::Percent(percent) => LengthPercentageAuto::percent(percent / 100.0),
    }
}
