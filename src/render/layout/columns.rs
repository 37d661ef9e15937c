//! The widths of a table's columns.
//!
//! With `table-layout: fixed` and a width, what `col` or else the first row say
//! decides, and columns that say nothing share what is left: a table of five
//! thousand rows costs five thousand rows (CSS 2.1 §17.5.2.1). Otherwise every
//! cell is asked for its narrowest and its widest width (§17.5.2.2).

use super::{Layout, NARROWEST, flow::is_definite, table::Rows};
use crate::render::{
    css::style::{Display, Size},
    dom::NodeId,
    error::RenderError,
};

/// More rows must be set with `table-layout: fixed`.
const MOST_ROWS: usize = 1_000;

/// What a column asks for.
#[derive(Clone, Copy, Default)]
struct Wish {
    min: f32,
    max: f32,
    stated: Option<f32>,
}

impl Layout<'_> {
    /// The columns of a table in a space.
    pub(super) fn columns(
        &mut self,
        table: NodeId,
        rows: &Rows,
        width: f32,
    ) -> Result<Vec<f32>, RenderError> {
        let style = self.styles.style(table);
        let first = rows.head.first().or(rows.body.first()).copied();
        let stated = self.stated(table, first)?;
        if style.table_fixed && style.width != Size::Auto && is_definite(width) {
            return fixed(table, &stated, width);
        }
        let wishes = self.wishes(&stated, rows, width)?;
        let (min, max): (f32, f32) =
            wishes.iter().fold((0.0, 0.0), |(min, max), wish| (min + wish.min, max + wish.max));
        let own = match width {
            NARROWEST => min,
            width if !width.is_finite() => max,
            width if style.width == Size::Auto => max.min(width).max(min.min(width)),
            width => width,
        };
        Ok(shared(&wishes, own))
    }

    /// What `col`, or else the cells of the first row, say.
    fn stated(&self, table: NodeId, first_row: Option<NodeId>) -> Result<Vec<Size>, RenderError> {
        let mut stated: Vec<Size> = Vec::new();
        for group in self.tree.children(table).filter(|child| self.is_column(*child)) {
            let columns = self.tree.children(group).filter(|col| self.is_column(*col));
            stated.extend(columns.map(|col| self.styles.style(col).width));
        }
        if stated.is_empty() {
            let cells = first_row.map(|row| self.parts_of(row, &[Display::Cell])).transpose()?;
            for cell in cells.unwrap_or_default() {
                let span = self.tree.node(cell).colspan;
                let size = if span == 1 { self.styles.style(cell).width } else { Size::Auto };
                stated.extend(std::iter::repeat_n(size, usize::from(span)));
            }
        }
        Ok(stated)
    }

    fn is_column(&self, node: NodeId) -> bool {
        self.tree.node(node).tag.is_some() && self.styles.style(node).display == Display::Column
    }

    fn wishes(
        &mut self,
        stated: &[Size],
        rows: &Rows,
        width: f32,
    ) -> Result<Vec<Wish>, RenderError> {
        let all: Vec<NodeId> =
            [&rows.head, &rows.body, &rows.foot].into_iter().flatten().copied().collect();
        if all.len() > MOST_ROWS {
            return Err(RenderError::style_of(
                self.tree.node(rows.body.first().or(all.first()).copied().unwrap_or(0)).parent,
                "a table of more than 1,000 rows needs `table-layout: fixed` and a width",
            ));
        }
        let mut wishes: Vec<Wish> = stated
            .iter()
            .map(|size| {
                let stated = size.within(width).filter(|_| is_definite(width));
                Wish { stated: stated.or(size.points()), ..Wish::default() }
            })
            .collect();
        let mut spanning = Vec::new();
        for row in all {
            let mut column = 0;
            for cell in self.parts_of(row, &[Display::Cell])? {
                let span = usize::from(self.tree.node(cell).colspan);
                let (min, max) =
                    (self.measure(cell, NARROWEST)?.used, self.measure(cell, f32::INFINITY)?.used);
                // A hair more, so that rounding does not wrap what just fits.
                let (min, max) = (min + 0.02, max + 0.02);
                if span == 1
                    && let Some(wish) = wishes.get_mut(column)
                {
                    wish.min = wish.min.max(min);
                    wish.max = wish.max.max(max);
                } else {
                    spanning.push((column, span, min, max));
                }
                column += span;
            }
        }
        for wish in &mut wishes {
            if let Some(stated) = wish.stated {
                wish.max = stated.max(wish.min);
                wish.min = wish.max;
            }
        }
        for (column, span, min, max) in spanning {
            let Some(own) = wishes.get_mut(column..column + span) else { continue };
            let sums = own.iter().fold((0.0, 0.0), |(a, b), wish| (a + wish.min, b + wish.max));
            let share = own.len().max(1) as f32;
            for wish in own {
                wish.min += ((min - sums.0) / share).max(0.0);
                wish.max += ((max - sums.1) / share).max(0.0);
            }
        }
        Ok(wishes)
    }
}

fn fixed(table: NodeId, stated: &[Size], width: f32) -> Result<Vec<f32>, RenderError> {
    let sizes: Vec<Option<f32>> = stated.iter().map(|size| size.within(width)).collect();
    let taken: f32 = sizes.iter().flatten().sum();
    let open = sizes.iter().filter(|size| size.is_none()).count();
    if taken > width + 0.5 {
        return Err(RenderError::style_of(table, "the columns are wider than their table"));
    }
    let share = if open == 0 { 0.0 } else { (width - taken) / open as f32 };
    // A table that is wider than all its columns say widens them evenly.
    let scale = if open == 0 && taken > 0.0 { width / taken } else { 1.0 };
    Ok(sizes.into_iter().map(|size| size.map_or(share, |size| size * scale)).collect())
}

/// How wide a column may be so that all fit that cannot.
fn widest(wishes: &[Wish], width: f32) -> f32 {
    let mut narrowest: Vec<f32> = wishes.iter().map(|wish| wish.min).collect();
    narrowest.sort_by(f32::total_cmp);
    let mut room = width.max(0.0);
    let mut left = narrowest.len();
    for min in narrowest {
        if min * left as f32 > room {
            break;
        }
        room -= min;
        left -= 1;
    }
    room / left.max(1) as f32
}

/// Gives every column what it asks for, and shares what is left or missing.
fn shared(wishes: &[Wish], width: f32) -> Vec<f32> {
    let max: f32 = wishes.iter().map(|wish| wish.max).sum();
    let min: f32 = wishes.iter().map(|wish| wish.min).sum();
    if max <= width {
        let open: f32 =
            wishes.iter().filter(|wish| wish.stated.is_none()).map(|wish| wish.max).sum();
        return wishes
            .iter()
            .map(|wish| match (open > 0.0, wish.stated) {
                (true, Some(_)) => wish.max,
                (true, None) => wish.max + (width - max) * wish.max / open,
                (false, _) if max > 0.0 => wish.max * width / max,
                (false, _) => width / wishes.len().max(1) as f32,
            })
            .collect();
    }
    if min >= width {
        // Too narrow even so: the widest give way first, their words are broken
        // anywhere. In proportion, a column of single letters would lose them.
        let widest = widest(wishes, width);
        return wishes.iter().map(|wish| wish.min.min(widest)).collect();
    }
    let part = (width - min) / (max - min);
    wishes.iter().map(|wish| wish.min + (wish.max - wish.min) * part).collect()
}
