//! Pagination: stacks strips onto pages.

use super::{
    Area, Fragment, Item, Layout,
    flow::{Flow, Strip},
};
use crate::render::{
    PAGE_HEIGHT, PAGE_WIDTH,
    css::{Content, PageRule, value::Rgb},
    error::RenderError,
};

/// The items of one page, in page coordinates.
pub(in crate::render) type Page = Vec<Item>;

/// A piece of text at a fixed place on the page.
#[derive(Clone, Debug)]
pub(in crate::render) struct Label<'a> {
    pub(in crate::render) text: &'a str,
    pub(in crate::render) x: f32,
    /// The baseline.
    pub(in crate::render) y: f32,
    pub(in crate::render) size: f32,
    pub(in crate::render) color: Rgb,
    /// 0 if `x` is the left end, 0.5 the middle, 1 the right end.
    pub(in crate::render) anchor: f32,
}

struct Stack<'a> {
    pages: Vec<Page>,
    page: &'a PageRule,
    heads: Vec<Fragment>,
    /// Where the next strip goes.
    y: f32,
    /// Nothing but a repeated head stands on the page yet.
    fresh: bool,
    max: usize,
}

/// Stacks the strips of a document onto pages; `max` pages are the most.
pub(in crate::render) fn paginate(
    flow: Flow,
    page: &PageRule,
    max: usize,
) -> Result<Vec<Page>, RenderError> {
    let Flow { strips, heads, .. } = flow;
    let top = page.margin[0];
    let mut stack = Stack { pages: vec![Vec::new()], page, heads, y: top, fresh: true, max };
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

impl Stack<'_> {
    fn bottom(&self) -> f32 {
        PAGE_HEIGHT - self.page.margin[2]
    }

    fn put(&mut self, strip: Strip, need: f32) -> Result<(), RenderError> {
        let whole = self.bottom() - self.page.margin[0];
        if strip.new_page && !self.fresh {
            self.turn(strip.head)?;
        }
        let before = if self.fresh { 0.0 } else { strip.before };
        // What is kept together moves together, unless no page could hold it.
        let need = if need <= whole { need } else { strip.fragment.height };
        if !self.fresh && self.y + before + need > self.bottom() + 0.01 {
            self.turn(strip.head)?;
        } else {
            self.y += before;
        }
        let head = strip.head;
        let mut fragment = strip.fragment;
        while self.y + fragment.height > self.bottom() + 0.01 {
            let (upper, lower) = slice(fragment, self.bottom() - self.y)?;
            self.place(upper);
            self.turn(head)?;
            fragment = lower;
        }
        self.place(fragment);
        Ok(())
    }

    fn place(&mut self, mut fragment: Fragment) {
        for item in &mut fragment.items {
            item.shift(self.page.margin[3], self.y);
        }
        if let Some(page) = self.pages.last_mut() {
            page.append(&mut fragment.items);
        }
        self.y += fragment.height;
        self.fresh = false;
    }

    /// Begins a page, with the head of the table that goes on.
    fn turn(&mut self, head: Option<usize>) -> Result<(), RenderError> {
        if self.pages.len() >= self.max {
            return Err(RenderError::TooManyPages { max: self.max as u32 });
        }
        self.pages.push(Vec::new());
        self.y = self.page.margin[0];
        if let Some(head) = head.and_then(|head| self.heads.get(head)).cloned() {
            self.place(head);
        }
        self.fresh = true;
        Ok(())
    }
}

/// Cuts a fragment between lines, at most `room` from its top.
fn slice(fragment: Fragment, room: f32) -> Result<(Fragment, Fragment), RenderError> {
    let cut = cut(&fragment.items, room);
    if cut < 1.0 {
        return Err(RenderError::template("a line is taller than what is left of a page", None));
    }
    let mut upper = Fragment { height: cut, ..Fragment::default() };
    let mut lower = Fragment { height: fragment.height - cut, ..Fragment::default() };
    for item in fragment.items {
        let (kind, area): (fn(Area) -> Item, Area) = match item {
            Item::Text(run) => {
                let in_upper = extent(run.y, run.size).1 <= cut + 0.01;
                let part = if in_upper { &mut upper } else { &mut lower };
                part.items.push(item);
                continue;
            }
            Item::Fill(area) => (Item::Fill, area),
            Item::Rule(area) => (Item::Rule, area),
        };
        let end = area.y + area.h;
        if area.y < cut {
            upper.items.push(kind(Area { h: end.min(cut) - area.y, ..area }));
        }
        if end > cut {
            let y = area.y.max(cut);
            lower.items.push(kind(Area { y, h: end - y, ..area }));
        }
    }
    for item in &mut lower.items {
        item.shift(0.0, -cut);
    }
    Ok((upper, lower))
}

/// The lowest place at or above `room` that no line of text crosses.
fn cut(items: &[Item], room: f32) -> f32 {
    let mut cut = room;
    loop {
        let crossed = items.iter().filter_map(|item| match item {
            Item::Text(run) => Some(extent(run.y, run.size)),
            Item::Fill(_) | Item::Rule(_) => None,
        });
        let above = crossed
            .filter(|(top, bottom)| *top < cut - 0.01 && *bottom > cut + 0.01)
            .map(|(top, _)| top)
            .fold(cut, f32::min);
        if above >= cut - 0.01 {
            return cut;
        }
        cut = above;
    }
}

/// Where a line of text reaches to, roughly and generously.
fn extent(baseline: f32, size: f32) -> (f32, f32) {
    (baseline - 0.95 * size, baseline + 0.25 * size)
}

impl Layout<'_> {
    /// Writes the margin boxes of every page.
    pub(in crate::render) fn margin_boxes(
        &mut self,
        pages: &mut [Page],
        rule: &PageRule,
        strings: &[(&str, String)],
    ) {
        let count = pages.len();
        let [top, right, bottom, left] = rule.margin;
        for (number, page) in (1usize..).zip(pages) {
            for margin_box in &rule.boxes {
                let mut text = String::new();
                for content in &margin_box.content {
                    match content {
                        Content::Text(piece) => text.push_str(piece),
                        Content::Page => text.push_str(&number.to_string()),
                        Content::Pages => text.push_str(&count.to_string()),
                        Content::Named(name) => {
                            let named = strings.iter().find(|(known, _)| known == name);
                            text.push_str(named.map_or("", |(_, text)| text));
                        }
                    }
                }
                let half = margin_box.size * 0.35;
                let y = if margin_box.slot.top { top / 2.0 } else { PAGE_HEIGHT - bottom / 2.0 };
                let (x, anchor) = match margin_box.slot.column {
                    0 => (left, 0.0),
                    1 => (PAGE_WIDTH / 2.0, 0.5),
                    _ => (PAGE_WIDTH - right, 1.0),
                };
                let (size, color) = (margin_box.size, margin_box.color);
                self.label(page, &Label { text: &text, x, y: y + half, size, color, anchor });
            }
        }
    }

    /// Writes one piece of text at a fixed place.
    pub(in crate::render) fn label(&mut self, page: &mut Page, label: &Label<'_>) {
        let (mut run, width) = self.text_line(label.text, label.size, false, label.color);
        run.x = label.x - width * label.anchor;
        run.y = label.y;
        page.push(Item::Text(run));
    }
}

impl Layout<'_> {
    /// What `string-set` names; the first element that names it counts.
    pub(in crate::render) fn named_strings(&self) -> Vec<(std::sync::Arc<str>, String)> {
        let mut strings: Vec<(std::sync::Arc<str>, String)> = Vec::new();
        for node in 0..self.tree.nodes.len() as u32 {
            if self.tree.node(node).tag.is_none() {
                continue;
            }
            if let Some(name) = &self.styles.style(node).string_set
                && !strings.iter().any(|(known, _)| known == name)
            {
                strings.push((std::sync::Arc::clone(name), self.tree.content(node)));
            }
        }
        strings
    }
}
