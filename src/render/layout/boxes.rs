//! Boxes that stay in one piece: cells, flex items, everything with a border, a
//! background or a height of its own.

use super::{
    BOX, Fragment, Layout, decorate,
    flow::{Flow, is_definite, less},
};
use crate::render::{
    css::style::{BOTTOM, Display, LEFT, Position, RIGHT, TOP},
    dom::{NodeId, Tag},
    error::RenderError,
};

impl Layout<'_> {
    /// Lays out an element as one piece: its border box.
    pub(super) fn boxed(
        &mut self,
        node: NodeId,
        width: f32,
        height: Option<f32>,
    ) -> Result<Fragment, RenderError> {
        if self.tree.node(node).tag.is_none() {
            let mut flow = Flow::default();
            self.flush(node, &mut vec![node], (0.0, width), &mut flow)?;
            return Ok(stacked(flow));
        }
        if self.styles.style(node).display == Display::Table {
            let mut flow = Flow::default();
            self.table(node, 0.0, width, &mut flow)?;
            return Ok(stacked(flow));
        }
        self.block(node, width, height, true)
    }

    /// The same for everything but tables. `decorated` is false for cells, whose
    /// background belongs to the row.
    pub(super) fn block(
        &mut self,
        node: NodeId,
        width: f32,
        height: Option<f32>,
        decorated: bool,
    ) -> Result<Fragment, RenderError> {
        Ok(self.block_with(node, width, height, (decorated, false))?.0)
    }

    /// The same for a block in the flow, with the margins of its first and last
    /// child that collapse with its own.
    pub(super) fn block_in_flow(
        &mut self,
        node: NodeId,
        width: f32,
    ) -> Result<(Fragment, f32, f32), RenderError> {
        self.block_with(node, width, None, (true, true))
    }

    fn block_with(
        &mut self,
        node: NodeId,
        width: f32,
        height: Option<f32>,
        (decorated, collapses): (bool, bool),
    ) -> Result<(Fragment, f32, f32), RenderError> {
        self.spend(BOX)?;
        let styles = self.styles;
        let style = styles.style(node);
        let mut margins = (0.0, 0.0);
        let inset = |side: usize| style.padding[side] + style.border[side];
        let (across, along) = (inset(LEFT) + inset(RIGHT), inset(TOP) + inset(BOTTOM));
        let inner = less(width, across);
        let mark = (style.position != Position::Static).then(|| self.absolute_mark());
        let content = if let Some(replaced) = self.replaced(node, inner, height)? {
            replaced
        } else if style.display == Display::Flex {
            let definite = height.or(style.height.points());
            self.flex(node, inner, definite.map(|height| (height - along).max(0.0)))?
        } else {
            let mut flow = Flow::default();
            self.flow(node, 0.0, inner, &mut flow)?;
            if collapses {
                let bottom = inset(BOTTOM) == 0.0 && !style.has_height();
                margins = flow.outer_margins(inset(TOP) == 0.0, bottom);
            }
            stacked(flow)
        };
        let own = height.unwrap_or_else(|| style.clamp_height(content.height + along));
        let used = style.width.points().unwrap_or(content.used + across);
        let used = style.clamp_width(used, f32::INFINITY);
        let mut out = Fragment { height: own, used, ..Fragment::default() };
        if decorated && is_definite(width) {
            if !self.is_measuring() {
                decorate::decorate(&mut out.items, &[(0.0, width, style)], own);
            }
            if decorate::is_round(style) && decorate::is_uneven(style) {
                let what = "a border around round corners is solid and the same on all sides";
                self.ignored = Some((node, what));
            }
        }
        out.place(content, inset(LEFT), inset(TOP));
        if let Some(mark) = mark
            && is_definite(width)
        {
            let [top, right, bottom, left] = style.border;
            for piece in self.absolutes(mark, width - left - right, own - top - bottom)? {
                out.place(piece, left, top);
            }
        }
        if self.tree.node(node).tag == Some(Tag::Hr) {
            out.baseline = None;
        }
        Ok((out, margins.0, margins.1))
    }
}

/// Strips in one piece.
pub(super) fn stacked(mut flow: Flow) -> Fragment {
    let after = flow.gap();
    let mut out = Fragment::default();
    for strip in flow.strips {
        out.height += strip.before;
        let (height, used) = (strip.fragment.height, strip.fragment.used);
        out.place(strip.fragment, 0.0, out.height);
        out.height += height;
        out.used = out.used.max(used);
    }
    out.height += after;
    out
}
