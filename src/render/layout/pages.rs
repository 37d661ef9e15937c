//! Pagination: stacks strips onto pages.

use super::{
    Area, Fragment, Item, Layout, Round, Shape,
    flow::{Flow, Parts, Row, Strip},
};
use crate::render::{
    css::{PageRule, Paper},
    dom::NONE,
    error::RenderError,
};

/// One page: its size and its items, in page coordinates.
#[derive(Clone, Debug, Default)]
pub(in crate::render) struct Page {
    pub(in crate::render) width: f32,
    pub(in crate::render) height: f32,
    pub(in crate::render) items: Vec<Item>,
}

impl Page {
    /// An empty sheet.
    pub(in crate::render) fn sheet(rule: &PageRule) -> Self {
        Self { width: rule.width, height: rule.height, items: Vec::new() }
    }
}

struct Stack<'l, 'a> {
    layout: &'l mut Layout<'a>,
    pages: Vec<Page>,
    paper: &'l Paper,
    tables: Vec<Parts>,
    /// Where the next strip goes.
    y: f32,
    /// Nothing but a repeated head stands on the page yet.
    fresh: bool,
    /// The table that the last strip belongs to, and its running sum.
    open: Option<(usize, i64)>,
    max: usize,
}

/// Stacks the strips of a document onto pages; `max` pages are the most.
pub(in crate::render) fn paginate(
    layout: &mut Layout<'_>,
    flow: Flow,
    paper: &Paper,
    max: usize,
) -> Result<Vec<Page>, RenderError> {
    let Flow { strips, tables, .. } = flow;
    let mut stack = Stack {
        layout,
        pages: vec![Page::sheet(&paper.first)],
        paper,
        tables,
        y: paper.first.margin[0],
        fresh: true,
        open: None,
        max,
    };
    let needs = needs(&strips);
    for (strip, need) in strips.into_iter().zip(needs) {
        stack.put(strip, need)?;
    }
    Ok(stack.pages)
}

/// The height that each strip needs together with those it must stay with.
fn needs(strips: &[Strip]) -> Vec<f32> {
    let mut needs = vec![0.0; strips.len()];
    let mut below = 0.0;
    for (need, strip) in needs.iter_mut().zip(strips).rev() {
        let own = strip.fragment.height;
        *need = if strip.keep_next { own + below } else { own };
        below = strip.before + *need;
    }
    needs
}

impl Stack<'_, '_> {
    fn rule(&self) -> &PageRule {
        if self.pages.len() <= 1 { &self.paper.first } else { &self.paper.rest }
    }

    fn bottom(&self) -> f32 {
        self.rule().height - self.rule().margin[2]
    }

    /// What must stay free below a row: the foot of its table and the running
    /// sum, unless the whole rest of the table is on the page.
    fn reserve(&self, row: Option<Row>, y: f32) -> f32 {
        let Some(row) = row else { return 0.0 };
        if y + row.rest <= self.bottom() + 0.01 {
            return 0.0;
        }
        self.tables.get(row.table).map_or(0.0, |parts| {
            let foot = parts.foot.as_ref().map_or(0.0, |foot| foot.height);
            foot + parts.carry_out.map_or(0.0, |(_, height)| height)
        })
    }

    fn put(&mut self, strip: Strip, need: f32) -> Result<(), RenderError> {
        let row = strip.row;
        let goes_on =
            row.filter(|row| !row.opens && self.open.is_some_and(|(table, _)| table == row.table));
        if strip.new_page && !self.fresh {
            self.turn(goes_on)?;
        }
        let whole = self.bottom() - self.rule().margin[0];
        let before = if self.fresh { 0.0 } else { strip.before };
        // What is kept together moves together, unless no page could hold it.
        let need = if need <= whole { need } else { strip.fragment.height };
        let reserve = self.reserve(row, self.y + before);
        if !self.fresh && self.y + before + need + reserve > self.bottom() + 0.01 {
            self.turn(goes_on)?;
        } else {
            self.y += before;
        }
        let mut fragment = strip.fragment;
        loop {
            let reserve = self.reserve(row, self.y).min(whole / 2.0);
            let room =
                self.bottom() - self.y - if fragment.height > whole / 2.0 { reserve } else { 0.0 };
            if fragment.height <= room + 0.01 {
                break;
            }
            self.layout.spend(fragment.items.len())?;
            let (upper, lower) = slice(fragment, room, self.layout)?;
            self.place(upper);
            self.turn(row.filter(|row| !row.opens))?;
            fragment = lower;
        }
        self.place(fragment);
        self.open = row.map(|row| (row.table, row.sum));
        Ok(())
    }

    fn place(&mut self, mut fragment: Fragment) {
        let left = self.rule().margin[3];
        for item in &mut fragment.items {
            item.shift(left, self.y);
        }
        if let Some(page) = self.pages.last_mut() {
            page.items.append(&mut fragment.items);
        }
        self.y += fragment.height;
        self.fresh = false;
    }

    /// The same for what was there before: no content, but its repetition.
    fn repeat(&mut self, fragment: &Fragment, x: f32) -> Result<(), RenderError> {
        let mut copy = Fragment { height: fragment.height, ..Fragment::default() };
        self.layout.spend(16 * fragment.items.len())?;
        copy.place(fragment.clone(), x, 0.0);
        for item in &mut copy.items {
            item.node = NONE;
        }
        self.place(copy);
        Ok(())
    }

    fn carry(&mut self, table: usize, sum: i64, out: bool) -> Result<(), RenderError> {
        let Some(parts) = self.tables.get(table) else { return Ok(()) };
        let row = if out { parts.carry_out } else { parts.carry_in };
        let Some((row, _)) = row else { return Ok(()) };
        let piece = self.layout.carried(row, parts, sum)?;
        self.repeat(&piece, 0.0)
    }

    /// Begins a page; if a table goes on, with its foot on the page before and
    /// its head on the new one.
    fn turn(&mut self, goes_on: Option<Row>) -> Result<(), RenderError> {
        if self.pages.len() >= self.max {
            return Err(RenderError::TooManyPages { max: self.max as u32 });
        }
        let open = goes_on.and(self.open);
        if let Some((table, sum)) = open {
            self.carry(table, sum, true)?;
            let foot =
                self.tables.get(table).and_then(|parts| Some((parts.foot.clone()?, parts.x)));
            if let Some((foot, x)) = foot {
                self.repeat(&foot, x)?;
            }
        }
        self.pages.push(Page::sheet(&self.paper.rest));
        self.y = self.paper.rest.margin[0];
        if let Some((table, sum)) = open {
            let head =
                self.tables.get(table).and_then(|parts| Some((parts.head.clone()?, parts.x)));
            if let Some((head, x)) = head {
                self.repeat(&head, x)?;
            }
            self.carry(table, sum, false)?;
        }
        self.fresh = true;
        Ok(())
    }
}

/// Cuts a fragment between lines, at most `room` from its top.
fn slice(
    fragment: Fragment,
    room: f32,
    layout: &mut Layout<'_>,
) -> Result<(Fragment, Fragment), RenderError> {
    let cut = cut(&fragment.items, room, layout)?;
    if cut < 1.0 {
        let what = "a line or a picture is taller than what is left of a page";
        let node = fragment.items.iter().map(|item| item.node).find(|node| *node != NONE);
        return Err(match node {
            Some(node) => RenderError::style_of(node, what),
            None => RenderError::style(what),
        });
    }
    let mut upper = Fragment { height: cut, ..Fragment::default() };
    let mut lower = Fragment { height: fragment.height - cut, ..Fragment::default() };
    for item in fragment.items {
        let Some((above, below)) = parted(&item.shape, cut) else {
            let in_upper = whole(&item.shape).is_none_or(|(_, bottom)| bottom <= cut + 0.01);
            let part = if in_upper { &mut upper } else { &mut lower };
            part.items.push(item);
            continue;
        };
        upper.items.extend(above.map(|shape| Item { shape, ..item.clone() }));
        lower.items.extend(below.map(|shape| Item { shape, ..item.clone() }));
    }
    for item in &mut lower.items {
        item.shift(0.0, -cut);
    }
    Ok((upper, lower))
}

/// What of an area stands above and below a cut; `None` for what cannot be cut.
fn parted(shape: &Shape, cut: f32) -> Option<(Option<Shape>, Option<Shape>)> {
    let (Shape::Fill(area) | Shape::Rule(area)) = shape else {
        let Shape::Round(round) = shape else { return None };
        // Each part is a box of its own, without round corners at the cut.
        let part = |area: Area, radius: [f32; 4]| {
            Shape::Round(Box::new(Round { area, radius, ..Round::clone(round) }))
        };
        let [a, b, c, d] = round.radius;
        return Some(match halves(&round.area, cut) {
            (Some(above), Some(below)) => {
                (Some(part(above, [a, b, 0.0, 0.0])), Some(part(below, [0.0, 0.0, c, d])))
            }
            (above, below) => (
                above.map(|area| part(area, round.radius)),
                below.map(|area| part(area, round.radius)),
            ),
        });
    };
    let kind = |area: Area| match shape {
        Shape::Rule(_) => Shape::Rule(area),
        _ => Shape::Fill(area),
    };
    let (above, below) = halves(area, cut);
    Some((above.map(kind), below.map(kind)))
}

fn halves(area: &Area, cut: f32) -> (Option<Area>, Option<Area>) {
    let end = area.y + area.h;
    let above = Area { h: end.min(cut) - area.y, ..*area };
    let y = area.y.max(cut);
    let below = Area { y, h: end - y, ..*area };
    ((area.y < cut).then_some(above), (end > cut).then_some(below))
}

/// The lowest place at or above `room` that no line of text crosses.
fn cut(items: &[Item], room: f32, layout: &mut Layout<'_>) -> Result<f32, RenderError> {
    let mut cut = room;
    loop {
        // Boxes that overlap like tiles move the cut up by one at a time.
        layout.spend(items.len())?;
        let crossed = items.iter().filter_map(|item| whole(&item.shape));
        let above = crossed
            .filter(|(top, bottom)| *top < cut - 0.01 && *bottom > cut + 0.01)
            .map(|(top, _)| top)
            .fold(cut, f32::min);
        if above >= cut - 0.01 {
            return Ok(cut);
        }
        cut = above;
    }
}

/// From where to where something reaches that cannot be cut.
fn whole(shape: &Shape) -> Option<(f32, f32)> {
    match shape {
        Shape::Text(run) => Some(extent(run.y, run.size)),
        Shape::Picture(area, _) | Shape::Dash(area, _) => Some((area.y, area.y + area.h)),
        Shape::Round(_) | Shape::Fill(_) | Shape::Rule(_) => None,
    }
}

/// Where a line of text reaches to, roughly and generously.
fn extent(baseline: f32, size: f32) -> (f32, f32) {
    (baseline - 0.95 * size, baseline + 0.25 * size)
}
