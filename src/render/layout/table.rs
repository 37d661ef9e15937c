//! Tables: rows that stay in one piece, a head and a foot that are repeated, and
//! rows that show the running sum where a page ends within a table.

use super::{
    Area, Fragment, Item, Layout, Shape,
    decorate::{decorate, edge, is_round},
    flow::{Flow, Parts, Row, Strip},
};
use crate::render::{
    css::style::{Align, BOTTOM, Display, LEFT, RIGHT, Style, TOP},
    dom::{NodeId, Rare},
    error::RenderError,
};

/// The rows of a table by what becomes of them.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) head: Vec<NodeId>,
    pub(super) body: Vec<NodeId>,
    pub(super) foot: Vec<NodeId>,
    carry_in: Option<NodeId>,
    carry_out: Option<NodeId>,
}

impl Layout<'_> {
    /// Lays out a table as a strip for each row.
    pub(super) fn table(
        &mut self,
        node: NodeId,
        x: f32,
        width: f32,
        flow: &mut Flow,
    ) -> Result<(), RenderError> {
        let rows = self.rows(node)?;
        let columns = self.columns(node, &rows, width)?;
        let styles = self.styles;
        let style = styles.style(node);
        if style.border[LEFT] > 0.0 || style.border[RIGHT] > 0.0 || is_round(style) {
            self.ignored = Some((node, "a table has no border at its sides; use td and th"));
        }
        let width = columns.iter().sum();
        let number = flow.tables.len();
        let head = self.group(&rows.head, &columns, style)?;
        let foot = self.group(&rows.foot, &columns, style)?;
        let strips = flow.strips.len();
        if let Some(head) = head.clone() {
            flow.push(first(head, style, width), x);
        }
        let mut sum = 0i64;
        for (index, row) in rows.body.iter().enumerate() {
            let mut fragment = self.row(*row, &columns, style)?;
            if index == 0 && head.is_none() {
                fragment = first(fragment, style, width);
            }
            if index + 1 == rows.body.len() && foot.is_none() {
                edge(&mut fragment.items, BOTTOM, (0.0, width, fragment.height), style);
            }
            sum = sum.saturating_add(self.amount(*row)?);
            let above = if index == 0 { rows.head.last() } else { rows.body.get(index - 1) };
            let shared = above.map_or(0.0, |above| self.shared_border(*above, *row));
            flow.push(fragment, x);
            if let Some(strip) = flow.strips.last_mut() {
                strip.before -= shared;
            }
            if let Some(strip) = flow.strips.last_mut() {
                strip.keep_next = styles.style(*row).keep_next && index + 1 < rows.body.len();
                strip.row = Some(Row {
                    table: number,
                    rest: 0.0,
                    sum,
                    opens: index == 0 && head.is_none(),
                });
            }
        }
        if let Some(mut foot) = foot.clone() {
            edge(&mut foot.items, BOTTOM, (0.0, width, foot.height), style);
            if let Some(strip) = flow.strips[strips..].last_mut() {
                strip.keep_next = true;
            }
            flow.push(foot, x);
        }
        number_rows(&mut flow.strips[strips..], number, head.is_some(), sum);
        let parts = Parts {
            table: node,
            x,
            head: head.map(|head| first(head, style, width)),
            foot,
            carry_in: self.carry_row(rows.carry_in, &columns, style)?,
            carry_out: self.carry_row(rows.carry_out, &columns, style)?,
            columns,
        };
        flow.tables.push(parts);
        Ok(())
    }

    /// What the lower border of a row and the upper one of the next have in common:
    /// of two borders on one edge the wider is drawn (CSS 2.1 §17.6.2.1).
    fn shared_border(&self, above: NodeId, below: NodeId) -> f32 {
        let widest = |row: NodeId, side: usize| {
            let cells = self.tree.children(row).filter(|cell| self.tree.node(*cell).tag.is_some());
            let borders = cells.map(|cell| self.styles.style(cell).border[side]);
            borders.fold(self.styles.style(row).border[side], f32::max)
        };
        widest(above, BOTTOM).min(widest(below, TOP))
    }

    fn group(
        &mut self,
        rows: &[NodeId],
        columns: &[f32],
        style: &Style,
    ) -> Result<Option<Fragment>, RenderError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let mut fragment = Fragment { used: columns.iter().sum(), ..Fragment::default() };
        for (index, row) in rows.iter().enumerate() {
            let piece = self.row(*row, columns, style)?;
            let height = piece.height;
            if let Some(above) = index.checked_sub(1).and_then(|above| rows.get(above)) {
                fragment.height -= self.shared_border(*above, *row);
            }
            fragment.place(piece, 0.0, fragment.height);
            fragment.height += height;
        }
        Ok(Some(fragment))
    }

    fn carry_row(
        &mut self,
        row: Option<NodeId>,
        columns: &[f32],
        style: &Style,
    ) -> Result<Option<(NodeId, f32)>, RenderError> {
        let Some(row) = row else { return Ok(None) };
        Ok(Some((row, self.row(row, columns, style)?.height)))
    }

    /// A row that shows the running sum.
    pub(super) fn carried(
        &mut self,
        row: NodeId,
        parts: &Parts,
        sum: i64,
    ) -> Result<Fragment, RenderError> {
        self.carry = sum;
        let styles = self.styles;
        let piece = self.row(row, &parts.columns, styles.style(parts.table))?;
        let mut out = Fragment { height: piece.height, ..Fragment::default() };
        out.place(piece, parts.x, 0.0);
        Ok(out)
    }

    /// What a row adds to the running sum.
    fn amount(&self, row: NodeId) -> Result<i64, RenderError> {
        let Some(text) = self.tree.rare(row, Rare::Amount) else { return Ok(0) };
        let what = "data-amount is a whole number of minor units";
        text.parse().map_err(|_| RenderError::html_of(row, what))
    }

    /// The rows of a table by their groups.
    fn rows(&mut self, table: NodeId) -> Result<Rows, RenderError> {
        let mut rows = Rows::default();
        let groups = [
            Display::HeadGroup,
            Display::RowGroup,
            Display::FootGroup,
            Display::Row,
            Display::Column,
        ];
        for child in self.parts_of(table, &groups)? {
            let style = self.styles.style(child);
            let display = style.display;
            if display == Display::Row {
                rows.body.push(child);
                continue;
            }
            if display == Display::Column {
                continue;
            }
            if style.is_decorated() {
                let what = "thead, tbody and tfoot draw nothing; use tr, td and th";
                self.ignored = Some((child, what));
            }
            for row in self.parts_of(child, &[Display::Row])? {
                match (self.tree.rare(row, Rare::Carry), display) {
                    (None, Display::HeadGroup) => rows.head.push(row),
                    (None, Display::FootGroup) => rows.foot.push(row),
                    (None, _) => rows.body.push(row),
                    (Some("in"), Display::HeadGroup) => rows.carry_in = Some(row),
                    (Some("out"), Display::FootGroup) => rows.carry_out = Some(row),
                    (Some(_), _) => {
                        return Err(RenderError::html_of(
                            row,
                            "data-carry is `in` in a thead or `out` in a tfoot",
                        ));
                    }
                }
            }
        }
        Ok(rows)
    }

    /// The children of a part of a table; anything but these would be lost.
    pub(super) fn parts_of(
        &self,
        node: NodeId,
        kinds: &[Display],
    ) -> Result<Vec<NodeId>, RenderError> {
        let mut parts = Vec::new();
        for child in self.tree.children(node) {
            let display = self.styles.style(child).display;
            if self.tree.node(child).tag.is_none() {
                if !self.is_blank(&[child]) {
                    return Err(RenderError::html_of(child, "text outside of a table's cells"));
                }
            } else if kinds.contains(&display) {
                parts.push(child);
            } else if display != Display::None {
                return Err(RenderError::html_of(child, "not a part of a table"));
            }
        }
        Ok(parts)
    }

    pub(super) fn row(
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
                RenderError::html_of(cell, "a row has more cells than its table has columns")
            })?;
            let own: f32 = own.iter().sum();
            pieces.push(self.block(cell, own, None, false)?);
            boxes.push((x, own, styles.style(cell)));
            x += own;
            column += span;
        }
        let style = styles.style(row);
        let tallest = pieces.iter().map(|piece| piece.height).fold(0.0, f32::max);
        let baselines = boxes.iter().zip(&pieces).filter_map(|((_, _, style), piece)| {
            piece.baseline.filter(|_| style.vertical_align == Align::Baseline)
        });
        let baseline = baselines.fold(0.0, f32::max);
        let sunk = boxes.iter().zip(&pieces).map(|((_, _, style), piece)| match piece.baseline {
            Some(own) if style.vertical_align == Align::Baseline => baseline - own + piece.height,
            _ => 0.0,
        });
        let height = style.clamp_height(sunk.fold(tallest, f32::max)).max(tallest);
        let mut out = Fragment { height, used: width, ..Fragment::default() };
        if let Some(color) = table.background {
            let area = Area { x: 0.0, y: 0.0, w: width, h: height, color };
            out.items.push(Item::artifact(Shape::Fill(area)));
        }
        if !self.is_measuring() {
            decorate(&mut out.items, &[(0.0, width, style)], height);
            decorate(&mut out.items, &boxes, height);
        }
        for ((x, _, style), piece) in boxes.into_iter().zip(pieces) {
            let dy = match style.vertical_align {
                Align::Center => (height - piece.height) / 2.0,
                Align::End => height - piece.height,
                Align::Baseline => piece.baseline.map_or(0.0, |own| baseline - own),
                _ => 0.0,
            };
            out.place(piece, x, dy);
        }
        Ok(out)
    }
}

/// Tells every strip of a table where it stands in it.
fn number_rows(strips: &mut [Strip], table: usize, headed: bool, sum: i64) {
    let count = strips.len();
    let mut rest = 0.0;
    for (index, strip) in strips.iter_mut().enumerate().rev() {
        rest += strip.fragment.height;
        let known = strip.row.map_or(sum, |row| row.sum);
        let opens = index == 0;
        let sum = if opens && headed { 0 } else { known };
        strip.row = Some(Row { table, rest, sum, opens });
        // A head alone at the foot of a page heads nothing.
        strip.keep_next |= opens && headed && count > 1;
        rest += strip.before;
    }
}

/// The upper border of the table over its first row.
fn first(mut fragment: Fragment, style: &Style, width: f32) -> Fragment {
    edge(&mut fragment.items, TOP, (0.0, width, fragment.height), style);
    fragment
}
