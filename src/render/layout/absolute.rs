//! `position: absolute`: boxes outside of the flow, placed against the padding
//! box of the nearest positioned ancestor, or against the first page's inner
//! area where there is none (CSS 2.1 §10.3.7, without margins that are `auto`).

use super::{Fragment, Layout};
use crate::render::{
    css::style::{BOTTOM, LEFT, RIGHT, TOP},
    dom::NodeId,
    error::RenderError,
};

impl Layout<'_> {
    /// Where the boxes begin that wait for the container entered now.
    pub(super) fn absolute_mark(&self) -> usize {
        self.absolute.len()
    }

    /// Remembers a box that is out of the flow.
    pub(super) fn postpone(&mut self, node: NodeId) {
        self.absolute.push(node);
    }

    /// Lays out all boxes since the mark against an area of this size; its upper
    /// left corner is the origin.
    pub(in crate::render) fn absolutes(
        &mut self,
        mark: usize,
        width: f32,
        height: f32,
    ) -> Result<Vec<Fragment>, RenderError> {
        let waiting = self.absolute.split_off(mark.min(self.absolute.len()));
        waiting.into_iter().map(|node| self.one_absolute(node, width, height)).collect()
    }

    fn one_absolute(
        &mut self,
        node: NodeId,
        width: f32,
        height: f32,
    ) -> Result<Fragment, RenderError> {
        let styles = self.styles;
        let style = styles.style(node);
        let inset = |side: usize, space: f32| style.inset[side].within(space);
        let (left, right) = (inset(LEFT, width), inset(RIGHT, width));
        let (top, bottom) = (inset(TOP, height), inset(BOTTOM, height));
        let margins = style.margin[LEFT] + style.margin[RIGHT];
        let room = (width - left.unwrap_or(0.0) - right.unwrap_or(0.0) - margins).max(0.0);
        let stated = style.width.within(width);
        let own = match (stated, left, right) {
            (Some(own), ..) => style.clamp_width(own, width),
            (None, Some(_), Some(_)) => style.clamp_width(room, width),
            (None, ..) => self.fit(node, room)?,
        };
        let stretched = match (top, bottom) {
            (Some(top), Some(bottom)) => Some(height - top - bottom),
            _ => None,
        };
        let mut piece = self.boxed(node, own, stretched)?;
        let x = match (left, right) {
            (Some(left), _) => left + style.margin[LEFT],
            (None, Some(right)) => width - right - own - style.margin[RIGHT],
            (None, None) => style.margin[LEFT],
        };
        let y = match (top, bottom) {
            (Some(top), _) => top + style.margin[TOP],
            (None, Some(bottom)) => height - bottom - piece.height - style.margin[BOTTOM],
            (None, None) => style.margin[TOP],
        };
        for item in &mut piece.items {
            item.over = true;
        }
        let mut out = Fragment::default();
        out.place(piece, x, y);
        out.baseline = None;
        Ok(out)
    }
}
