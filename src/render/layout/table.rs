//! Tables: fixed columns, rows that stay in one piece, a head that is repeated.
//!
//! The columns are as wide as the `col` elements or else the cells of the first
//! row say; columns that say nothing share what is left. This is the fixed
//! table layout of CSS 2.1 §17.5.2.1: a table of five thousand rows costs five
//! thousand rows.

use super::{Fragment, Item, Layout, decorate, flow::Flow};
use crate::render::{
    css::style::{Align, BOTTOM, Display, LEFT, RIGHT, Size, Style, TOP},
    dom::NodeId,
    error::RenderError,
};

impl Layout<'_> {
    /// Lays out a table as a strip for each row.
    pub(super) fn table(
        &mut self,
        node: NodeId,
        x: f32,
        width: f32,
        flow: &mut Flow,
    ) -> Result<(), RenderError> {
        if !width.is_finite() {
            return Err(RenderError::template(
                "style.css: a table in a flex row needs a width",
                None,
            ));
        }
        let (head_rows, rows) = self.rows(node)?;
        let columns = self.columns(node, head_rows.first().or(rows.first()).copied(), width)?;
        let styles = self.styles;
        let style = styles.style(node);
        if style.border[LEFT] > 0.0 || style.border[RIGHT] > 0.0 {
            self.ignored = Some("a table has no border at its sides; use td and th");
        }

        let mut head = None;
        if !head_rows.is_empty() {
            let mut fragment = Fragment { used: width, ..Fragment::default() };
            for row in head_rows {
                let piece = self.row(row, &columns, style)?;
                let height = piece.height;
                fragment.place(piece, 0.0, fragment.height);
                fragment.height += height;
            }
            decorate_edge(&mut fragment, style, width, TOP);
            // The copies for further pages stand where the first one does.
            let mut copy = Fragment { height: fragment.height, ..Fragment::default() };
            copy.place(fragment.clone(), x, 0.0);
            head = Some(flow.heads.len());
            flow.heads.push(copy);
            flow.push(fragment, x, None);
            if let Some(strip) = flow.strips.last_mut() {
                strip.keep_next = !rows.is_empty();
            }
        }
        let last = rows.len().saturating_sub(1);
        for (index, row) in rows.into_iter().enumerate() {
            let mut fragment = self.row(row, &columns, style)?;
            if index == 0 && head.is_none() {
                decorate_edge(&mut fragment, style, width, TOP);
            }
            if index == last {
                decorate_edge(&mut fragment, style, width, BOTTOM);
            }
            flow.push(fragment, x, head);
            let keep = styles.style(row).keep_next;
            if let Some(strip) = flow.strips.last_mut() {
                strip.keep_next = keep && index != last;
            }
        }
        Ok(())
    }

    /// The rows of the head, and all others.
    fn rows(&mut self, table: NodeId) -> Result<(Vec<NodeId>, Vec<NodeId>), RenderError> {
        let (mut head, mut body) = (Vec::new(), Vec::new());
        let groups = [Display::HeadGroup, Display::RowGroup, Display::Row, Display::Column];
        for child in self.parts_of(table, &groups)? {
            let style = self.styles.style(child);
            let list = match style.display {
                Display::Row => {
                    body.push(child);
                    continue;
                }
                Display::HeadGroup => &mut head,
                Display::RowGroup => &mut body,
                _ => continue,
            };
            if style.is_decorated() {
                self.ignored = Some("thead, tbody and tfoot draw nothing; use tr, td and th");
            }
            list.extend(self.parts_of(child, &[Display::Row])?);
        }
        Ok((head, body))
    }

    /// The children of a part of a table; anything but these would be lost.
    fn parts_of(&self, node: NodeId, kinds: &[Display]) -> Result<Vec<NodeId>, RenderError> {
        let mut parts = Vec::new();
        for child in self.tree.children(node) {
            let display = self.styles.style(child).display;
            if self.tree.node(child).tag.is_none() {
                if !self.is_blank(&[child]) {
                    return Err(RenderError::template(
                        "HTML: text outside of a table's cells",
                        None,
                    ));
                }
            } else if kinds.contains(&display) {
                parts.push(child);
            } else if display != Display::None {
                return Err(RenderError::template("HTML: not a part of a table", None));
            }
        }
        Ok(parts)
    }

    fn columns(
        &self,
        table: NodeId,
        first_row: Option<NodeId>,
        width: f32,
    ) -> Result<Vec<f32>, RenderError> {
        let mut stated: Vec<Size> = Vec::new();
        for group in self.tree.children(table).filter(|child| self.is_column(*child)) {
            stated.extend(
                self.tree
                    .children(group)
                    .filter(|col| self.is_column(*col))
                    .map(|col| self.styles.style(col).width),
            );
        }
        if stated.is_empty() {
            let cells = first_row.map(|row| self.parts_of(row, &[Display::Cell])).transpose()?;
            for cell in cells.unwrap_or_default() {
                let span = self.tree.node(cell).colspan;
                let size = if span == 1 { self.styles.style(cell).width } else { Size::Auto };
                stated.extend(std::iter::repeat_n(size, usize::from(span)));
            }
        }
        let sizes: Vec<Option<f32>> = stated.iter().map(|size| size.within(width)).collect();
        let taken: f32 = sizes.iter().flatten().sum();
        let open = sizes.iter().filter(|size| size.is_none()).count();
        if taken > width + 0.5 {
            return Err(RenderError::template(
                "style.css: the columns are wider than their table",
                None,
            ));
        }
        let share = if open == 0 { 0.0 } else { (width - taken) / open as f32 };
        Ok(sizes.into_iter().map(|size| size.unwrap_or(share)).collect())
    }

    fn is_column(&self, node: NodeId) -> bool {
        self.tree.node(node).tag.is_some() && self.styles.style(node).display == Display::Column
    }

    fn row(
        &mut self,
        row: NodeId,
        columns: &[f32],
        table: &Style,
    ) -> Result<Fragment, RenderError> {
        let styles = self.styles;
        let cells = self.parts_of(row, &[Display::Cell])?;
        let width: f32 = columns.iter().sum();
        let mut boxes = Vec::with_capacity(cells.len());
        let mut pieces = Vec::with_capacity(cells.len());
        let (mut x, mut column) = (0.0, 0);
        for cell in cells {
            let span = usize::from(self.tree.node(cell).colspan);
            let own = columns.get(column..column + span).ok_or_else(|| {
                RenderError::template("HTML: a row has more cells than its table has columns", None)
            })?;
            let own: f32 = own.iter().sum();
            pieces.push(self.block(cell, own, 0.0, false)?);
            boxes.push((x, own, styles.style(cell)));
            x += own;
            column += span;
        }
        let tallest = pieces.iter().map(|piece| piece.height).fold(0.0, f32::max);
        let style = styles.style(row);
        let height = tallest.max(style.min_height);
        let mut out = Fragment { height, used: width, ..Fragment::default() };
        if let Some(color) = table.background {
            out.items.push(Item::Fill(super::Area { x: 0.0, y: 0.0, w: width, h: height, color }));
        }
        decorate(&mut out.items, &[(0.0, width, style)], height);
        decorate(&mut out.items, &boxes, height);
        let baseline = boxes
            .iter()
            .zip(&pieces)
            .filter(|((_, _, style), _)| style.vertical_align == Align::Baseline)
            .filter_map(|(_, piece)| piece.baseline)
            .fold(0.0, f32::max);
        for ((x, _, style), piece) in boxes.into_iter().zip(pieces) {
            let dy = match style.vertical_align {
                Align::Center => (height - piece.height) / 2.0,
                Align::End => height - piece.height,
                Align::Baseline => piece.baseline.map_or(0.0, |own| baseline - own),
                Align::Start | Align::SpaceBetween | Align::Stretch => 0.0,
            };
            out.height = out.height.max(dy + piece.height);
            out.place(piece, x, dy);
        }
        Ok(out)
    }
}

/// The table's own upper or lower border, over the edge of a row.
fn decorate_edge(fragment: &mut Fragment, style: &Style, width: f32, side: usize) {
    let h = style.border[side];
    if h > 0.0 {
        let y = if side == TOP { 0.0 } else { fragment.height - h };
        let color = style.border_color[side].unwrap_or(style.color);
        fragment.items.push(Item::Rule(super::Area { x: 0.0, y, w: width, h, color }));
    }
}
