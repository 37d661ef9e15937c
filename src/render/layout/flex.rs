//! `display: flex` in one row: widths, then heights, then places.

use super::{Fragment, Layout};
use crate::render::{
    css::style::{Align, BOTTOM, Display, LEFT, RIGHT, TOP},
    dom::NodeId,
    error::RenderError,
};

/// Rows within rows are measured twice each; deeper nesting is refused.
const DEEPEST: u32 = 5;

/// One item of a row.
struct Part {
    nodes: Vec<NodeId>,
    /// `None` for text without an element around it.
    element: Option<NodeId>,
    width: f32,
    fixed: bool,
    grow: f32,
    /// Margins at the left and the right.
    margins: (f32, f32),
}

impl Layout<'_> {
    /// Lays out the children of a flex container.
    pub(super) fn flex(&mut self, node: NodeId, width: f32) -> Result<Fragment, RenderError> {
        self.flex_depth += 1;
        if self.flex_depth > DEEPEST {
            return Err(RenderError::template(
                "style.css: flex within flex is nested too deeply",
                None,
            ));
        }
        let styles = self.styles;
        let style = styles.style(node);
        let mut parts = self.parts(node);
        for part in &mut parts {
            self.measure(part, width)?;
        }
        let gaps = style.gap * parts.len().saturating_sub(1) as f32;
        if width.is_finite() {
            distribute(&mut parts, width - gaps);
        }
        let mut pieces = Vec::with_capacity(parts.len());
        for part in &parts {
            pieces.push(self.part(node, part, 0.0)?);
        }
        let height = pieces.iter().map(|piece| piece.height).fold(0.0, f32::max);
        let taken: f32 =
            parts.iter().map(|part| part.width + part.margins.0 + part.margins.1).sum();
        let left = if width.is_finite() { (width - taken - gaps).max(0.0) } else { 0.0 };
        let (mut x, between) = match style.justify {
            Align::Center => (left / 2.0, style.gap),
            Align::End => (left, style.gap),
            Align::SpaceBetween if parts.len() > 1 => {
                (0.0, style.gap + left / (parts.len() - 1) as f32)
            }
            Align::Start | Align::SpaceBetween | Align::Stretch | Align::Baseline => {
                (0.0, style.gap)
            }
        };
        let baseline = pieces.iter().filter_map(|piece| piece.baseline).fold(0.0, f32::max);
        let mut out = Fragment { height, used: taken + gaps, ..Fragment::default() };
        for (part, mut piece) in parts.iter().zip(pieces) {
            let dy = match style.align_items {
                Align::Center => (height - piece.height) / 2.0,
                Align::End => height - piece.height,
                Align::Baseline => piece.baseline.map_or(0.0, |own| baseline - own),
                Align::Stretch => {
                    if piece.height < height {
                        piece = self.part(node, part, height)?;
                    }
                    0.0
                }
                Align::Start | Align::SpaceBetween => 0.0,
            };
            out.height = out.height.max(dy + piece.height);
            out.place(piece, x + part.margins.0, dy);
            x += part.margins.0 + part.width + part.margins.1 + between;
        }
        self.flex_depth -= 1;
        Ok(out)
    }

    fn parts(&self, node: NodeId) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for child in self.tree.children(node) {
            let text = self.tree.node(child).tag.is_none();
            if text && self.is_blank(&[child]) || self.styles.style(child).display == Display::None
            {
                continue;
            }
            let style = self.styles.style(child);
            parts.push(Part {
                nodes: vec![child],
                element: (!text).then_some(child),
                width: 0.0,
                fixed: false,
                grow: if text { 0.0 } else { style.grow },
                margins: if text { (0.0, 0.0) } else { (style.margin[LEFT], style.margin[RIGHT]) },
            });
        }
        parts
    }

    /// The width that an item asks for.
    fn measure(&mut self, part: &mut Part, room: f32) -> Result<(), RenderError> {
        let stated = part.element.and_then(|node| self.styles.style(node).width.within(room));
        if let Some(width) = stated.filter(|width| width.is_finite()) {
            part.width = width;
            part.fixed = true;
            return Ok(());
        }
        let glyphs = self.glyphs.len();
        part.width = if let Some(node) = part.element {
            self.item(node, f32::INFINITY, 0.0)?.used
        } else {
            let block = self.styles.id(part.nodes[0]);
            let lines = self.paragraph(&part.nodes, block, f32::INFINITY);
            lines.iter().map(|line| line.used).fold(0.0, f32::max)
        };
        // A hair more, so that rounding does not wrap what just fits.
        part.width += 0.02;
        self.glyphs.truncate(glyphs);
        Ok(())
    }

    fn part(
        &mut self,
        container: NodeId,
        part: &Part,
        height: f32,
    ) -> Result<Fragment, RenderError> {
        if let Some(node) = part.element {
            return self.item(node, part.width, height);
        }
        let mut out = Fragment::default();
        let block = self.styles.id(container);
        for line in self.paragraph(&part.nodes, block, part.width) {
            let height = line.height;
            out.place(line, 0.0, out.height);
            out.height += height;
        }
        Ok(out)
    }

    /// One element of the row, with its upper and lower margin.
    fn item(&mut self, node: NodeId, width: f32, height: f32) -> Result<Fragment, RenderError> {
        let styles = self.styles;
        let style = styles.style(node);
        let (above, below) = (style.margin[TOP], style.margin[BOTTOM]);
        let piece = if style.display == Display::Table {
            let mut flow = super::flow::Flow::default();
            self.table(node, 0.0, width, &mut flow)?;
            super::flow::stacked(flow)
        } else {
            self.block(node, width, height - above - below, true)?
        };
        if above == 0.0 && below == 0.0 {
            return Ok(piece);
        }
        let mut out = Fragment {
            height: piece.height + above + below,
            used: piece.used,
            ..Fragment::default()
        };
        out.place(piece, 0.0, above);
        Ok(out)
    }
}

/// Gives what is left to those who grow; takes what is missing from those
/// without a stated width.
fn distribute(parts: &mut [Part], room: f32) {
    let taken: f32 = parts.iter().map(|part| part.width + part.margins.0 + part.margins.1).sum();
    let left = room - taken;
    if left >= 0.0 {
        let shares: f32 = parts.iter().map(|part| part.grow).sum();
        if shares > 0.0 {
            for part in parts {
                part.width += left * part.grow / shares;
            }
        }
        return;
    }
    let soft: f32 = parts.iter().filter(|part| !part.fixed).map(|part| part.width).sum();
    if soft > 0.0 {
        for part in parts.iter_mut().filter(|part| !part.fixed) {
            part.width = (part.width + left * part.width / soft).max(0.0);
        }
    }
}
